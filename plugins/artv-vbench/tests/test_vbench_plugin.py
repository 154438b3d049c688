"""Without VBench its metrics say so; with a package of its interface, they give its scores clip by clip."""

import sys
from pathlib import Path

import numpy as np
import pytest
from artv_vbench import DIMENSIONS, LISTED, metric, scoring
from artv_vbench.inside.loading import loaded_once

from artv.errors import UserError
from artv_eval import testing


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_without_vbench_the_metric_is_absent_with_its_reason(dimension, monkeypatch):
    monkeypatch.setitem(sys.modules, "vbench", None)
    with pytest.raises(UserError, match=r"VBench is not installed: pip install vbench"):
        getattr(metric, dimension)()


@pytest.mark.parametrize("dimension", LISTED)
def test_what_needs_the_list_is_refused_for_other_prompts_and_names_the_way(dimension):
    with pytest.raises(UserError, match=rf"for the prompts of its own list.* vbench-suite:{dimension} "):
        getattr(metric, dimension)()


def test_a_package_that_a_dimension_lacks_is_named_before_the_work(stand_in):
    module = Path(stand_in.__file__).with_name("imaging_quality.py")
    module.write_text(f"import pyiqa_of_nobody\n{module.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(UserError, match=r"VBench needs the package pyiqa_of_nobody, which is not installed"):
        metric.imaging_quality()
    assert metric.motion_smoothness().digest


def test_scores_come_clip_by_clip_in_the_order_of_the_clips(stand_in, capsys):
    evaluator, clips = metric.motion_smoothness(), testing.toy_clips(5)
    rows = evaluator.describe(clips)
    means = np.array([[clip.frames.mean() / 255] for _, clip in clips])
    np.testing.assert_allclose(rows, means, atol=0.005)  # off by the rounding of RGB to YUV
    assert len(set(rows[:, 0])) == 5 and evaluator.evaluate(rows) == pytest.approx(rows.mean())
    assert capsys.readouterr().out == ""


def test_networks_are_loaded_once_however_many_clips(stand_in, clips, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH", 2)
    metric.imaging_quality().describe(clips(["x"] * 5, [10, 20, 30, 40, 50]))
    assert [path.rpartition("/")[2] for path in stand_in.loads] == ["imaging_quality.pth"]
    metric.imaging_quality().describe(clips(["x"], [10]))  # of another evaluator of the process, too
    assert len(stand_in.loads) == 1


def test_a_network_that_a_method_loads_is_shared_by_what_reads_the_same_file(stand_in):
    import vbench.multiple_objects as other
    import vbench.object_class as one

    for module, dimension in ((one, "object_class"), (other, "multiple_objects"), (one, "object_class")):
        with loaded_once(dimension):
            detector = module.DenseCaptioning("cpu")
            detector.initialize_model_det(path="a")
    assert stand_in.loads == ["a"]
    detector.initialize_model_det("c")  # the names are put back
    assert stand_in.loads[-1] == "c" and one.DenseCaptioning("cpu") is not detector


def test_a_network_that_is_given_another_is_kept_too_and_a_module_that_is_not_there_is_left_alone(
    monkeypatch, stand_in
):
    import vbench.temporal_style as module

    monkeypatch.setattr(module, "SimpleTokenizer", lambda file: object(), raising=False)
    monkeypatch.setattr(module, "ViCLIP", lambda tokenizer: object(), raising=False)
    networks = []
    for _ in range(2):
        with loaded_once("temporal_style"):
            networks.append(module.ViCLIP(tokenizer=module.SimpleTokenizer("words")))
    assert networks[0] is networks[1]
    monkeypatch.setitem(sys.modules, "vbench.scene", None)
    with loaded_once("scene"):
        pass


def test_imaging_quality_is_on_the_scale_of_vbenchs_totals(stand_in):
    rows = np.array([[60.0], [70.0]])
    assert metric.imaging_quality().evaluate(rows) == pytest.approx(0.65)
    assert metric.motion_smoothness().evaluate(rows) == pytest.approx(65)


def test_it_holds_the_contract_of_metrics(stand_in):
    testing.check_metric(metric.overall_consistency)


def test_a_version_that_loses_clips_is_named(tmp_path):
    parts = [scoring.Part(i, tmp_path / f"{i}.mp4", "x", {}, ()) for i in range(2)]
    with pytest.raises(UserError, match=r"VBench scored 1 of 2 files for dynamic_degree"):
        scoring._by_clip([("0.mp4", 1.0)], parts, 2, "dynamic_degree")


def test_a_long_clip_is_scored_in_segments_and_a_short_one_whole(stand_in, clips):
    """42 frames at 8 fps: two seconds, two seconds, and the last two seconds again, as VBench-Long cuts."""
    levels = np.linspace(0, 250, 42).round()
    parts = [levels[0:16], levels[16:32], levels[26:42]]
    (long,), (short,) = (
        metric.motion_smoothness().describe(clips(["x"], [levels[:frames]], frames, fps))[:, 0]
        for frames, fps in ((42, 8.0), (42, 12.0))
    )
    assert long == pytest.approx(np.mean([part.mean() for part in parts]) / 255, abs=0.005)
    assert short == pytest.approx(levels.mean() / 255, abs=0.005) and abs(long - short) > 0.02

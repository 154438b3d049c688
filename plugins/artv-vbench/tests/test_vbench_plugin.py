"""Without VBench its metrics say so; with a package of its interface, they give its scores clip by clip."""

import importlib
import sys
import textwrap

import numpy as np
import pytest
from artv_vbench import DIMENSIONS, metric
from artv_vbench.loading import loaded_once

from artv.errors import UserError
from artv_eval import testing

# the parts of VBench's interface that the plugin uses; the score is the mean of the first frame, listed backwards
STAND_IN = """
    import json, os
    from pathlib import Path

    class VBench:
        def __init__(self, device, full_info_dir, output_path):
            assert Path(full_info_dir).name == "VBench_full_info.json"
            self.output_path = output_path
            os.makedirs(output_path, exist_ok=True)

        def evaluate(self, videos_path, name, prompt_list=[], dimension_list=None, local=False, read_frame=False,
                     mode="vbench_standard", **kwargs):
            import av
            assert mode == "custom_input"
            print("VBench prints a lot")
            scores = []
            for path in sorted(Path(videos_path).iterdir(), reverse=True):
                assert prompt_list[str(path)]
                with av.open(str(path)) as container:
                    frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
                scores.append({"video_path": str(path), "video_results": float(frame.mean())})
            results = {d: [sum(s["video_results"] for s in scores) / len(scores), scores] for d in dimension_list}
            (Path(self.output_path) / f"{name}_eval_results.json").write_text(json.dumps(results), encoding="utf-8")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "vbench").mkdir()
    (tmp_path / "vbench" / "__init__.py").write_text(textwrap.dedent(STAND_IN))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "vbench", raising=False)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_without_vbench_the_metric_is_absent_with_its_reason(dimension, monkeypatch):
    monkeypatch.setitem(sys.modules, "vbench", None)
    with pytest.raises(UserError, match=r"VBench is not installed: pip install vbench"):
        getattr(metric, dimension)()


def test_scores_come_clip_by_clip_in_the_order_of_the_clips(stand_in, capsys):
    evaluator = metric.motion_smoothness()
    clips = testing.toy_clips(5)
    rows = evaluator.describe(clips)
    means = np.array([[clip.frames[0].mean()] for _, clip in clips])
    np.testing.assert_allclose(rows, means, atol=1.0)  # off by the rounding of RGB to YUV
    assert len(set(rows[:, 0])) == 5 and evaluator.evaluate(rows) == pytest.approx(rows.mean())
    assert capsys.readouterr().out == ""


def test_networks_are_loaded_once_however_many_clips(tmp_path, monkeypatch):
    """A module of VBench's form, whose loader counts its calls."""
    (tmp_path / "vbench").mkdir()
    (tmp_path / "vbench" / "__init__.py").write_text("", encoding="utf-8")
    text = (
        "loads = []\ndef MUSIQ(pretrained_model_path):\n    loads.append(pretrained_model_path)\n    return object()\n"
    )
    (tmp_path / "vbench" / "imaging_quality.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "vbench"]:
        monkeypatch.delitem(sys.modules, name)
    kept, made = {}, []
    for path in ("a", "a", "b"):
        with loaded_once("imaging_quality", kept):
            module = importlib.import_module("vbench.imaging_quality")
            made.append(module.MUSIQ(pretrained_model_path=path))
    assert made[0] is made[1] is not made[2] and module.loads == ["a", "b"]
    assert module.MUSIQ("c") not in made and module.loads[-1] == "c"  # the name is put back
    with loaded_once("subject_consistency", kept):  # a module that is not there
        pass
    (tmp_path / "vbench" / "temporal_style.py").write_text(
        "class SimpleTokenizer:\n    def __init__(self, file): pass\n\n\n"
        "class ViCLIP:\n    def __init__(self, tokenizer): pass\n",
        encoding="utf-8",
    )
    networks = []
    for _ in range(2):  # a network that is given one, as ViCLIP its tokenizer
        with loaded_once("temporal_style", kept):
            module = importlib.import_module("vbench.temporal_style")
            networks.append(module.ViCLIP(tokenizer=module.SimpleTokenizer("words")))
    assert networks[0] is networks[1]


def test_imaging_quality_is_on_the_scale_of_vbenchs_totals(stand_in):
    rows = np.array([[60.0], [70.0]])
    assert metric.imaging_quality().evaluate(rows) == pytest.approx(0.65)
    assert metric.motion_smoothness().evaluate(rows) == pytest.approx(65)


def test_it_holds_the_contract_of_metrics(stand_in):
    testing.check_metric(metric.overall_consistency)


def test_a_version_that_loses_clips_is_named():
    with pytest.raises(UserError, match=r"VBench scored 1 of 2 clips"):
        metric._in_order([{"video_path": "00000.mp4", "video_results": 1.0}], 2, "dynamic_degree")

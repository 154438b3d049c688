"""Files that each count whole: values are those of each clip by itself, and what cannot be said is refused by name."""

import json

import numpy as np
import pytest
import yaml
from video_folders import Means, clip_file

from artv.data.readers import read_video
from artv.errors import UserError
from artv_eval.files import describe
from artv_eval.files.decoding import Excerpt, decode
from artv_eval.files.score import score_folders
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.frames import FlickerEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.windows import WindowFvdEvaluator
from artv_eval.protocols.cards import cards

LENGTHS = (12, 30, 81)  # the last in parts
WHOLE = Excerpt(frames=None)
LUMA = (0.299, 0.587, 0.114)  # BT.601


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("lengths")
    for k, frames in enumerate(LENGTHS):
        clip_file(root / f"{k}.mp4", k, frames=frames)
        clip_file(root.parent / "others" / f"{k}.mp4", k + 10, frames=frames)
    return root


def luma(folder):
    """The mean luma of each frame of each file, by numpy."""
    return [read_video(file).mean((1, 2)) @ np.array(LUMA) for file in sorted(folder.iterdir())]


def test_each_clip_has_the_value_of_its_own_frames_and_its_own_end(folder, tmp_path):
    """Ends of 6 frames and chunks are those of each clip; the curve's end is over the clips that are so long."""
    metrics = [curve("exposure/delta", ends=6), curve("exposure/vde"), curve("exposure")]
    found = score_folders(None, folder, metrics, WHOLE, workers=1, resamples=20, cache=tmp_path)
    curves = luma(folder)
    chunks = [np.stack([part.mean() for part in np.split(c[: len(c) // 10 * 10], 10)]) for c in curves]
    expected = [
        np.mean([c[-6:].mean() - c[:6].mean() for c in curves]),
        np.mean([(np.abs(m[1:] - m[0]) / m[0]) @ np.arange(9, 0, -1) for m in chunks]),
        np.mean([c[1:].mean() for c in curves]),
    ]
    assert [row.value for row in found.rows] == pytest.approx(expected, rel=1e-9)
    assert {(row.n, row.excerpt) for row in found.rows} == {(3, "each whole: 12 to 81 frames")}
    places = [[c[t] for c in curves if len(c) > t] for t in range(81)]
    assert found.curves[-1].values == pytest.approx([np.mean(some) for some in places], rel=1e-9)
    again = score_folders(None, folder, metrics, WHOLE, workers=0, resamples=20, cache=tmp_path)
    assert again.rows == found.rows


def test_rows_of_several_widths_are_not_described_again(folder, tmp_path, monkeypatch):
    first = score_folders(None, folder, [FlickerEvaluator()], WHOLE, workers=0, resamples=20, cache=tmp_path)
    monkeypatch.setattr(describe._Describer, "_describe", None)
    again = score_folders(None, folder, [FlickerEvaluator()], WHOLE, workers=0, resamples=20, cache=tmp_path)
    assert again.rows == first.rows


def test_strides_and_rates_leave_what_they_leave_of_each(folder):
    every_other = [clip.shown for clip in decode(sorted(folder.iterdir()), Excerpt(frames=None, stride=2), workers=0)]
    assert [len(clip) for clip in every_other] == [6, 15, 41]
    np.testing.assert_array_equal(np.asarray(every_other[2])[-1], read_video(folder / "2.mp4")[80])
    at_four = decode(sorted(folder.iterdir()), Excerpt(frames=None, fps=4.0), workers=0)
    assert [clip.length for clip in at_four] == [6, 15, 40]  # 81 frames at 8 a second are 10.1 s


def test_sets_have_a_value_only_at_one_length(folder, tmp_path):
    fvd, windows = FvdEvaluator(Means()), WindowFvdEvaluator(Means(), name="window_fvd", length=30)
    found = score_folders(folder, folder, [fvd, windows, FlickerEvaluator()], WHOLE, workers=0, resamples=20)
    assert [row.status for row in found.rows] == [
        "absent: it compares sets, whose clips must be of one length, and these have 12 to 81 frames; give --frames "
        "12, or clips of one length",
        "absent: window_fvd takes clips of at least 30 frames, as it is set, and 1 of 3 have fewer "
        f"({folder / '0.mp4'}: 12)",
        "ok",
    ]
    assert fvd.features.seen <= 2, "nothing is described of sets that cannot be compared"
    for side, seeds in (("a", (1, 2, 3)), ("b", (4, 5, 6))):
        for k in seeds:
            clip_file(tmp_path / side / f"{k}.mp4", k, frames=12)
    one_length = [
        score_folders(tmp_path / "a", tmp_path / "b", [fvd, FlickerEvaluator()], Excerpt(frames=n), workers=0,
                      resamples=20).rows
        for n in (None, 12)
    ]  # fmt: skip
    whole, said = ([(row.value, row.ci_low, row.status) for row in rows] for rows in one_length)
    assert whole == said and one_length[0][0].excerpt == "each whole: 12 frames"
    apart = score_folders(tmp_path / "a", folder.parent / "others", [fvd], WHOLE, workers=0, resamples=20)
    assert "have 12 to 81 frames" in apart.rows[0].status


def test_a_clip_that_a_metric_cannot_take_is_named(folder, tmp_path):
    for k, frames in enumerate((1, 2, 4)):
        clip_file(tmp_path / f"{k}.mp4", k, frames=frames)
    names = ["motion/below_half", "exposure/delta", "exposure/slope", "exposure"]
    metrics = [*map(curve, names), FlickerEvaluator(), DriftEvaluator("contrast")]
    found = score_folders(None, tmp_path, metrics, WHOLE, workers=0, resamples=20)
    status = {row.metric: (row.status, row.n) for row in found.rows}
    short = "takes clips of at least {} frames, as it is set, and {} of 3 have fewer ({}: 1)"
    for name, least, count in (("motion/below_half", 3, 2), ("exposure/delta", 2, 1), ("contrast_drift", 2, 1)):
        assert status[name][0] == f"absent: {name} " + short.format(least, count, tmp_path / "0.mp4")
    # what is undefined on a clip leaves it out, as elsewhere
    assert [status[name] for name in ("exposure/slope", "flicker", "exposure/level")] == [
        ("ok", 2),
        ("ok", 2),
        ("ok", 3),
    ]


def test_pairs_are_of_one_length_each(folder, tmp_path):
    found = score_folders(
        None, {"a": folder, "b": folder.parent / "others"}, [curve("exposure")], WHOLE, workers=0, resamples=20
    )
    a, b = (np.array([c[1:].mean() for c in luma(side)]) for side in (folder, folder.parent / "others"))
    assert found.comparisons[0].difference == pytest.approx((a - b).mean(), rel=1e-9) and found.comparisons[0].n == 3
    for k, frames in enumerate((12, 31, 81)):
        clip_file(tmp_path / f"{k}.mp4", k, frames=frames)
    with pytest.raises(
        UserError, match=r"^1 of 3 pairs are of two lengths: .*1.mp4 has 31 frames and .*1.mp4 30; fold"
    ):
        score_folders(None, {"a": folder, "b": tmp_path}, [FlickerEvaluator()], WHOLE, workers=0)


def test_a_card_or_the_command_says_that_each_counts_whole(cli, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    values = yaml.safe_load(cards()["shapes@1"].read_text(encoding="utf-8"))
    values |= {"name": "whole@1", "frames": values["frames"] | {"lengths": "each"}}
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    def row(*given):
        outcome = cli("score", "--fake", folder, "--metrics", "flicker", "--format", "json", "--workers", 0, *given)
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)["rows"][0]

    by_card = row("--protocol", tmp_path / "whole.yaml")
    by_option = row("--protocol", "shapes@1", "--frames", "each")
    assert by_card["excerpt"] == by_option["excerpt"] == "each whole: 12 to 81 frames at 8 fps"
    assert by_card["value"] == by_option["value"] != row("--protocol", "shapes@1", "--frames", 12)["value"]
    assert (by_card["protocol"], by_option["protocol"]) == ("whole@1", "shapes@1 frames=each")
    same = row("--protocol", tmp_path / "whole.yaml", "--frames", "each", "--fps", 8, "--stride", 1)
    assert same["protocol_hash"] == by_card["protocol_hash"]  # what the card says anyway changes nothing
    wrong = cli("score", "--fake", folder, "--metrics", "flicker", "--frames", "all")
    assert wrong.code == 2 and "--frames is 'all'; it must be a number, or each: all that each file has" in wrong.err

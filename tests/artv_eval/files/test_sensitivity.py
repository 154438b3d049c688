"""One set of clips under every convention."""

import pytest
from video_folders import EXCERPT, Means, clip_file

from artv.errors import UserError, WorkFailed
from artv_eval.files.decoding import Excerpt
from artv_eval.files.describe import describe_files, video_files
from artv_eval.files.sensitivity import sensitivity
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator


def test_sensitivity_tabulates_every_combination_against_the_first(sides, tmp_path):
    features = Means()
    rows = sensitivity(
        *sides, FvdEvaluator(features), Excerpt(frames=3), size=16, filters=("bilinear", "area"), strides=(1, 2),
        cache=tmp_path, workers=0,
    )  # fmt: skip
    assert len(rows) == 2 * 2 * 2 * 3 and features.seen == 4 * 16
    assert rows[0].change == 0 and {row.n for row in rows} == {8, 4, 2}
    full = {(r.filter, r.stride, r.covariance): r.fvd for r in rows if r.n == 8}
    assert full["bilinear", 1, "n-1"] != full["bilinear", 1, "n"] != full["area", 2, "n"]
    assert rows[1].change == pytest.approx(rows[1].fvd / rows[0].fvd - 1)
    with pytest.raises(UserError, match="must be n-1 or n"):
        sensitivity(*sides, FvdEvaluator(features), EXCERPT, covariances=("biased",))


def test_sensitivity_compares_the_same_clips_in_every_row_and_names_the_others(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    clip_file(tmp_path / "4.mp4", 4, frames=4)  # too short for 3 frames at stride 2
    notes = []
    rows = sensitivity(
        sides[0], tmp_path, FvdEvaluator(Means()), Excerpt(frames=3), size=16, filters=("area",), strides=(1, 2),
        covariances=("n",), workers=0, bad_files=0.2, on_note=notes.append,
    )  # fmt: skip
    assert [(row.stride, row.n) for row in rows] == [(1, 4), (1, 2), (2, 4), (2, 2)]
    assert len(notes) == 1 and "1 fake file was left out" in notes[0] and "4.mp4" in notes[0]


def test_sensitivity_takes_as_many_clips_of_either_folder_as_the_row_says(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    metric = FvdEvaluator(Means())
    more = {"size": 16, "filters": ("area",), "strides": (1,), "covariances": ("n",), "workers": 0}
    (row,) = sensitivity(sides[0], tmp_path, metric, Excerpt(frames=3), numbers=(3,), **more)
    shown = Excerpt(frames=3, transform=(("size", 16), ("filter", "area")))
    ours, theirs = (
        describe_files(video_files(side)[:3], [metric], shown, workers=0).rows[metric.digest]
        for side in (tmp_path, sides[0])
    )
    assert row.n == 3 and row.fvd == pytest.approx(frechet_from_features(ours, theirs, 0), rel=1e-9)
    with pytest.raises(UserError, match="numbers has 8 and the fake folder 4 clips; ask for at most so many"):
        sensitivity(sides[0], tmp_path, metric, Excerpt(frames=3), numbers=(8, 4), **more)


def test_sensitivity_of_a_folder_with_itself_has_no_change_to_tell(sides):
    rows = sensitivity(
        sides[0], sides[0], FvdEvaluator(Means()), EXCERPT, size=16, filters=("area", "bilinear"), strides=(1,),
        numbers=(8,), workers=0,
    )  # fmt: skip
    assert all(row.fvd < 1e-6 and row.change is None for row in rows)


def test_sensitivity_withholds_as_scoring_does(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    (tmp_path / "4.mp4").write_bytes(b"no video")
    with pytest.raises(
        WorkFailed, match=r"^withheld: 1 of 5 fake files cannot be read, more than the 1% .*--bad-files"
    ):
        sensitivity(sides[0], tmp_path, FvdEvaluator(Means()), EXCERPT, size=16, workers=0)


def test_sensitivity_leaves_out_a_stride_for_which_clips_are_too_short_unless_it_was_asked_for(sides, monkeypatch):
    metric, notes = FvdEvaluator(Means()), []
    more = {"size": 16, "filters": ("area",), "covariances": ("n",), "workers": 0}
    rows = sensitivity(*sides, metric, EXCERPT, **more, on_note=notes.append)
    assert {row.stride for row in rows} == {1}
    assert len(notes) == 1 and notes[0].startswith("stride 2 is left out: video ") and "needs 7" in notes[0]
    monkeypatch.setattr("artv_eval.files.sensitivity.describe_files", lambda *a, **k: pytest.fail("all files decoded"))
    with pytest.raises(
        UserError, match=r"^stride 2: video .*0\.mp4 has 6 frames .* needs 7; lower --frames or --strides"
    ):
        sensitivity(*sides, metric, EXCERPT, strides=(1, 2), **more)
    with pytest.raises(UserError, match=r"^stride 1: video .* needs 13"):
        sensitivity(*sides, metric, Excerpt(frames=13), **more)

"""Saved rows of real clips stand in the clips' place, to the last digit, and nowhere else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from video_folders import EXCERPT, Means, clip_file

from artv.errors import UserError
from artv_eval.files.saved_reference import KIND, SavedReference
from artv_eval.files.score import score_folders
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.results.arrays import read_arrays, write_arrays


@pytest.fixture
def folders(tmp_path):
    for k in range(6):
        clip_file(tmp_path / "real" / f"{k}.mp4", 10 + k)
        clip_file(tmp_path / "fake" / f"{k}.mp4", k, shift=5)
    return tmp_path / "real", tmp_path / "fake"


def metrics():
    return [FvdEvaluator(Means()), KvdEvaluator(Means())]


def test_values_and_hashes_are_those_of_the_clips(folders, tmp_path):
    real, fake = folders
    SavedReference.of(real, metrics(), EXCERPT, "files", workers=0).save(tmp_path / "r.npz")
    with_clips, with_rows = (
        score_folders(given, fake, metrics(), EXCERPT, workers=0, protocol_hash="x", resamples=40)
        for given in (real, tmp_path / "r.npz")
    )
    assert with_rows.rows == with_clips.rows and with_rows.rows[0].value is not None


def test_other_conventions_metrics_and_damage_are_named(folders, tmp_path):
    real, fake = folders
    file = tmp_path / "r.npz"
    saved = SavedReference.of(real, metrics()[:1], EXCERPT, "files", workers=0)
    saved.save(file)
    with pytest.raises(UserError, match=r"made with stride 1, and this scoring has stride 2"):
        score_folders(file, fake, metrics()[:1], replace(EXCERPT, stride=2), workers=0)

    class Other(Means):
        digest = "other"

    (row,) = score_folders(file, fake, [KvdEvaluator(Other())], EXCERPT, workers=0).rows
    assert row.status.startswith("absent: r.npz has no rows for kvd under these weights (there: fvd)")
    assert SavedReference.read(file).digest == saved.digest
    arrays = read_arrays(file, KIND)
    write_arrays(file, KIND, {**arrays, "rows-0": arrays["rows-0"] + 1})  # of other rows the same card
    with pytest.raises(UserError, match=r"reference .*r\.npz is damaged: its digest is"):
        SavedReference.read(file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"reference .*r\.npz is damaged or none"):
        SavedReference.read(file)
    with pytest.raises(UserError, match="does not exist; make it with"):
        SavedReference.read(tmp_path / "none.npz")
    with pytest.raises(UserError, match=r"kept in a file \*\.npz"):
        saved.save(tmp_path / "r.pt")
    np.savez(tmp_path / "numbers.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="is damaged or none"):
        SavedReference.read(tmp_path / "numbers.npz")


def test_the_commands(folders, cli, tmp_path):
    real, fake = folders
    options = ("--protocol", "shapes@1", "--metrics", "kvd", "--frames", 4, "--size", 64, "--workers", 0)
    made = cli("reference", "save", tmp_path / "r.npz", "--real", real, *options)
    assert made.code == 0, made.err
    listed = json.loads(cli("reference", "list", tmp_path, "--json").out)
    assert listed[0]["clips"] == 6 and listed[0]["excerpt"]["frames"] == 4 and "kvd" in str(listed[0]["metrics"])
    assert "6 clips" in cli("reference", "list", tmp_path / "r.npz").out
    values = [
        json.loads(cli("score", "--real", given, "--fake", fake, *options, "--no-cache", "--format", "json").out)[
            "rows"
        ]
        for given in (real, tmp_path / "r.npz")
    ]
    assert values[0] == values[1] and values[0][0]["status"] == "ok"
    refused = cli("reference", "save", tmp_path / "d.npz", "--real", real, "--metrics", "flicker")
    assert refused.code == 2 and "flicker compares with no reference" in refused.err

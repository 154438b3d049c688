"""Which reader reads the files of a folder, and what is no file."""

import os
import sys

import numpy as np
import pytest
from video_folders import Means

from artv_eval.files.decoding import Excerpt, decode
from artv_eval.files.score import score_folders
from artv_eval.metrics.frames import FlickerEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.testing.counting import FILES, number, write_counting


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Three files in which decord may jump, two in which it may not."""
    folder = tmp_path_factory.mktemp("mixed")
    for i, name in enumerate(["H.264", "VP9", "HEVC", "MPEG-4, B-frames", "HEVC, open groups"]):
        write_counting(folder / f"{i}.mp4", FILES[name])
    return folder


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_the_centre_of_every_file_is_its_centre(mixed, reader):
    excerpt = Excerpt(frames=16, which="centre", reader=reader)
    for clip in decode(sorted(mixed.iterdir()), excerpt, workers=1):
        assert [number(frame) for frame in clip.shown] == list(range(22, 38)), clip.path


def test_a_note_says_who_read_how_many_also_of_kept_rows(mixed, tmp_path):
    note = "fake: 3 files read by PyAV, decord agreeing, 2 files read by PyAV (docs/readers.md)"
    found = [
        score_folders(None, mixed, [FlickerEvaluator()], Excerpt(frames=8, reader=reader), workers=0, cache=tmp_path)
        for reader in ("decord", "decord", "pyav")
    ]
    assert [note in results.notes for results in found] == [True, True, False]
    assert found[0].rows[0].value == found[1].rows[0].value == found[2].rows[0].value


def test_without_decord_every_file_is_scored(mixed, monkeypatch):
    monkeypatch.setitem(sys.modules, "decord", None)
    results = score_folders(mixed, mixed, [FvdEvaluator(Means())], Excerpt(frames=8), workers=0)
    assert results.rows[0].status == "ok" and results.rows[0].value == pytest.approx(0, abs=1e-6)
    assert "fake: 5 files read by PyAV (docs/readers.md)" in results.notes


def test_a_pipe_among_the_files_is_a_bad_file(mixed, tmp_path):
    for file in mixed.iterdir():
        (tmp_path / file.name).symlink_to(file)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    results = score_folders(None, tmp_path, [FlickerEvaluator()], Excerpt(frames=8), workers=1, bad_files=0.5)
    assert results.rows[0].n == 5 and np.isfinite(results.rows[0].value)
    assert len(results.bad_files) == 2
    assert all("is a pipe or a device; give a file" in bad.reason for bad in results.bad_files)


def test_the_reader_is_chosen_by_name(cli, mixed):
    outcome = cli(
        "score", "--fake", mixed, "--metrics", "flicker", "--frames", "8", "--reader", "pyav", "--workers", "0"
    )
    assert outcome.code == 0 and "decord" not in outcome.out + outcome.err
    wrong = cli("score", "--fake", mixed, "--metrics", "flicker", "--reader", "pyaf")
    assert wrong.code == 2 and "did you mean pyav" in wrong.err
    wrong = cli("sensitivity", "--real", mixed, "--fake", mixed, "--reader", "nowhere")
    assert wrong.code == 2 and "unknown reader 'nowhere'" in wrong.err


def test_two_folders_of_which_no_file_can_be_read_are_not_the_same_clips(tmp_path):
    for side in ("real", "fake"):
        (tmp_path / side).mkdir()
        for i in range(2):
            (tmp_path / side / f"{i}.mp4").write_bytes(side.encode())
    results = score_folders(tmp_path / "real", tmp_path / "fake", [FvdEvaluator(Means())], Excerpt(frames=8), workers=0)
    assert results.rows[0].status.startswith("withheld") and len(results.bad_files) == 4
    assert not any("same clips" in note for note in results.notes)

"""Decoding apart, in processes that may hang or crash."""

import re
import subprocess
import sys

import av
import numpy as np
import pytest
from video_folders import EXCERPT, Means

from artv.video import write_video
from artv_eval.files import decoding
from artv_eval.files.decoding import Decoders, Excerpt, decode
from artv_eval.files.describe import video_files
from artv_eval.files.score import score_folders
from artv_eval.metrics.fvd import FvdEvaluator


def test_workers_give_the_frames_of_the_files_in_order(sides):
    files = video_files(sides[0])
    there, here = (list(decode(files, EXCERPT, workers=workers)) for workers in (2, 0))
    assert [clip.path for clip in there] == files
    for a, b in zip(there, here, strict=True):
        assert a.error is None and a.fps == b.fps == 8
        np.testing.assert_array_equal(a.frames, b.frames)


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov"])
def test_a_video_that_is_cut_off_is_bad_even_where_its_first_frames_are_whole(tmp_path, flags):
    """With its index at the front, readers give the frames that are left: another centre, without a word."""
    rng, whole = np.random.default_rng(0), tmp_path / "whole.mp4"
    with av.open(str(whole), "w", format="mp4", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.options = {"g": "8"}
        for _ in range(40):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = whole.read_bytes()
    for share in (30, 60, 90):
        (tmp_path / f"cut{share}.mp4").write_bytes(data[: len(data) * share // 100])
    (tmp_path / "trailing.mp4").write_bytes(data + bytes(40))
    found = {clip.path.stem: clip.error for clip in decode(video_files(tmp_path), EXCERPT, workers=0)}
    assert [name for name, error in found.items() if error is None] == ["trailing", "whole"]
    assert all(f"{name}.mp4" in error for name, error in found.items() if error)


STAND_IN = """
import sys, time
from artv_eval.files import decoding
real = decoding._answer
def answer(out, path, excerpt, seed):
    if path.name == "3.mp4":
        {what}
    return real(out, path, excerpt, seed)
decoding._answer = answer
decoding.work()
"""


@pytest.mark.parametrize(
    ("what", "reason"), [("time.sleep(60)", "no answer within"), ("import os; os._exit(9)", "crashed")]
)
def test_a_decoder_that_hangs_or_crashes_costs_one_file(sides, monkeypatch, what, reason):
    monkeypatch.setattr(decoding, "WORKER", [sys.executable, "-c", STAND_IN.format(what=what)])
    clips = list(decode(video_files(sides[0]), EXCERPT, workers=1, timeout=6.0))
    assert [clip.path.name for clip in clips if clip.error] == ["3.mp4"]
    assert reason in clips[3].error and "3.mp4" in clips[3].error


def test_stopping_early_leaves_no_worker(sides, monkeypatch):
    started, plain = [], subprocess.Popen

    def start(*args, **options):
        started.append(plain(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    clips = decode(video_files(sides[0]), EXCERPT, workers=2)
    next(clips)
    assert any(process.poll() is None for process in started)
    clips.close()
    assert all(process.poll() is not None for process in started)


def test_the_same_processes_decode_every_folder(sides, monkeypatch):
    started, plain = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(plain(*a, **k)) or started[-1])
    score_folders(*sides, [FvdEvaluator(Means())], EXCERPT, workers=2, resamples=10)
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    with Decoders(5) as decoders:  # no more than there are files
        assert [clip.error for clip in decoders.decode(video_files(sides[0])[:3], EXCERPT)] == [None] * 3
    assert len(started) == 5


def test_a_readers_reason_has_no_place_of_its_source(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3)).astype(np.uint8)
    write_video(tmp_path / "broken.mp4", noise)
    data = bytearray((tmp_path / "broken.mp4").read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)  # the index is whole
    (tmp_path / "broken.mp4").write_bytes(data)
    (clip,) = decode([tmp_path / "broken.mp4"], Excerpt(frames=30), workers=1)
    assert clip.error is not None and "breaks off while reading (decord)" in clip.error
    assert "github" not in clip.error and not re.search(r"\d\d:\d\d:\d\d", clip.error)

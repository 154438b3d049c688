"""Frames between decoding and describing: whatever portions they come in, they are the same array."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from video_folders import clip_file

from artv_eval.files import decoding, spool
from artv_eval.files.excerpts import Excerpt
from artv_eval.files.spool import Spool, SpoolFull, spooled
from artv_eval.results import clips as parts
from artv_eval.results.clips import StoredArray


def frames(T, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (T, 4, 5, 3), np.uint8)


@pytest.mark.parametrize("step", [1, 3, 16, 64, 200])
@pytest.mark.parametrize(("T", "kind"), [(5, np.ndarray), (64, np.ndarray), (65, StoredArray), (150, StoredArray)])
def test_frames_come_back_in_order(T, kind, step):
    given, spool = frames(T), Spool((T, 4, 5, 3))
    for start in range(0, T, step):
        spool.add(given[start : start + step])
    found = spool.frames()
    assert type(found) is kind and found.shape == given.shape and np.array_equal(np.asarray(found), given)
    for at in (slice(1, 4), slice(None, None, 7), slice(T - 2, T), slice(T, 0, -3), -1, 0):
        assert np.array_equal(found[at], given[at])


@pytest.mark.parametrize("T", [9, 80])
def test_room_that_is_filled_in_place_is_kept(T):
    given, spool = frames(T), Spool((T, 4, 5, 3))
    for start in range(0, T, 4):
        room = spool.room(len(given[start : start + 4]))
        room[:] = given[start : start + 4]
        spool.filled(room)
    assert np.array_equal(np.asarray(spool.frames()), given)


def test_parts_of_large_frames_are_found_where_they_lie(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 7 * 4 * 5 * 3)  # 7 frames a part
    given, spool = frames(100), Spool((100, 4, 5, 3))
    spool.add(given)
    found = spool.frames()
    for at in (slice(5, 9), slice(13, 15), slice(95, 100), slice(0, 100, 13)):
        assert np.array_equal(found[at], given[at])


def test_frames_that_never_came_are_an_error_and_no_black_ones():
    spool = Spool((100, 4, 5, 3))
    spool.add(frames(70))
    found = spool.frames()
    assert np.array_equal(found[:64], frames(70)[:64])
    with pytest.raises(OSError, match="holds less than was written"):
        found[64:]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_no_fault_of_the_video(tmp_path, monkeypatch):
    monkeypatch.setattr(spool.tempfile, "TemporaryFile", partial(Path("/dev/full").open, "r+b", buffering=0))
    path = clip_file(tmp_path / "a.mp4", 0, frames=70)
    for workers in (0, 1):
        with pytest.raises(SpoolFull, match=r"disk full.*TMPDIR"):
            list(decoding.decode([path], Excerpt(frames=70), workers=workers))


def test_a_clip_is_read_once_however_often_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 20 * 4 * 5 * 3)
    given, read = frames(70), []

    def part(number, shape):
        read.append(number)
        return given[20 * number :][: shape[0]].copy()

    found = spooled(StoredArray(part, range(0, 70, 20), given.shape, np.uint8))
    assert all(np.array_equal(np.asarray(found), given) for _ in range(3)) and read == [0, 1, 2, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_where_it_cannot_lie_it_is_read_again(monkeypatch):
    monkeypatch.setattr(spool.tempfile, "TemporaryFile", partial(Path("/dev/full").open, "r+b", buffering=0))
    given = frames(70)
    assert spooled(given) is given

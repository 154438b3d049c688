"""Clips in parts: the same frames as an array in memory, whichever slice is asked for, and damage is noticed."""

import io
import zipfile

import numpy as np
import pytest

from artv_eval.api import GeneratedClip
from artv_eval.metrics.base import held
from artv_eval.results import clips
from artv_eval.results.clips import StoredArray, read_through
from artv_eval.results.store import DamagedClip, RunStore

T = 150


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 20 frames, so that small clips have several."""
    monkeypatch.setattr(clips, "PART_BYTES", 20 * 6 * 5 * 3)


@pytest.fixture
def clip(rng=np.random.default_rng(0)):
    frames = rng.integers(0, 256, (T, 6, 5, 3), np.uint8)
    return GeneratedClip(frames, rng.random((T - 1, 3, 2), np.float32), 1.5)


@pytest.fixture
def store(tmp_path, small_parts):
    return RunStore(tmp_path / "run")


@pytest.mark.parametrize(
    "at",
    [
        0,
        -1,
        77,
        slice(None),
        slice(19, 21),
        slice(3, 140, 7),
        slice(100, 2, -3),
        slice(5, 5),
        (slice(10, 70), 2),
        (3, 1),
    ],
)
def test_slices_are_those_of_the_array(store, clip, at):
    store.save_clip("cell", 3, clip)
    found = store.load_clip("cell", 3)
    assert isinstance(found.frames, StoredArray) and isinstance(found.mask, StoredArray)
    np.testing.assert_array_equal(found.frames[at], clip.frames[at])
    np.testing.assert_array_equal(found.mask[at], clip.mask[at])
    assert found.frames.shape == clip.frames.shape and found.frames.dtype == np.uint8 and found.seconds == 1.5


def test_any_npz_reader_reads_the_parts(store, clip):
    store.save_clip("cell", 3, clip)
    with np.load(store.clip_path("cell", 3)) as file:
        names = sorted(name for name in file.files if name.startswith("frames."))
        assert len(names) == 8 and file["parts"].tolist() == [T, 6, 5, 3, 20]
        parts = [file[name].cumsum(0, dtype=np.uint8) for name in names]
        np.testing.assert_array_equal(np.concatenate(parts), clip.frames)


@pytest.mark.parametrize("steps", [(1,) * T, (64, 64, 22), (7, 143)])
def test_frames_may_come_in_any_portions(store, clip, steps):
    """The file is the same, so that its fingerprint is."""
    store.save_clip("whole", 0, clip)
    writer, done = store.clip_writer("portions", 0, clip.frames.shape), 0
    for count in steps:
        writer.add(clip.frames[done : done + count], clip.mask[max(done - 1, 0) : done + count - 1])
        done += count
    writer.finish(2.5)
    assert store.fingerprint("portions", 0) == store.fingerprint("whole", 0)
    assert held(store.load_clip("portions", 0)).mask.tobytes() == clip.mask.tobytes()


def test_what_is_not_whole_is_not_kept(store, clip, tmp_path):
    writer = store.clip_writer("cell", 0, clip.frames.shape)
    writer.add(clip.frames[:100])
    with pytest.raises(ValueError, match="100 of 150 frames came"):
        writer.finish()
    writer = store.clip_writer("cell", 1, clip.frames.shape)
    writer.add(clip.frames[:100])
    writer.drop()
    writer = store.clip_writer("cell", 2, clip.frames.shape)
    with pytest.raises(ValueError, match=r"float64 .* after 0 of a clip of"):
        writer.add(clip.frames / 255)
    writer.drop()
    assert [path for path in (tmp_path / "run" / "clips").rglob("*") if path.is_file()] == []


def test_short_clips_and_those_of_before_are_one_array(store, clip):
    """64 frames are one member; a longer one that an earlier version kept so is read as it is."""
    store.save_clip("cell", 0, GeneratedClip(clip.frames[:64]))
    assert zipfile.ZipFile(store.clip_path("cell", 0)).namelist() == ["of.npy", "frames.npy"]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, of=np.array("cell/1"), frames=clip.frames, mask=clip.mask)
    store.clip_path("cell", 1).write_bytes(buffer.getvalue())
    found = store.load_clip("cell", 1)
    assert isinstance(found.frames, np.ndarray) and found.frames.tobytes() == clip.frames.tobytes()


def test_damage_is_noticed_where_it_is_read(store, clip):
    """Two hundred flipped bits and cut ends: another value never comes out."""
    store.save_clip("cell", 3, clip)
    path = store.clip_path("cell", 3)
    whole, noticed = path.read_bytes(), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data if seed % 10 else data[: rng.integers(len(data))])
        try:
            found = held(store.load_clip("cell", 3))
            assert np.array_equal(found.frames, clip.frames) and np.array_equal(found.mask, clip.mask)
        except DamagedClip:
            noticed += 1
            assert not path.exists()
            path.with_suffix(".damaged").unlink()
    assert noticed > 150


def test_reading_through_finds_damage_of_a_late_part(store, clip):
    store.save_clip("cell", 3, clip)
    path = store.clip_path("cell", 3)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("frames.0006.npy").header_offset + 200
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    found = store.load_clip("cell", 3)
    np.testing.assert_array_equal(found.frames[:100], clip.frames[:100])
    with pytest.raises(DamagedClip, match="set aside"):
        read_through(found)
    assert store.missing("cell", [3]) == [3]


def test_parts_hold_whole_frames_of_large_pictures():
    assert clips.part_length((1000, 480, 832, 3)) == 14 and clips.part_length((1000, 64, 64, 3)) == 64
    assert clips.part_length((1000, 4320, 7680, 3)) == 1

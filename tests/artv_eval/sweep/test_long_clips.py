"""Clips that are made, kept and described a few frames at a time are those that are held whole."""

import numpy as np
import pytest

from artv_eval.api import ClipRequest, NextFrames
from artv_eval.methods.artv import ArtV
from artv_eval.metrics.base import held
from artv_eval.protocols.cards import load
from artv_eval.results import clips
from artv_eval.results.store import RunStore
from artv_eval.sweep.long_clips import store_streams


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "WHOLE", 2)
    return RunStore(tmp_path / "run")


def requests(count, frames=5):
    return [
        ClipRequest(index=7 + i, prompt="", seed=i, num_frames=frames, height=4, width=6, fps=8.0) for i in range(count)
    ]


def streamed(frames, masks=None, failed={}, at_once=2):  # noqa: B006
    for t in range(0, frames.shape[1], at_once):
        mask = None if masks is None else masks[:, max(t - 1, 0) : t + at_once - 1]
        yield NextFrames(frames[:, t : t + at_once], mask, failed.get(t, {}))


@pytest.mark.parametrize("count", [1, 2])
def test_art_v_streams_the_clips_that_it_makes_at_once(store, count):
    """With masks, bit for bit; also alone, where a batch of two is made."""
    wanted = list(load("shapes@1").requests(num=2, frames=4))[:count]
    method = ArtV(steps=2)
    expected = method.generate(wanted)
    assert store_streams(store, "cell", wanted, method.stream(wanted), timed=True) == (count, None)
    for request, clip in zip(wanted, expected, strict=True):
        found = held(store.load_clip("cell", request.index))
        assert found.frames.tobytes() == clip.frames.tobytes() and found.mask.tobytes() == clip.mask.tobytes()
        assert found.seconds > 0


def test_a_failing_clip_costs_no_other(store):
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 6, 3), np.uint8)
    masks = np.random.default_rng(1).random((3, 4, 2, 3), np.float32)
    stream = streamed(frames, masks, {2: {1: "not finite"}})
    assert store_streams(store, "cell", requests(3), stream, timed=False) == (3, None)
    assert store.failures("cell", [7, 8, 9]) == {8: "not finite"}
    for b in (0, 2):
        found = held(store.load_clip("cell", 7 + b))
        np.testing.assert_array_equal(found.frames, frames[b])
        np.testing.assert_array_equal(found.mask, masks[b])
        assert found.seconds is None


def breaks(frames):
    yield NextFrames(frames[:, :2])
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda x: streamed(x[:, :3]), "3 of 5 frames came"),
        (lambda x: streamed(np.concatenate([x, x], 1)), r"after 4 of a clip of \(5, 4, 6, 3\)"),
        (lambda x: streamed(x[:, :, :, :2]), r"frames uint8 \(2, 4, 2, 3\)"),
        (lambda x: streamed(x[:1]), r"streamed uint8 \(1, 2, 4, 6, 3\) for 2 clips"),
        (lambda x: streamed(x, np.full((2, 4, 2, 2), np.nan)), "they must be finite"),
        (lambda x: streamed(x, np.zeros((2, 2, 2, 2))), "masks of 2 of them"),
        (breaks, "out of luck"),
    ],
)
def test_what_is_wrong_with_a_stream_is_said_and_nothing_is_kept(store, made, says):
    frames = np.zeros((2, 5, 4, 6, 3), np.uint8)
    count, error = store_streams(store, "cell", requests(2), made(frames), timed=True)
    assert count == 0
    with pytest.raises(type(error), match=says):
        raise error
    assert store.missing("cell", [7, 8]) == [7, 8]
    assert [path for path in (store.root / "clips").rglob("*") if path.is_file()] == []

"""Describing clips: which tasks there are, what is kept of their results, and that each clip is read once."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from artv_eval.api import ClipRequest, ClipSet, FailedTask, GeneratedClip
from artv_eval.results import clips as stored
from artv_eval.results.store import RunStore
from artv_eval.sweep import describe
from artv_eval.sweep.describe import Group, Rows, each_once

EVALUATORS = {0: SimpleNamespace(digest="a"), 1: SimpleNamespace(digest="b"), 2: SimpleNamespace(digest="a")}


@pytest.fixture
def rows_of(tmp_path):
    """Rows of a cell with so many clips, under three metrics of two digests."""
    store = RunStore(tmp_path / "run")

    def make(count):
        group = Group(name="cell", keys=[f"key {i}" for i in range(count)], positions=range(count), metrics=[0, 1, 2])
        return Rows(store, group, EVALUATORS)

    return make


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [(16, [32, 32, 6]), (64, [16] * 4 + [6]), (240, [4] * 17 + [2]), (1000, [1] * 70), (5000, [1] * 70)],
)
def test_long_clips_are_more_tasks(rows_of, frames, sizes):
    """So that a few of them are work for several processes; every clip is in one task, under one metric a digest."""
    tasks = rows_of(70).tasks(reference=False, frames=frames)
    assert [len(task.indices) for task in tasks] == sizes
    assert [i for task in tasks for i in task.indices] == list(range(70))
    assert all(task.cell == "cell" and task.method == {"metrics": (0, 1), "reference": False} for task in tasks)


def test_only_what_lacks_rows_is_described(rows_of):
    rows = rows_of(40)
    first, second = rows.tasks(reference=True, frames=16)
    rows.take(first, {0: np.arange(64.0).reshape(32, 2), 1: np.ones((32, 1))})
    rows.save()
    again = rows_of(40)
    (left,) = again.tasks(reference=True, frames=16)
    assert left.indices == second.indices == tuple(range(32, 40)) and left.method["reference"]
    again.take(left, {0: np.full((8, 2), 7.0), 1: np.zeros((8, 1))})
    assert again.tasks(reference=True, frames=16) == []
    assert again.of(2).tolist() == again.of(0).tolist() == [*np.arange(64.0).reshape(32, 2).tolist(), *[[7, 7]] * 8]
    assert again.of(1).sum() == 32


def test_a_metric_that_fails_keeps_the_others_and_is_asked_again(rows_of):
    rows = rows_of(3)
    (task,) = rows.tasks(reference=False, frames=16)
    rows.take(task, {0: "absent: no weights", 1: np.ones((3, 1))})
    rows.save()
    assert rows.of(0) == rows.of(2) == "absent: no weights" and rows.of(1).shape == (3, 1)
    (task,) = rows_of(3).tasks(reference=False, frames=16)
    assert task.method["metrics"] == (0,)
    lost = rows_of(3)
    lost.take(task, FailedTask(error="the process was killed"))
    assert lost.of(2) == "failed: the process was killed" and lost.of(1).shape == (3, 1)


@pytest.mark.parametrize(("held", "loads"), [(1 << 28, [0, 1, 2]), (100, [0, 1, 2, 0, 1, 2])])
def test_clips_are_read_once_while_memory_has_room(monkeypatch, held, loads):
    monkeypatch.setattr(describe, "HELD", held)
    read, asked = [], []
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=2, height=4, width=4, fps=8.0)

    class Requests:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            asked.append(i)
            return replace(request, index=i)

    def load(i):
        read.append(i)
        return GeneratedClip(np.full((2, 4, 4, 3), i, np.uint8))

    clips = each_once(ClipSet(Requests(), load))
    for _ in range(2):  # two metrics
        assert [(asked_for.index, int(clip.frames.max())) for asked_for, clip in clips] == [(0, 0), (1, 1), (2, 2)]
    assert read == loads and asked == [0, 1, 2]


@pytest.mark.parametrize(("times", "reads"), [(1, 2), (3, 1)])
def test_long_clips_are_unpacked_once_for_all_metrics(tmp_path, times, reads, monkeypatch):
    """No metric holds them; frames and masks are the same."""
    store = RunStore(tmp_path / "run")
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=80, height=4, width=5, fps=8.0)
    frames = np.random.default_rng(0).integers(0, 256, (80, 4, 5, 3), np.uint8)
    store.save_clip("cell", 0, GeneratedClip(frames, np.full((79, 2, 2), 0.5, np.float32), 1.5))
    unpacked, read_array = [], stored.read_array
    monkeypatch.setattr(stored, "read_array", lambda archive, name: unpacked.append(name) or read_array(archive, name))
    once = each_once(store.clips("cell", [request]), times)
    for _ in range(2):
        ((_, clip),) = once
        assert (
            not isinstance(clip.frames, np.ndarray) and np.array_equal(clip.frames[:], frames) and clip.seconds == 1.5
        )
        assert clip.mask.shape == (79, 2, 2)
    assert sum(name == "frames.0000.npy" for name in unpacked) == reads

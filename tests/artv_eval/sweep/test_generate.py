"""Making what is missing: shards, batches, memory that runs out, and what a method may give."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from scored import scored

from artv.errors import UserError
from artv_eval.api import ClipRequest, FailedClip, FailedTask, GeneratedClip, Task
from artv_eval.executors.serial import SerialExecutor
from artv_eval.results.store import RunStore
from artv_eval.sweep.generate import (
    Done,
    Fault,
    GenerationWork,
    Sent,
    Shard,
    check_clip,
    generate,
    interrupts_held,
    is_out_of_memory,
    pending,
    with_status,
)

REQUEST = ClipRequest(index=7, prompt="a", seed=0, num_frames=3, height=4, width=5, fps=8.0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_shards_share_out_every_clip_once(count):
    parts = [list(Shard.parse(f"{i}/{count}").part(range(20))) for i in range(1, count + 1)]
    assert sorted(i for part in parts for i in part) == list(range(20))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert list(Shard.parse(None).part(range(20))) == list(range(20))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "/", "1.0/2", ""])
def test_what_is_no_shard_is_one_line(text):
    with pytest.raises(UserError, match=r"--shard is .* must be i/n with 1 ≤ i ≤ n, for example 1/4"):
        Shard.parse(text)


def clip(**changes):
    fields = {"frames": np.zeros((3, 4, 5, 3), np.uint8), "mask": np.zeros((2, 2, 2), np.float32), **changes}
    return GeneratedClip(**fields)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((3, 4, 5, 3), np.uint8), "the method gave a ndarray where a GeneratedClip is due"),
        (None, "the method gave a NoneType"),
        (clip(frames=np.zeros((3, 4, 5, 3))), r"clip 7 has frames float64 \(3, 4, 5, 3\); the protocol asks for uint8"),
        (clip(frames=np.zeros((2, 4, 5, 3), np.uint8)), r"clip 7 has frames uint8 \(2, 4, 5, 3\)"),
        (clip(frames=np.zeros((3, 5, 4, 3), np.uint8)), r"clip 7 has frames uint8 \(3, 5, 4, 3\)"),
        (clip(frames=[[1]]), "clip 7 has frames list"),
        (clip(mask=np.zeros((3, 2, 2))), r"clip 7 has a mask \(3, 2, 2\); it must be finite"),
        (clip(mask=np.zeros((2, 4))), r"has a mask \(2, 4\)"),
        (clip(mask=np.full((2, 2, 2), np.nan)), "it must be finite"),
        (clip(mask_steps=np.zeros((5, 3, 2, 2), np.uint8)), r"mask_steps \(5, 3, 2, 2\); they must be uint8"),
        (clip(mask_steps=np.zeros((5, 2, 2, 2))), "they must be uint8"),
    ],
)
def test_a_clip_is_what_was_asked_for(given, words):
    for right in (clip(), clip(mask=None), clip(mask_steps=np.zeros((5, 2, 2, 2), np.uint8))):
        check_clip(right, REQUEST)
    with pytest.raises(ValueError, match=words):
        check_clip(given, REQUEST)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)"), True),
        (RuntimeError("shapes differ"), False),
    ],
)
def test_memory_that_ran_out_is_known_whoever_says_so(error, wanted):
    assert is_out_of_memory(error) is wanted


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "run")


def ready(name="on", **changes):
    """A cell with a method, which is only named here."""
    method = type("Recipe", (), {"named": lambda self: {"name": "toy"}, "to_dict": lambda self: {"name": name}})()
    return replace(scored(name, None).cell, method=method, **changes)


@pytest.mark.parametrize(
    ("shard", "size", "batches"),
    [
        (Shard(), 4, [(0, 2, 3, 4), (5,)]),
        (Shard(), 9, [(0, 2, 3, 4, 5)]),
        (Shard(index=1, count=2), 2, [(0, 2), (4,)]),
        (Shard(index=2, count=2), 2, [(3, 5)]),
    ],
)
def test_what_is_left_is_made_in_batches_by_position(store, shard, size, batches):
    cell = ready()
    store.save_clip(cell.id, 11, GeneratedClip(np.zeros((2, 4, 4, 3), np.uint8)))
    found = pending(store, [cell, cell], [10, 11, 12, 13, 14, 15], shard, size)  # once, however often it is named
    assert [task.indices for task in found] == batches
    assert {(task.cell, task.method["name"]) for task in found} == {(cell.id, "toy")}


def test_a_clip_that_failed_is_not_tried_again_until_that_is_forgotten(store):
    cell = ready()
    store.save_failure(cell.id, 1, "it was\nrefused")
    assert [task.indices for task in pending(store, [cell], [0, 1, 2], Shard(), 9)] == [(0, 2)]
    assert store.failures(cell.id, [0, 1, 2]) == {1: "it was refused"}
    store.forget_faults([cell.id])
    assert [task.indices for task in pending(store, [cell], [0, 1, 2], Shard(), 9)] == [(0, 1, 2)]


def test_clips_of_a_batch_that_failed_are_not_tried_again_and_the_others_are(store):
    cell = ready()
    store.save_fault(cell.id, "out of\nluck", "where", struck=[1, 2])
    store.save_fault(cell.id, "out of luck", "there", struck=[5])
    assert [task.indices for task in pending(store, [cell], range(6), Shard(), 9)] == [(0, 3, 4)]
    assert store.struck(cell.id, range(6)) == [1, 2, 5] and store.fault(cell.id) == "out of luck"
    for index in (1, 2, 5):  # another run has made them since
        store.save_clip(cell.id, index, GeneratedClip(np.zeros((2, 4, 4, 3), np.uint8)))
    assert store.struck(cell.id, range(6)) == []
    store.forget_faults([cell.id])
    assert not list((store.root / "faults").iterdir())


def test_a_fault_of_an_older_version_strikes_all_that_is_not_there(store):
    store.save_fault("a", "out of luck")
    store.save_clip("a", 1, GeneratedClip(np.zeros((2, 4, 4, 3), np.uint8)))
    assert store.struck("a", range(4)) == [0, 2, 3] and store.struck("b", range(4)) == []


def test_cells_that_cannot_run_have_no_tasks(store):
    absent = scored("off", None).cell  # without a method
    assert pending(store, [absent, ready(status="not available: x")], [0, 1], Shard(), 9) == []


class Work:
    """Answers each task by what stands in a table, and notes what it waited for."""

    def __init__(self, answers, store=None):
        self.answers, self.store, self.waited = answers, store, []

    def __call__(self, task):
        return self.answers[task.cell].pop(0)

    def wait_for(self, task):
        self.waited.append(task.indices)


def test_the_first_fault_of_a_cell_counts_and_the_others_go_on():
    tasks = [Task(cell=name, method={}, indices=(i,)) for i, name in enumerate("abab")]
    faults = [FailedTask(error="one"), FailedTask(error="two")]
    made = []
    work = Work({"a": list(faults), "b": [Done(clips=1), Done(clips=1)]})
    found = generate(SerialExecutor(), work, tasks, lambda task, clips: made.append((task.cell, clips)))
    assert found == {"a": Fault(first=faults[0], positions=(0, 2))} and made == [("b", 1), ("b", 1)]


def test_what_another_process_makes_is_waited_for_and_asked_for_again():
    task = Task(cell="a", method={}, indices=(0, 1, 2))
    work = Work({"a": [Done(clips=1, elsewhere=(1, 2)), Done(clips=1, elsewhere=(2,)), Done(clips=1)]})
    assert generate(SerialExecutor(), work, [task]) == {} and work.waited == [(1, 2), (2,)]


def test_clips_made_where_the_folder_is_not_seen_come_into_it(store, tmp_path):
    away = RunStore(tmp_path / "away")
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    away.save_clip("a", 3, GeneratedClip(frames))
    away.note_making("a", [3], {"device": "a GPU", "host": "elsewhere"})
    work = Work({"a": [Sent(result=Done(clips=1), files=away.packed())]}, store)
    assert generate(SerialExecutor(), work, [Task(cell="a", method={}, indices=(0,))]) == {}
    assert np.array_equal(store.load_clip("a", 3).frames, frames)
    assert store.made_on("a") == {3: {"device": "a GPU", "host": "elsewhere"}}


def keeping(store, indices):
    """Work whose method is there, and a task of all its requests."""
    work = GenerationWork(manager=None, protocol={}, num=len(indices), frames=3, seed=0, run=store.root, runtime={})
    work.store, work.requests = store, [replace(REQUEST, index=index) for index in indices]
    work._method = "a", type("Method", (), {"timed": True})()
    return work, Task(cell="a", method={}, indices=tuple(range(len(indices))))


def test_clips_made_together_are_stored_up_to_the_first_that_is_wrong(store):
    work, task = keeping(store, range(9))
    counted = []
    work.on_clip = counted.append
    clips = [clip(frames=np.full((3, 4, 5, 3), i, np.uint8)) for i in range(9)]
    clips[2], clips[7] = FailedClip("it was refused"), None
    made, error = work._keep_all(task, work.requests, clips, 0.5)
    assert made == len(counted) == 7 and "NoneType" in str(error)
    for i in (0, 1, 3, 4, 5, 6):
        kept = store.load_clip("a", i)
        assert (kept.frames == i).all() and kept.seconds == 0.5
    assert store.missing("a", range(9)) == [2, 7, 8] and store.failures("a", range(9)) == {2: "it was refused"}
    made, error = work._keep_all(task, work.requests, clips[:2], 0.5)
    assert made == 2 and str(error) == "the method gave 2 clips for 9 requests"


def test_what_the_disk_refuses_of_clips_stored_together_is_raised(store):
    work, task = keeping(store, [0, 10**300, 2])  # a name that no file system has room for
    with pytest.raises(OSError, match="File name too long"):
        work._keep_all(task, work.requests, [clip()] * 3, 0.5)
    assert store.fingerprint("a", 0) is not None


def test_failed_cells_are_marked_and_those_without_a_method_keep_their_reason():
    cells = [ready("on"), ready("off"), scored("gone", None, status="not installed: x").cell]
    found = with_status(cells, {cells[0].id: "out of memory", cells[2].id: "y"})
    assert [cell.status for cell in found] == ["failed: out of memory", "ok", "not installed: x"]


def test_an_interruption_waits_until_what_was_made_is_stored():
    stored = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        stored.append("clip")
    assert stored == ["clip"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interruption_does_not_wait():
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one came through")


def test_other_threads_get_no_interruption_and_hold_none():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]

"""Reading ahead: the same batches and one line for an error, whatever the number of workers and their room."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from torch.utils.data import Dataset

from artv.data import loading
from artv.data.loading import ROOM, read_ahead
from artv.data.readers import open_video
from artv.errors import UserError, WorkFailed
from artv.video import write_video

SCRIPT = """
import torch
from torch.utils.data import TensorDataset
from artv.data.loading import read_ahead
data = TensorDataset(torch.arange(4_000_000.).reshape(40, -1))
print(sum(float(x.sum()) for x, in read_ahead(data, num_workers=2, batch_size=4)))
"""


def test_too_little_shared_memory(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    mount = "mount -t tmpfs -o size=64k none /dev/shm"
    inside = f"{mount} && exec {sys.executable} {tmp_path / 'script.py'}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs privileges that this user has not")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside], capture_output=True, text=True, timeout=120, check=False
    )
    plain = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.returncode == 0 and done.stdout == plain.stdout
    assert "/dev/shm has room for 0 MiB" in done.stderr and "Traceback" not in done.stderr


class Numbers(Dataset):
    """0 … 11; from ``broken`` on an error of ours, or one of Python's."""

    def __init__(self, broken=None, error=None):
        self.broken, self.error = broken, error

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if self.broken is not None and i >= self.broken:
            raise self.error
        return i


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_and_without_workers(workers):
    batches = read_ahead(Numbers(), num_workers=workers, batch_size=5, collate_fn=list)
    assert list(batches) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [UserError("clip 7 is broken; make it again"), WorkFailed("the disk is gone")])
def test_an_error_of_ours_is_its_one_line_wherever_it_was_raised(workers, error):
    batches = read_ahead(Numbers(4, error), num_workers=workers, batch_size=2, collate_fn=list)
    assert [next(batches), next(batches)] == [[0, 1], [2, 3]]
    with pytest.raises(WorkFailed) as caught:
        next(batches)
    assert str(caught.value) == str(error)


def test_an_error_that_nobody_foresaw_stays_what_it_is():
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(Numbers(0, ZeroDivisionError("x")), num_workers=0, batch_size=1))


class Freed(Dataset):
    """1: what ``witness`` refers to is gone; garbage is freed before the answer."""

    def __init__(self, witness):
        self.witness = witness

    def __len__(self):
        return 2

    def __getitem__(self, i):
        gone = self.witness() is None
        gc.collect()
        return int(gone)


def in_a_circle(path):
    """A reader with decoding threads that only the collector of garbage can free, not referred to by anything else."""
    video = open_video(path, "pyav")
    video.frames(range(4))
    video.itself = video
    return weakref.ref(video)


def test_a_reader_that_is_garbage_is_freed_where_its_threads_are(tmp_path):
    # a worker that frees it waits for threads that only its parent has (by hand: three of four did, for ever)
    path = tmp_path / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3)).astype(np.uint8))
    gc.disable()
    try:
        batches = read_ahead(Freed(in_a_circle(path)), num_workers=1, batch_size=2, collate_fn=list, patience=30)
        assert list(batches) == [[1, 1]]
    finally:
        gc.enable()


MIB = 2**20


@pytest.mark.parametrize(
    ("free", "workers", "batch", "ahead"),
    [
        (2**62, 0, 0, 0),
        (2**62, 4, 0, 2),
        (ROOM, 4, 0, 2),
        (ROOM - 1, 4, 0, 0),
        (1024 * MIB, 4, 64 * MIB, 2),  # half of the room: 512 MiB for 4 × 64 MiB, twice
        (1024 * MIB, 4, 65 * MIB, 1),
        (1024 * MIB, 4, 128 * MIB, 1),
        (1024 * MIB, 4, 129 * MIB, 0),
    ],
)
def test_how_many_batches_find_room(monkeypatch, capsys, free, workers, batch, ahead):
    monkeypatch.setattr(loading, "shared_memory", lambda: free)
    assert loading._batches_ahead(workers, batch) == ahead
    said = capsys.readouterr().err
    assert ("too little for 4 worker processes" in said) == (ahead == 0 and workers > 0)


def test_the_note_says_how_much_would_do(monkeypatch, capsys):
    monkeypatch.setattr(loading, "shared_memory", lambda: 1000 * MIB)
    assert loading._batches_ahead(4, 150 * MIB) == 0
    assert "has room for 1000 MiB" in (said := capsys.readouterr().err) and "give it 1200 MiB" in said
    monkeypatch.setattr(loading, "shared_memory", lambda: 1200 * MIB)
    assert loading._batches_ahead(4, 150 * MIB) == 1


@pytest.mark.parametrize(
    ("cores", "processes", "expected"), [(1, 1, 2), (16, 1, 16), (64, 1, 16), (64, 4, 16), (16, 4, 4)]
)
def test_each_process_of_a_machine_has_its_share_of_readers(monkeypatch, cores, processes, expected):
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert loading.readers() == expected

"""Clips of a training: those of the world itself, each once, and the share of them that a process has."""

import itertools

import numpy as np
import pytest
import torch

from artv.data.clips import write_shapes
from artv.data.shapes import ShapesWorld
from artv.data.shapes_long import LongShapesWorld
from artv.errors import UserError
from artv.training import clips as module
from artv.training import processes
from artv.training.clips import Clips
from artv.training.config import load_config

CPU = torch.device("cpu")


def made(split="train", **settings):
    return Clips(load_config("shapes", **{"clips": 5, "num_frames": 3, "size": 16, "seed": 4, **settings}), CPU, split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_they_are_the_worlds(split):
    frames, captions = made(split).load(5)
    expected = ShapesWorld(split, 4, 3, 16).batch(range(5))
    assert torch.equal(frames, expected.frames) and captions == expected.captions
    assert frames.dtype == torch.uint8 and frames.shape == (5, 3, 3, 16, 16)


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 9])
def test_as_many_as_are_asked_for_and_there(limit, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    frames, captions = made().load(limit)
    assert len(frames) == len(captions) == min(limit, 5)
    assert torch.equal(frames, ShapesWorld("train", 4, 3, 16).batch(range(min(limit, 5))).frames)


def test_chosen_ones_in_the_order_that_they_were_chosen_in():
    ((frames, captions),) = made().batches([3, 0])
    expected = ShapesWorld("train", 4, 3, 16).batch([3, 0])
    assert torch.equal(frames, expected.frames) and captions == expected.captions


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_them_and_none_is_left_out(monkeypatch, world):
    monkeypatch.setattr(processes, "world", lambda: world)
    seen = []
    for rank in range(world):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        seen.append([caption for _, captions in made().batches() for caption in captions])
    everything = ShapesWorld("train", 4, 3, 16).batch(range(5)).captions
    assert sorted(itertools.chain(*seen)) == sorted(everything)
    assert max(map(len, seen)) - min(map(len, seen)) <= 1


def test_each_process_needs_one(monkeypatch):
    monkeypatch.setattr(processes, "world", lambda: 6)
    with pytest.raises(UserError, match="5 clips for 6 processes; give at least one clip for each"):
        made()


def test_windows_of_long_clips_begin_anywhere_within_the_horizon():
    frames, _ = made(world=2, horizon=12, clips=8, num_frames=4).load(8)
    world = LongShapesWorld("train", 4, 4, 16)
    starts = world.starts(np.arange(8, dtype=np.uint64), 12)
    assert len(set(starts.tolist())) > 1 and starts.max() <= 8
    for i, start in enumerate(starts.tolist()):
        long = LongShapesWorld("train", 4, start + 4, 16).batch([i])
        assert torch.equal(frames[i], long.frames[0, start:])


@pytest.mark.parametrize(("device", "count"), [("cpu", 2_048), ("cuda", 65_536)])
def test_how_many_there_are_unless_it_is_said(device, count):
    assert Clips(load_config("shapes"), torch.device(device)).count == count
    assert Clips(load_config("shapes", clips=7), torch.device(device)).count == 7


def test_no_batch_is_of_two_groups(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    sizes = [(len(frames), captions) for frames, captions in made().batches([3, 0, 1], [2, 4])]
    names = ShapesWorld("train", 4, 3, 16).batch(range(5)).captions
    assert sizes == [(2, [names[3], names[0]]), (1, [names[1]]), (2, [names[2], names[4]])]


def test_columns_of_a_folders_table_that_nothing_reads_are_told(tmp_path, capsys):
    write_shapes(tmp_path, 2, num_frames=3)
    lines = (tmp_path / "captions.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "captions.csv").write_text(
        "\n".join(f"{x},{'split' if not i else 'test'}" for i, x in enumerate(lines))
    )
    capsys.readouterr()
    made(data=str(tmp_path))
    said = f"artv: {tmp_path / 'captions.csv'}: 1 column not used (split): of each line file and caption are read"
    assert capsys.readouterr().err.count(said) == 1

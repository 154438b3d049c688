"""Crops of a frame: cut out and put back, at every level's size."""

import torch

from artv.networks.crops import Crops

CROPS = Crops(rows=(0, 2), corners=((2, 4), (0, 2)), size=(4, 2))
MAP = torch.arange(3 * 2 * 8 * 8.0).view(3, 2, 8, 8)


def test_a_crop_is_its_part_of_its_row():
    assert torch.equal(CROPS.crop(MAP), torch.stack([MAP[0, :, 2:6, 4:6], MAP[2, :, 0:4, 2:4]]))
    assert CROPS.positions == 2 * 4 * 2


def test_of_a_map_of_half_the_size_it_is_the_same_place():
    half = MAP[:, :, ::2, ::2]
    assert torch.equal(CROPS.crop(half, 2), CROPS.crop(MAP)[:, :, ::2, ::2])


def test_pasting_changes_the_crops_and_nothing_else():
    into = torch.zeros_like(MAP)
    CROPS.paste(into, CROPS.crop(MAP) + 1)
    inside = torch.zeros(3, 8, 8, dtype=torch.bool)
    inside[0, 2:6, 4:6] = inside[2, 0:4, 2:4] = True
    assert torch.equal(into, (MAP + 1) * inside[:, None])


def test_what_is_no_map_is_taken_by_rows():
    assert CROPS.take(torch.tensor([5, 6, 7])).tolist() == [5, 7]
    assert Crops((), (), (2, 2)).take(torch.tensor([5, 6, 7])).tolist() == []


def test_whole_frames_are_not_copied():
    whole = Crops.whole(3, (8, 8))
    assert whole.crop(MAP) is MAP and whole.take(MAP) is MAP
    assert whole.crop(MAP[:, :, :4, :4], 2).shape == (3, 2, 4, 4)

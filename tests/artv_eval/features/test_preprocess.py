"""Scaling and cropping of clips, against Pillow, torchvision and what a box does by hand."""

import io
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TV

from artv.errors import UserError
from artv_eval.features.preprocess import FILTERS, Transform, centre_crop, resize


def clip(height=12, width=18, frames=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def tensor(clip_THWC):
    return torch.from_numpy(clip_THWC).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "mode"), [("bilinear-antialias", "bilinear"), ("bicubic-antialias", "bicubic")])
@pytest.mark.parametrize("size", [(6, 9), (5, 31), (24, 7)])
def test_antialiased_filters_are_torchvisions(name, mode, size):
    x = tensor(clip()).float()
    wanted = TV.resize(x, list(size), interpolation=TV.InterpolationMode(mode), antialias=True)
    assert torch.allclose(resize(x, size, name), wanted, atol=1e-3)


@pytest.mark.parametrize("size", [(6, 9), (20, 40)])
def test_lanczos_is_pillows(size):
    given = clip()
    wanted = [np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.LANCZOS)) for frame in given]
    assert np.array_equal(resize(tensor(given), size, "lanczos").permute(0, 2, 3, 1).numpy(), np.stack(wanted))
    with pytest.raises(UserError, match=r"takes uint8, not torch\.float32"):
        resize(tensor(given).float(), size, "lanczos")


def test_an_area_of_whole_pixels_is_their_mean_rounded():
    given = clip(12, 18)
    mean = given.reshape(2, 4, 3, 6, 3, 3).mean((2, 4))
    assert np.array_equal(resize(tensor(given), (4, 6), "area").permute(0, 2, 3, 1).numpy(), np.round(mean))


@pytest.mark.parametrize("name", FILTERS)
def test_uint8_is_rounded_and_never_leaves_its_range(name):
    sharp = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    sharp[..., ::3, :] = 255
    found, exact = resize(sharp, (13, 13), name), resize(sharp.float(), (13, 13), name)
    assert found.dtype == torch.uint8 and torch.equal(found.float(), exact.round().clamp(0, 255))
    assert resize(sharp, (8, 8), name) is sharp


@pytest.mark.parametrize("size", [(5, 5), (6, 9), (9, 6), (7, 10)])
@pytest.mark.parametrize("crop", [1, 2, 5, "largest"])
def test_a_crop_is_in_the_middle_to_half_a_pixel(size, crop):
    x = torch.arange(size[0] * size[1]).view(1, 1, *size)
    side = min(size) if crop == "largest" else crop
    found = centre_crop(x, crop)
    top, left = divmod(int(found[0, 0, 0, 0]), size[1])
    assert found.shape == (1, 1, side, side)
    assert 0 <= (size[0] - side) - 2 * top <= 1 and 0 <= (size[1] - side) - 2 * left <= 1


def test_what_does_not_fit_is_one_line():
    with pytest.raises(UserError, match="a crop of 13 pixels does not fit a picture of 12 x 18; scale it up first"):
        Transform(crop=13)(clip())
    with pytest.raises(UserError, match="resize filter is 'bilinaer'; did you mean bilinear"):
        resize(tensor(clip()), (4, 4), "bilinaer")


OPTIONS = list(product([None, 10, 30], [None, 8, "largest"], [None, 7]))


@pytest.mark.parametrize(("shorter_side", "crop", "size"), OPTIONS)
@pytest.mark.parametrize("shape", [(12, 18), (19, 11)])
def test_steps_come_in_their_order_and_their_size_is_known_before(shorter_side, crop, size, shape):
    given, transform = clip(*shape), Transform(shorter_side=shorter_side, crop=crop, size=size, filter="bicubic")
    found = transform(given)
    assert found.shape[1:3] == transform.output_size(*shape) and found.dtype == np.uint8
    x = tensor(given)
    if shorter_side:
        scale = shorter_side / min(shape)
        x = resize(x, (round(shape[0] * scale), round(shape[1] * scale)), "bicubic")
    x = x if crop is None else centre_crop(x, crop)
    x = x if size is None else resize(x, (size, size), "bicubic")
    assert np.array_equal(found, x.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("quality", [5, 75, 95])
def test_jpeg_is_what_pillow_stores_and_reads(quality):
    given = clip(16, 16)
    stored = []
    for frame in given:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
        stored.append(np.asarray(Image.open(buffer)))
    assert np.array_equal(Transform(jpeg=quality)(given), np.stack(stored))


def test_nothing_to_do_leaves_the_clip_alone():
    given = clip()
    assert Transform(filter="area")(given) is given

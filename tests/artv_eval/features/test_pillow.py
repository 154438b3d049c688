"""Resampling to the bit of Pillow's, and CLIP's pictures to the bit of open_clip's own transform."""

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from artv_eval.features.clip import Pictures
from artv_eval.features.pillow import KERNELS, pillow_resize

RNG = np.random.default_rng(0)
SIZES = [(240, 320), (320, 240), (256, 256), (64, 64), (480, 256), (224, 224), (225, 224), (224, 227), (720, 405)]
SIZES += [tuple(RNG.integers(40, 420, 2).tolist()) for _ in range(31)]


def picture(height, width, seed=0):
    """Noise, smooth in part, so that neither ties nor cut-off values are rare."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    noise[: height // 2] = noise[: height // 2] // 255 * 255
    noise[:, : width // 3] = rng.integers(0, 256, 3)
    return noise


def tensor(array):
    return torch.from_numpy(array).permute(2, 0, 1)[None]


@pytest.mark.parametrize("filter", KERNELS)
@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.13, 0.13), (2.25, 2.25), (1, 0.4), (1, 1.7), (0.3, 1), (3, 1)])
def test_resampling_is_pillows(filter, scale):
    for height, width in SIZES[:6]:
        size, image = (round(height * scale[0]), round(width * scale[1])), picture(height, width)
        expected = Image.fromarray(image).resize(size[::-1], Image.Resampling[filter.upper()])
        found = pillow_resize(tensor(image), size, filter)[0].permute(1, 2, 0)
        np.testing.assert_array_equal(found.numpy(), np.asarray(expected))


def test_a_crop_is_a_part_of_the_whole():
    image, crop = tensor(picture(40, 70)), (slice(3, 9), slice(5, 20))
    for size in ((20, 33), (40, 33), (20, 70), (40, 70)):
        assert torch.equal(pillow_resize(image, size, crop=crop), pillow_resize(image, size)[:, :, 3:9, 5:20])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clip_sees_what_open_clips_transform_gives(height, width):
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    image = picture(height, width, seed=height)
    expected = image_transform(224, is_train=False, mean=mean, std=std)(Image.fromarray(image))
    found = Pictures(224, mean, std)(tensor(image))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-6)


def test_clip_squashes_where_the_model_says_so():
    image = picture(100, 180)
    expected = image_transform(64, is_train=False, mean=(0.5,) * 3, std=(0.5,) * 3, resize_mode="squash")
    found = Pictures(64, (0.5,) * 3, (0.5,) * 3, mode="squash")(tensor(image))
    torch.testing.assert_close(found[0], expected(Image.fromarray(image)), rtol=0, atol=1e-6)

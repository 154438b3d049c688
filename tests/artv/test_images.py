"""Pictures of users, whatever they are, as uint8 RGB of the size that is made."""

import numpy as np
import pytest
from PIL import Image

from artv.errors import UserError
from artv.images import load_image, load_images, on_white

GREY_OF_RED = round(0.299 * 255)  # ITU-R BT.601


@pytest.mark.parametrize("source", ["file", "image"])
@pytest.mark.parametrize(
    ("mode", "colour"),
    [
        ("RGB", (255, 0, 0)),
        ("RGBA", (255, 0, 0)),
        ("P", (255, 0, 0)),
        ("CMYK", (255, 0, 0)),
        ("L", (GREY_OF_RED,) * 3),
        ("LA", (GREY_OF_RED,) * 3),
    ],
)
def test_a_red_picture_of_any_mode_and_size(mode, colour, source, tmp_path):
    picture = Image.new("RGB", (90, 40), "red").convert(mode)
    if source == "file":
        picture.save(tmp_path / ("x.tif" if mode == "CMYK" else "x.png"))
        picture = next(tmp_path.iterdir())
    found = load_image(picture, 64, 48)
    assert found.dtype == np.uint8 and found.shape == (64, 48, 3)
    assert np.abs(found.astype(int) - colour).max() <= 1


def test_black_and_white_keeps_the_share_of_white():
    found = load_image(Image.new("L", (64, 64), 128).convert("1"), 64, 64)  # dithered
    assert set(np.unique(found)) == {0, 255} and abs(found.mean() - 128) < 4


def test_what_is_transparent_lets_white_through():
    half = Image.new("RGBA", (1, 1), (0, 0, 200, 51))  # a fifth of blue over white
    assert np.asarray(on_white(half))[0, 0].tolist() == [204, 204, 244]


def test_the_centre_is_kept():
    stripes = np.zeros((10, 30, 3), np.uint8)
    stripes[:, 10:20] = 255
    assert load_image(stripes, 10, 10).min() == 255
    assert load_image(stripes.transpose(1, 0, 2).copy(), 10, 10).min() == 255


def test_exif_rotation_is_applied(tmp_path):
    image = Image.fromarray(np.concatenate([np.zeros((32, 64, 3)), np.full((32, 64, 3), 255)]).astype(np.uint8))
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "x.jpg", exif=exif)
    turned = load_image(tmp_path / "x.jpg", 64, 64)
    assert turned[:20].mean() > 200 and turned[-20:].mean() < 50


def test_one_for_all_or_one_for_each():
    red, blue = (np.full((4, 4, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    assert load_images(red, 2, 4, 4).shape == (2, 4, 4, 3)
    assert load_images([red, blue], 2, 4, 4)[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert np.array_equal(load_images(np.stack([red, blue]), 2, 4, 4), np.stack([red, blue]))
    with pytest.raises(UserError, match="1 images for 2 prompts; give one for each prompt, or one for all"):
        load_images([red], 2, 4, 4)


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_an_array_that_is_no_picture(array):
    with pytest.raises(UserError, match="it must be uint8"):
        load_image(array, 4, 4)


def test_a_file_that_is_no_picture(tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(UserError, match=r"x\.png cannot be read") as caught:
        load_image(tmp_path / "x.png", 4, 4)
    assert "\n" not in str(caught.value)

"""Clips that another program wrote: the frames it wrote, in their order, or a line that names the file."""

import re

import numpy as np
import pytest
from PIL import Image

from artv.errors import UserError
from artv_eval.api import ClipRequest
from artv_eval.methods.written_clips import read_clip, read_pictures

T, H, W = 3, 4, 6
REQUEST = ClipRequest(index=0, prompt="a", seed=0, num_frames=T, height=H, width=W, fps=8.0)


def frames(count=T, height=H, width=W):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def read(path):
    return read_clip(path, REQUEST, None, "pyav")  # no decoder is asked for pictures and arrays


def pictures(folder, images, names=None):
    folder.mkdir()
    for k, image in enumerate(images):
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
            folder / (names[k] if names else f"{k}.png")
        )
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["0.png", "1.png", "2.png"],
        ["frame_8.png", "frame_9.png", "frame_10.png"],  # by number, not by letter
        ["run2_frame09.png", "run2_frame10.png", "run1_frame11.PNG"],  # by the last number
    ],
)
def test_pictures_are_in_the_order_of_their_numbers(tmp_path, names):
    given = frames()
    assert np.array_equal(read(pictures(tmp_path / "clip", given, names)), given)


def test_more_frames_than_are_asked_for_are_left_out(tmp_path):
    given = frames(5)
    np.save(tmp_path / "clip.npy", given)
    assert np.array_equal(read(tmp_path / "clip.npy"), given[:T])
    assert np.array_equal(read(pictures(tmp_path / "clip", given)), given[:T])


def test_what_is_clear_stands_on_white_and_grey_is_grey(tmp_path):
    clear = np.zeros((H, W, 4), np.uint8)
    clear[0, 0] = 10, 20, 30, 255
    images = [
        Image.fromarray(clear),
        Image.fromarray(np.full((H, W), 77, np.uint8)),
        Image.fromarray(frames()[0]).quantize(4),
    ]
    found = read(pictures(tmp_path / "clip", images))
    assert found[0, 0, 0].tolist() == [10, 20, 30] and (found[0, 1:] == 255).all() and (found[1] == 77).all()
    assert np.array_equal(found[2], np.asarray(images[2].convert("RGB")))


def deep(folder):
    return pictures(folder, [Image.fromarray(np.full((H, W), 40_000, np.uint16))] * T)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: pictures(path, frames(2)), "clip has 2 frames; 3 are due"),
        (lambda path: pictures(path, frames(height=5)), "clip is 6×5 (width × height); 6×4 is due"),
        (lambda path: pictures(path, [*frames(2), frames(1, width=7)[0]]), "clip holds pictures of several sizes"),
        (lambda path: pictures(path, frames(), ["a.png", "1.png", "2.png"]), "clip/a.png has no number in its name"),
        (
            lambda path: pictures(path, frames(), ["0000-seed42.png", "0001-seed42.png", "0002-seed42.png"]),
            "clip has 0000-seed42.png and 0001-seed42.png, both with the last number 42, so that their order",
        ),
        (deep, "it must have 8 bits a channel"),
        (lambda path: path.mkdir(), "clip has 0 frames; 3 are due"),
    ],
)
def test_what_is_wrong_with_pictures_is_named(tmp_path, make, words):
    make(tmp_path / "clip")
    with pytest.raises(UserError, match=re.escape(words)):
        read(tmp_path / "clip")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (frames(2), "clip.npy has 2 frames; 3 are due"),
        (frames(height=5), "clip.npy is 6×5 (width × height); 6×4 is due"),
        (frames().astype(np.float32), "clip.npy is float32 (3, 4, 6, 3); it must be uint8 (T, H, W, 3)"),
        (frames()[..., 0], "clip.npy is uint8 (3, 4, 6); it must be uint8"),
        (frames().transpose(0, 3, 1, 2), "clip.npy is uint8 (3, 3, 4, 6); it must be uint8 (T, H, W, 3)"),
        (np.array([{}]), "clip.npy is no array of numpy's"),
    ],
)
def test_what_is_wrong_with_an_array_is_named(tmp_path, array, words):
    np.save(tmp_path / "clip.npy", array)
    with pytest.raises(UserError, match=re.escape(words)):
        read(tmp_path / "clip.npy")


@pytest.mark.parametrize("data", [b"", b"no numpy", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_array_is_named(tmp_path, data):
    (tmp_path / "clip.npy").write_bytes(data)
    with pytest.raises(UserError, match=r"clip.npy is no array of numpy's: "):
        read(tmp_path / "clip.npy")


def test_a_folder_that_grows_is_read_from_where_one_was(tmp_path):
    given = frames(5)
    folder = pictures(tmp_path / "clip", given)
    assert np.array_equal(read_pictures(folder, REQUEST, 1, 4), given[1:4])
    with pytest.raises(UserError, match="clip has 5 frames; 6 are due"):
        read_pictures(folder, REQUEST, 4, 6)
    with pytest.raises(UserError, match="nothing is no folder of pictures"):
        read_pictures(tmp_path / "nothing", REQUEST, 0, 1)
    with pytest.raises(UserError, match=r"wide is 7×4 .* 6×4 is due"):
        read_pictures(pictures(tmp_path / "wide", frames(width=7)), REQUEST, 0, 2)

"""What a user's picture is as an anchor, and strategies asked one frame at a time."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from artv.anchors import ANCHORS, Blend, GivenImage, NoAnchor, Past, Sliding, UserImage, anchor_strategy
from artv.errors import UserError


def past(index, current=None, *, batch=2):
    """Latents of which each value says what it is: 0 the first, 1 the newest, 2 the prompt's, 3 the anchor so far."""
    first, newest, prompt_anchor, so_far = (torch.full((batch, 1, 2, 2), float(i)) for i in range(4))
    now = so_far if current else None
    return Past(index=index, prompt=0, first=first, newest=newest, prompt_anchor=prompt_anchor, current=now)


def number(latent):
    return None if latent is None else latent.unique().item()


@pytest.mark.parametrize(
    ("name", "expected"), [("first", 0), ("last-of-prompt", 2), ("sliding", 3), ("blend", 2.8), ("none", None)]
)
def test_each_strategy_by_its_name(name, expected):
    assert number(anchor_strategy(name)(past(3, current=True))) == pytest.approx(expected)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_sliding_takes_the_newest_at_frame_one_and_every_so_many_after_it(every):
    taken = [i for i in range(1, 30) if number(Sliding(every=every)(past(i, current=True))) == 1]
    assert taken == list(range(1, 30, every))
    assert number(Sliding(every=every)(past(4))) == 1, "where there is none yet, the newest"


@pytest.mark.parametrize("keep", [0, 0.25, 1])
def test_a_blend_begins_with_the_first_frame(keep):
    assert number(Blend(keep=keep)(past(1))) == pytest.approx(1 - keep)
    assert number(Blend(keep=keep)(past(2, current=True))) == pytest.approx(keep * 3 + (1 - keep))


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2, 2)])
def test_a_given_latent_is_every_samples_and_takes_their_precision(shape):
    seen = past(1)
    half = Past(**{**vars(seen), "first": seen.first.half()})
    found = GivenImage(latent=torch.full(shape, 5.0))(half)
    assert found.shape == (2, 1, 2, 2) and found.dtype == torch.float16 and number(found) == 5


def test_no_anchor_whatever_there_was():
    assert NoAnchor()(past(7, current=True)) is None


def test_every_name_makes_a_strategy_that_is_its_own_name():
    for name in ANCHORS:
        given = {"name": name, "picture": "a.png"} if name == "image" else name
        assert anchor_strategy(given) == anchor_strategy(anchor_strategy(given))


def test_a_file_with_a_colon_in_its_name():
    assert anchor_strategy("image:C:\\a:b.png") == UserImage(picture="C:\\a:b.png")


@pytest.mark.parametrize("given", ["image:", {"name": "image", "picture": ""}])
def test_an_image_without_a_name(given):
    with pytest.raises(UserError, match=r"anchor image names no picture; write image:FILE"):
        anchor_strategy(given)


def test_the_digest_is_of_what_is_in_the_file(tmp_path):
    """SHA-256 by hashlib: another picture under the same name is another anchor, a copy elsewhere is the same one."""
    file, copy = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file)
    copy.write_bytes(file.read_bytes())
    before = UserImage(picture=str(file)).digest()
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(before) and len(before) == 16
    assert UserImage(picture=copy).digest() == before
    Image.fromarray(np.full((4, 4, 3), 255, np.uint8)).save(file)
    assert UserImage(picture=str(file)).digest() != before


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_what_is_no_picture_is_told_before_it_is_digested(tmp_path, content):
    file = tmp_path / "a.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png"):
        UserImage(picture=str(file)).digest()

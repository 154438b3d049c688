"""Pictures of clips for the page: every frame is where the page looks for it, and the small ones are exact."""

import base64
import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from artv_eval.api import GeneratedClip
from artv_eval.report import previews as module
from artv_eval.report.previews import beside, previews, within
from artv_eval.results.store import RunStore

REQUESTS = [{"index": index} for index in (0, 3)]


def clip(frames=5, height=6, width=8, seed=0, mask=False, steps=0):
    rng = np.random.default_rng(seed)
    T = frames - 1
    return GeneratedClip(
        rng.integers(0, 256, (frames, height, width, 3), np.uint8),
        rng.random((T, 3, 4)).astype(np.float32) if mask else None,
        None,
        rng.integers(0, 256, (steps, T, 3, 4), np.uint8) if steps else None,
    )


@pytest.fixture
def shown(tmp_path):
    """Sheets of a clip and the pictures kept for them, by name."""

    def call(given):
        kept = {}
        store = RunStore(tmp_path / "run")
        store.save_clip("id", 3, given)
        found = previews(store, {"on": "id"}, REQUESTS, lambda name, data: kept.setdefault(name, data) and name)
        assert list(found["on"]) == [3]  # of clip 0 there is none
        return found["on"][3], kept

    return call


def frame_of(sheet, kept, i):
    """What the page cuts out for frame i."""
    picture = Image.open(io.BytesIO(kept[sheet["src"][i // sheet["each"]]]))
    row, column = divmod(i % sheet["each"], sheet["columns"])
    left, top = column * sheet["width"], row * sheet["height"]
    return np.asarray(picture.crop((left, top, left + sheet["width"], top + sheet["height"])))


@pytest.mark.parametrize("frames", [1, 2, 5, 16, 17])
def test_small_clips_are_exact_frame_by_frame(shown, frames):
    given = clip(frames)
    sheets, kept = shown(given)
    assert (sheets["clip"]["frames"], sheets["clip"]["width"], sheets["clip"]["height"]) == (frames, 8, 6)
    for i in range(frames):
        assert np.array_equal(frame_of(sheets["clip"], kept, i), given.frames[i])
    assert "mask" not in sheets and "steps" not in sheets


@pytest.mark.parametrize(("name", "most"), [("PIXELS", 4 * 6 * 8), ("SIDE", 17)])
def test_many_frames_come_on_several_pictures(shown, monkeypatch, name, most):
    monkeypatch.setattr(module, name, most)
    given = clip(11)
    sheets, kept = shown(given)
    assert len(sheets["clip"]["src"]) > 1
    for picture in kept.values():
        width, height = Image.open(io.BytesIO(picture)).size
        assert max(width, height) <= module.SIDE and width * height <= module.PIXELS
    for i in range(11):
        assert np.array_equal(frame_of(sheets["clip"], kept, i), given.frames[i])


def test_large_clips_are_shrunk_and_nearly_themselves(shown):
    y, x = np.mgrid[:384, :512]
    smooth = np.stack([np.stack([x // 4 + t, y // 4, (x + y) // 8], -1) for t in range(2)]).astype(np.uint8)
    sheets, kept = shown(GeneratedClip(smooth))
    assert (sheets["clip"]["width"], sheets["clip"]["height"]) == (256, 192)
    small = smooth.reshape(2, 192, 2, 256, 2, 3).mean((2, 4))
    for i in range(2):
        assert np.abs(frame_of(sheets["clip"], kept, i) - small[i]).mean() < 3


def test_the_mask_is_a_tint_as_strong_as_what_it_copies(shown):
    given = clip(4, mask=True)
    given.mask[1, 0, 0] = np.nan
    sheets, kept = shown(given)
    assert sheets["mask"]["frames"] == 3  # frame 0 has none
    for i in range(3):
        tint = frame_of(sheets["mask"], kept, i)
        assert np.array_equal(tint[..., 3], (np.nan_to_num(given.mask[i]) * 255).astype(np.uint8))
        assert (tint[tint[..., 3] > 0][:, :3] == module.TINT).all()


def test_the_mask_over_the_steps_goes_step_by_step(shown):
    given = clip(4, mask=True, steps=2)
    sheets, kept = shown(given)
    assert (sheets["steps"]["frames"], sheets["steps"]["number"]) == (6, 2)
    for i in range(6):
        alpha = frame_of(sheets["steps"], kept, i)[..., 3].astype(int)
        assert np.abs(alpha - given.mask_steps[i // 3, i % 3]).max() <= 1


def test_another_clip_has_another_name(shown):
    names = [set(shown(clip(seed=seed))[1]) for seed in (0, 0, 1)]
    assert names[0] == names[1] and not names[0] & names[2]


def test_pictures_stand_beside_the_page_or_in_it(tmp_path):
    keep = beside(tmp_path)
    assert keep("a.webp", b"one") == "previews/a.webp" and (tmp_path / "previews" / "a.webp").read_bytes() == b"one"
    written = (tmp_path / "previews" / "a.webp").stat().st_mtime_ns
    keep("a.webp", b"one")
    assert (tmp_path / "previews" / "a.webp").stat().st_mtime_ns == written
    keep("a.webp", b"longer")  # one that was cut off is written again
    assert (tmp_path / "previews" / "a.webp").read_bytes() == b"longer"
    head, _, data = within("a.webp", b"\x00\xff").partition(",")
    assert head == "data:image/webp;base64" and base64.b64decode(data) == b"\x00\xff"


def test_clips_drawn_beside_each_other_are_those_drawn_one_by_one(tmp_path, monkeypatch):
    """Also long ones; a picture that cannot be kept is an error here, whichever thread drew it."""
    store = RunStore(tmp_path)
    for cell, index in product("ab", range(3)):
        store.save_clip(cell, index, clip(70 if index == 1 else 5, seed=index, mask=True))
    cells, asked = {"one": "a", "two": "b"}, [{"index": index} for index in range(3)]

    def drawn(threads):
        kept = {}
        monkeypatch.setattr(module, "THREADS", threads)
        return previews(store, cells, asked, lambda name, data: kept.setdefault(name, data) and name), kept

    (found, kept), (alone, its) = drawn(3), drawn(1)
    assert found == alone and kept == its and len(kept) == 12
    assert [list(of_cell) for of_cell in found.values()] == [[0, 1, 2]] * 2

    def full(name, data):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        previews(store, cells, asked, full)

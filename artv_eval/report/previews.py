"""Previews of clips for a browser: all frames of a clip as one picture, so that clips run in step, frame by frame.

A browser draws frame i of every clip at once from these sheets; of films it would promise no frame. They are WebP,
lossless where the clip is small, and only for looking: scores are of the exact frames in the run folder.

Shape suffixes: T frames, H W pixels, h w mask cells.
"""

import base64
import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from artv.devices import cores
from artv.files import write_atomically
from artv_eval.api import GeneratedClip
from artv_eval.memory import give_back
from artv_eval.results.clips import in_parts
from artv_eval.results.store import RunStore

HEIGHT, LOSSLESS = 192, 96  # pixels: clips are shrunk to the one, and lossless up to the other
SIDE = 8192  # pixels of a sheet's side at most, with room below WebP's 16,383
PIXELS = 1 << 22  # of a sheet at most: what drawing and packing it takes
TINT = (255, 120, 0)  # the mask is laid over the clip in this colour

THREADS = 2  # clips that are drawn beside each other, each in up to 60 MB

Keep = Callable[[str, bytes], str]
"""(name, WebP bytes) → the address of the picture for the page."""


def beside(folder: Path) -> Keep:
    """Keeps pictures in ``previews/`` beside the page in ``folder``; those that are there stay."""

    def keep(name: str, data: bytes) -> str:
        path = folder / "previews" / name
        if not path.is_file() or path.stat().st_size != len(data):
            write_atomically(path, data)
        return f"previews/{name}"

    return keep


def within(name: str, data: bytes) -> str:
    """Puts the picture itself into the page."""
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def previews(
    store: RunStore, cells: Mapping[str, str], requests: Sequence[Mapping[str, Any]], keep: Keep
) -> dict[str, dict[int, dict[str, Any]]]:
    """Cell → index of the request → its sheets; a clip that is not there has none.

    Args:
        cells: name → id.
    """
    places = [(name, cell, request["index"]) for name, cell in cells.items() for request in requests]
    there = [(name, cell, index) for name, cell, index in places if store.fingerprint(cell, index) is not None]
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in cells}
    give_back()  # what describing freed
    # reading, shrinking and packing let other threads work; each holds a part of one clip and one sheet
    with ThreadPoolExecutor(min(THREADS, cores())) as pool:
        made = pool.map(lambda place: _stored(store, place[1], place[2], keep), there)
        for (name, _, index), shown in zip(there, made, strict=True):
            found[name][index] = shown
    return found


def _stored(store: RunStore, cell: str, index: int, keep: Keep) -> dict[str, Any]:
    fingerprint = store.fingerprint(cell, index) or ""
    stem = f"{cell}-{index:06d}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:8]}"
    clip = store.load_clip(cell, index)
    shown = _preview(clip, stem, keep)
    if in_parts(len(clip.frames)):
        give_back()
    return shown


def _preview(clip: GeneratedClip, stem: str, keep: Keep) -> dict[str, Any]:
    shown = {"clip": _sheet(clip.frames, Image.fromarray, stem, keep)}
    if clip.mask is not None:
        shown["mask"] = _sheet(clip.mask, _tinted, f"{stem}-mask", keep)
    if clip.mask_steps is not None:  # step by step: all frames of the first, then of the next
        steps_hw = clip.mask_steps.reshape(-1, *clip.mask_steps.shape[2:]) / 255
        shown["steps"] = _sheet(steps_hw, _tinted, f"{stem}-steps", keep)
        shown["steps"]["number"] = len(clip.mask_steps)
    return shown


def _sheet(frames: np.ndarray, drawn: Callable[[np.ndarray], Image.Image], stem: str, keep: Keep) -> dict[str, Any]:
    """Frames in rows of ``columns``, on as few pictures as their sides allow; one picture is held at a time."""
    height, width = frames.shape[1:3]
    if height > HEIGHT:
        width, height = max(round(width * HEIGHT / height), 1), HEIGHT
    across = max(SIDE // width, 1)
    columns = min(across, math.ceil(math.sqrt(len(frames))))
    rows = min(max(min(SIDE // height, PIXELS // (columns * width * height)), 1), math.ceil(len(frames) / columns))
    each = columns * rows
    pictures = []
    for start in range(0, len(frames), each):
        count = min(each, len(frames) - start)
        sheet = Image.new(drawn(frames[start]).mode, (columns * width, math.ceil(count / columns) * height))
        for k in range(count):
            frame = drawn(frames[start + k])
            fitted = frame if frame.size == (width, height) else frame.resize((width, height), Image.Resampling.BOX)
            sheet.paste(fitted, (k % columns * width, k // columns * height))
        pictures.append(keep(f"{stem}-{start // each}.webp", _webp(sheet, lossless=height <= LOSSLESS)))
    return {"src": pictures, "frames": len(frames), "columns": columns, "each": each, "width": width, "height": height}


def _tinted(mask_hw: np.ndarray) -> Image.Image:
    """Where the mask copies, the tint covers the clip."""
    alpha = np.clip(np.nan_to_num(mask_hw) * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([*(np.full_like(alpha, value) for value in TINT), alpha]), "RGBA")


def _webp(picture: Image.Image, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=lossless, quality=50 if lossless else 85, method=2, exact=True)
    return buffer.getvalue()

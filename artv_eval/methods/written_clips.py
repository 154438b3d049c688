"""Clips that another program has written: a video file, a folder of pictures, or an array.

Shape suffixes: T frames, H W pixels.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from artv.errors import UserError
from artv.files import regular
from artv.images import on_white, open_image
from artv_eval.api import ClipRequest
from artv_eval.files.decoding import Decoders, Excerpt

DEPTHS = ("RGB", "RGBA", "L", "LA", "P", "1")  # Pillow's modes of at most 8 bits; of more it would show the lowest


def read_clip(path: Path, request: ClipRequest, decoders: Decoders, reader: str) -> np.ndarray:
    """The first T frames that a request asks for, uint8 (T, H, W, 3).

    A video file is shown at the rate asked for; pictures (by the last number in their names) and arrays have it.

    Raises:
        UserError: it cannot be read, has too few frames, or another size; the line names the file.
    """
    if path.is_dir():
        frames_THWC = _pictures(path, request.num_frames)
    elif path.suffix.lower() == ".npy":
        frames_THWC = _array(path, request.num_frames)
    else:
        excerpt = Excerpt(frames=request.num_frames, fps=request.fps, reader=reader)
        (clip,) = decoders.decode([path], excerpt)
        frames_THWC = clip.shown
    height, width = frames_THWC.shape[1:3]
    if (height, width) != (request.height, request.width):
        raise UserError(f"{path.name} is {width}×{height} (width × height); {request.width}×{request.height} is due")
    return frames_THWC


def read_pictures(folder: Path, request: ClipRequest, start: int, stop: int) -> np.ndarray:
    """Frames ``start`` to ``stop`` of a folder that is still growing, uint8 (t, H, W, 3). Raises UserError."""
    if not folder.is_dir():
        raise UserError(f"{folder.name} is no folder of pictures")
    frames = _pictures(folder, stop, start)
    if frames.shape[1:3] != (request.height, request.width):
        height, width = frames.shape[1:3]
        raise UserError(f"{folder.name} is {width}×{height} (width × height); {request.width}×{request.height} is due")
    return frames


def _pictures(folder: Path, count: int, start: int = 0) -> np.ndarray:
    files = [file for file in folder.iterdir() if file.suffix.lower() == ".png"]
    unnumbered = next((file.name for file in files if not re.search(r"\d", file.stem)), None)
    if unnumbered:
        raise UserError(f"{folder.name}/{unnumbered} has no number in its name, so that its place is not known")
    number = {file: int(re.findall(r"\d+", file.stem)[-1]) for file in files}
    files.sort(key=lambda file: (number[file], file.name))
    if twice := next((pair for pair in pairwise(files) if number[pair[0]] == number[pair[1]]), None):
        names = " and ".join(file.name for file in twice)
        raise UserError(
            f"{folder.name} has {names}, both with the last number {number[twice[0]]}, so that their order is not known"
        )
    _check_count(folder, len(files), count)
    frames = [_picture(file) for file in files[start:count]]
    if len({frame.shape for frame in frames}) > 1:
        raise UserError(f"{folder.name} holds pictures of several sizes")
    return np.stack(frames)


def _picture(file: Path) -> np.ndarray:
    image = open_image(file)
    if image.mode not in DEPTHS:
        raise UserError(f"{file.parent.name}/{file.name} has the mode {image.mode}; it must have 8 bits a channel")
    return np.asarray(on_white(image))


def _array(path: Path, count: int) -> np.ndarray:
    try:
        frames = np.load(regular(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path.name} is no array of numpy's: {str(error).splitlines()[0][:120]}") from None
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise UserError(f"{path.name} is {frames.dtype} {frames.shape}; it must be uint8 (T, H, W, 3)")
    _check_count(path, len(frames), count)
    return np.array(frames[:count])


def _check_count(path: Path, found: int, wanted: int) -> None:
    if found < wanted:
        raise UserError(f"{path.name} has {found} frames; {wanted} are due")

"""Writing clips: H.264 mp4 with PyAV, gif and png pictures with Pillow.

Shape suffixes: T frames, H W pixels; frames are uint8 RGB (T, H, W, 3).
"""

import io
import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from artv.errors import UserError
from artv.files import write_atomically, writing

RATES = {".mp4": (0.01, 1000.0), ".gif": (0.01, 100.0)}
"""Frames a second that a file can hold, by its suffix; a gif's times are whole hundredths of a second."""

SUFFIXES = tuple(RATES)


def check_clip(path: Path, fps: float) -> None:
    """Raises :class:`UserError` for a name or a rate with which no clip can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"output {path}: the name must end in {' or '.join(SUFFIXES)}")
    check_rate(fps, path.suffix.lower())


def check_rate(fps: float, suffix: str) -> None:
    """The number of frames a second is a finite number that a file of that suffix can hold."""
    low, high = RATES[suffix]
    if not (math.isfinite(fps) and low <= fps <= high):
        raise UserError(f"fps is {fps:g}; of a {suffix} file it must be at least {low:g} and at most {high:g}")


def write_clip(path: str | Path, frames: np.ndarray, fps: float = 8.0) -> None:
    """Writes mp4 or gif, as the file's name says."""
    path = Path(path)
    check_clip(path, fps)
    (write_video if path.suffix.lower() == ".mp4" else write_gif)(path, frames, fps)


def write_video(path: str | Path, frames: np.ndarray, fps: float = 8.0, crf: int = 12) -> None:
    """H.264 in yuv420p; ``crf`` 0…51, lower is better. Lossy: for looking and training, not for scoring."""
    check_frames(frames)
    write_stream(path, frames, fps, crf)


def write_stream(path: str | Path, frames: Iterable[np.ndarray], fps: float = 8.0, crf: int = 12) -> int:
    """The same of frames uint8 (H, W, 3) as they come, so that memory does not grow; returns how many they were.

    The file is there when the last frame is in it.
    """
    import av

    check_rate(fps, ".mp4")
    made = 0
    # an open file: FFmpeg, given a name, would take what stands before a colon for a protocol
    with writing(Path(path)) as part, part.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for made, frame in enumerate(frames, 1):
            check_frames(frame[None])
            H, W = frame.shape[:2]
            if made == 1:
                stream.width, stream.height = W + W % 2, H + H % 2
            padded = np.pad(frame, ((0, H % 2), (0, W % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
        if made == 0:
            raise UserError(f"output {path}: there is no frame to write")
        container.mux(stream.encode())
    return made


def write_gif(path: str | Path, frames: np.ndarray, fps: float = 8.0, scale: int = 1) -> None:
    """A looping gif, each pixel ``scale`` wide. Its times are whole hundredths of a second, right on average."""
    check_frames(frames)
    check_rate(fps, ".gif")
    images = [
        Image.fromarray(f).resize((f.shape[1] * scale, f.shape[0] * scale), Image.Resampling.NEAREST) for f in frames
    ]
    ends = [10 * round(100 * i / fps) for i in range(len(images) + 1)]
    times = [end - start for start, end in pairwise(ends)]
    data = io.BytesIO()
    images[0].save(data, "gif", save_all=True, append_images=images[1:], duration=times, loop=0)
    write_atomically(Path(path), data.getvalue())


def write_picture(path: str | Path, picture: Image.Image) -> None:
    """A png."""
    data = io.BytesIO()
    picture.save(data, "png")
    write_atomically(Path(path), data.getvalue())


def filmstrip(clips: list[np.ndarray], every: int = 1, scale: int = 1) -> Image.Image:
    """One row a clip, one column a frame."""
    rows = [np.concatenate(list(clip[::every]), axis=1) for clip in clips]
    image = Image.fromarray(np.concatenate(rows, axis=0))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def check_frames(frames: np.ndarray) -> None:
    """Refuses anything but uint8 RGB (T, H, W, 3) with at least one frame."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise UserError(f"frames are {frames.dtype} {frames.shape}; they must be uint8 (T, H, W, 3) with T ≥ 1")

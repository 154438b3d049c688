"""Writing clips: H.264 mp4 with PyAV, gif and png pictures with Pillow.

Shape suffixes: T frames, H W pixels; frames are uint8 RGB (T, H, W, 3).
"""

import io
import math
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata

from artv.errors import UserError
from artv.files import write_atomically, writing

RATES = {".mp4": (0.01, 1000.0), ".gif": (0.01, 100.0)}
"""Frames a second that a file can hold, by its suffix; a gif's times are whole hundredths of a second."""

SUFFIXES = tuple(RATES)
GIF_LOOPS = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"  # without end


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


def write_clip(path: str | Path, frames: Iterable[np.ndarray], fps: float = 8.0) -> int:
    """Writes mp4 or gif, as the file's name says, of frames uint8 (H, W, 3) as they come; returns their number."""
    path = Path(path)
    check_clip(path, fps)
    return (write_stream if path.suffix.lower() == ".mp4" else write_gif)(path, frames, fps)


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
                first, stream.width, stream.height = (H, W), W + W % 2, H + H % 2
            if first != (H, W):  # FFmpeg would scale it
                raise UserError(f"frame {made} has {H} × {W} pixels, the first one {first[0]} × {first[1]}")
            padded = np.pad(frame, ((0, H % 2), (0, W % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
        if made == 0:
            raise UserError(f"output {path}: there is no frame to write")
        container.mux(stream.encode())
    return made


def write_gif(path: str | Path, frames: Iterable[np.ndarray], fps: float = 8.0, scale: int = 1) -> int:
    """A looping gif, each pixel ``scale`` wide, of frames as they come; returns how many they were.

    Its times are whole hundredths of a second, right on average. Of each frame there is the rectangle that changed,
    with 256 colours of its own.
    """
    check_rate(fps, ".gif")
    made, before = 0, None
    with writing(Path(path)) as part, part.open("wb") as file:
        for made, frame in enumerate(frames, 1):
            check_frames(frame[None])
            if before is None:
                size = scale * frame.shape[1], scale * frame.shape[0]
                file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0, 0, 0) + GIF_LOOPS)
            top, left, changed = _changed(frame, before)
            image = Image.fromarray(changed.repeat(scale, 0).repeat(scale, 1)).quantize()
            lasts = 10 * (round(100 * made / fps) - round(100 * (made - 1) / fps))
            place = scale * left, scale * top
            file.write(b"".join(getdata(image, place, duration=lasts, include_color_table=True)))
            before = frame.copy()
        if made == 0:
            raise UserError(f"output {path}: there is no frame to write")
        file.write(b";")
    return made


def _changed(frame_HWC: np.ndarray, before_HWC: np.ndarray | None) -> tuple[int, int, np.ndarray]:
    """Top, left and the pixels of the least rectangle that differs; of equal frames one pixel."""
    if before_HWC is None:
        return 0, 0, frame_HWC
    differs = (frame_HWC != before_HWC).any(-1)
    rows, columns = (np.flatnonzero(differs.any(axis)).tolist() or [0] for axis in (1, 0))
    return rows[0], columns[0], frame_HWC[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


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

"""When each frame of a video file is shown and from which ones decoding may begin, read with PyAV.

Readers that seek count on much: that a packet is a frame, that the container knows when it is shown, that nothing shown
after a keyframe needs what lies before it. Where a file's packets prove all of that, decoding may begin at its
keyframes; every other file is decoded from its beginning, and its frames are counted as they come.

Legend: T frames; pts is the time at which a frame is shown, in units of ``time_base`` seconds.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artv.data.pixels import PLAIN
from artv.files import whole

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

TIMED = {"mov", "matroska"}
"""Containers with the time of every frame, by the first of FFmpeg's names; avi has none."""

ENTRY_UNITS = {"h264": (4, 0, 0x1F, range(5, 6)), "hevc": (21, 1, 0x3F, range(16, 22))}
"""Codec → the configuration's byte with the length's size, and shift, mask and values of the type of a NAL unit after
which nothing before it is needed: IDR pictures (ITU-T H.264, table 7-1), random access points (H.265, table 7-1)."""

DEFAULT, ATTACHED = 1, 1 << 10  # FFmpeg's AV_DISPOSITION_…: the stream to show, the picture of a cover

ONE_FRAME_A_PACKET = {*ENTRY_UNITS, "vp9", "av1", "mpeg4", "mjpeg", "ffv1"}


@dataclass(frozen=True, kw_only=True)
class FrameTable:
    """A table of the frames of a file, in the order in which they are shown.

    ``rate``: frames a second, on average where ``times``, seconds (T,) from the first frame on, says that they do not
    come at one rate. ``pts`` None: the file has no times that increase. ``starts``: frames at which decoding may begin,
    always with the first. ``doubt``: why a reader that only jumps may give other frames, or None.
    """

    length: int
    rate: float
    time_base: Fraction
    pts: tuple[int, ...] | None
    times: np.ndarray | None = None
    starts: tuple[int, ...] = (0,)
    doubt: str | None = None

    @classmethod
    def of(cls, pts: Sequence[int | None], rate: float, time_base: Fraction, **rest: Any) -> "FrameTable":
        """Looks whether the times increase, and keep to the rate that the file states."""
        known = tuple(time for time in pts if time is not None)
        if len(known) < len(pts) or any(a >= b for a, b in pairwise(known)):
            return cls(length=len(pts), rate=rate, time_base=time_base, pts=None, **rest)
        seconds = (np.array(known) - known[:1]) * float(time_base)
        if np.abs(seconds * rate - np.arange(len(known))).max(initial=0) < 0.5:
            return cls(length=len(pts), rate=rate, time_base=time_base, pts=known, **rest)
        rate = float((len(known) - 1) / seconds[-1])
        return cls(length=len(pts), rate=rate, time_base=time_base, pts=known, times=seconds, **rest)


def read_table(path: Path) -> FrameTable:
    """From the packets, or else by decoding the whole file. Raises what PyAV raises, or ValueError without a stream."""
    with open_container(path) as (container, stream):
        *packets, end = container.demux(stream)  # the last one is empty and empties the decoder
        packets = [packet for packet in packets if packet.size]
        doubt = why_in_doubt(container, stream, packets)
        rate, base = float(stream.average_rate or 0), stream.time_base or Fraction(1, 1000)
        frames = (frame for packet in [*packets, end] for frame in packet.decode())
        if doubt is not None:
            decoded = [frame.pts for frame in frames]
            in_turn = sorted(packet.dts for packet in packets if packet.dts is not None)
            # without times of its own, a frame is shown when the chunk in its turn comes
            by_turn = not _is_timed(container) and len(in_turn) == len(decoded)
            return FrameTable.of(in_turn if by_turn else decoded, rate, base, doubt=doubt)
        shown = sorted(packet.pts for packet in packets if packet.pts is not None)
        place = {pts: i for i, pts in enumerate(shown)}
        starts = tuple(place[packet.pts] for packet in packets if packet.is_keyframe and packet.pts is not None)
        first = next(frames, None)
        if first is not None and orientation(first)[1]:
            doubt = "its pictures are mirrored"
        elif first is not None and first.format.name not in PLAIN:
            doubt = f"pictures of {first.format.name} need FFmpeg's own conversion"
        return FrameTable.of(shown, rate, base, starts=starts, doubt=doubt)


def count_left(path: Path) -> int:
    """How many packets of pictures are whole in a file that ends early; 0 where its index is missing."""
    import av

    left = 0
    with suppress(av.FFmpegError, ValueError), open_container(path) as (container, stream):
        for packet in container.demux(stream):
            left += packet.size > 0 and not packet.is_corrupt
    return left


def _is_timed(container: "InputContainer") -> bool:
    return container.format.name.split(",")[0] in TIMED


def why_in_doubt(container: "InputContainer", stream: "VideoStream", packets: list["Packet"]) -> str | None:
    """What the packets, in the order of decoding, do not prove; None where decoding may begin at every keyframe."""
    codec, shown = _codec(stream), [packet.pts for packet in packets if packet.pts is not None]
    keys = [packet for packet in packets if packet.is_keyframe]
    if len(container.streams.video) > 1:
        return "it has several video streams"
    if not _is_timed(container):
        return f"{container.format.name} holds no times of frames"
    if codec not in ONE_FRAME_A_PACKET:
        return f"packets of {codec} need not be frames"
    if any(packet.is_discard for packet in packets):
        return "it is cut by an edit list"
    if len(set(shown)) < len(packets):
        return "its times of frames are incomplete"
    if not packets or not packets[0].is_keyframe or not _closed(packets, shown):
        return "frames after a keyframe need those before it"
    if any(a.pts >= b.dts for a, b in pairwise(keys) if a.pts is not None and b.dts is not None):
        return "its keyframes are too close to be told apart"
    if codec in ENTRY_UNITS and not all(_is_entry(packet, stream) for packet in keys):
        return "its keyframes do not stand for themselves"
    return None


def _codec(stream: "VideoStream") -> str:
    return stream.codec_context.codec.canonical_name


def _closed(packets: list["Packet"], shown: list[int]) -> bool:
    """Whether all that is decoded before a keyframe is shown before it, and all after it after."""
    before = list(accumulate(shown, max))
    after = list(accumulate(reversed(shown), min))[::-1]
    keys = [i for i, packet in enumerate(packets) if i and packet.is_keyframe]
    return all(before[i - 1] < shown[i] == after[i] for i in keys)


def _is_entry(packet: "Packet", stream: "VideoStream") -> bool:
    at, shift, mask, entries = ENTRY_UNITS[_codec(stream)]
    configuration, data = stream.codec_context.extradata or b"", bytes(packet)
    if len(configuration) <= at or configuration[0] != 1:  # units without lengths
        return False
    size, place = (configuration[at] & 3) + 1, 0
    while place + size < len(data):
        if (data[place + size] >> shift & mask) in entries:
            return True
        place += size + int.from_bytes(data[place : place + size])
    return False


@contextmanager
def open_container(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """The file and the stream that ffmpeg would show: the default one, then the one with the most pixels."""
    import av

    # of what a file names, such as a playlist's parts, files only
    with av.open(whole(path), options={"protocol_whitelist": "file"}) as container:
        if not container.streams.video:
            raise ValueError("no video stream")
        yield container, max(container.streams.video, key=_rank)


def _rank(stream: "VideoStream") -> tuple[bool, bool, int]:
    flags = int(getattr(stream, "disposition", 0))  # PyAV has it since 14.2
    context = stream.codec_context  # None where a file that was cut off does not say which codec
    pixels = context.width * context.height if context else 0
    return not flags & ATTACHED, bool(flags & DEFAULT), pixels


def orientation(frame: "VideoFrame") -> tuple[int, bool]:
    """Quarters by which a frame is to be turned, clockwise, and whether mirrored before that, as its file says."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    mirrored = a * d < b * c
    turn = math.atan2(-b, -a) if mirrored else math.atan2(b, a)
    return round(turn / (math.pi / 2)) % 4, mirrored


def frames_from(path: Path, table: FrameTable, first: int) -> "Iterator[tuple[int, VideoFrame]]":
    """Frames with their numbers, from the last start at or before ``first`` on.

    Raises:
        LookupError: after a jump, a frame came that the table does not have there.
    """
    start = max(i for i in table.starts if i <= first)
    with open_container(path) as (container, stream):
        if start == 0 or table.pts is None:
            yield from enumerate(container.decode(stream))
            return
        container.seek(table.pts[start], stream=stream)
        i = start
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts < table.pts[start]:
                continue  # it went back further than it was asked to
            if i >= table.length or frame.pts != table.pts[i]:
                raise LookupError(f"frame {i} is not where the file's packets say")
            yield i, frame
            i += 1

"""Video files whose every frame shows its own number, so that what a reader gives can be checked by looking at it.

    write_counting(path, FILES["mpeg4, B-frames"])          # avi, mp4, mov, mkv, webm by the name
    [number(frame) for frame in reader(path).frames([0, 4, 8])]     # [0, 4, 8]

Frame i shows i as 8 blocks, black 0 and white 1, lowest bit left, in its upper half; the lower left corner is red. The
right answer follows from how a file was written, not from any reader. FFmpeg's encoders come with PyAV.

Shape suffixes: T frames, H W pixels.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

FRAMES, FPS = 60, 30
HEIGHT, WIDTH = 64, 96
CONTAINERS = {".avi": "avi", ".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a file is written: FFmpeg's names of its encoder and their options.

    ``shift``: frames by which all are moved in time; those before 0 are hidden by an edit list. ``slow``: from this
    frame on only 5 come a second. ``second``: whether another, smaller stream comes first. ``turns``: quarters of a
    turn, clockwise, by which the file says to turn it, and ``mirrored``: left for right before that. ``cut``: share of
    its bytes that is kept.
    """

    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    muxer: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[str, ...] = (".avi", ".mp4", ".mov", ".mkv")
    shift: int = 0
    slow: int | None = None
    second: bool = False
    turns: int = 0
    mirrored: bool = False
    cut: float = 1.0

    @property
    def numbers(self) -> list[int]:
        """What the frames of a whole file show, in order."""
        return list(range(max(-self.shift, 0), FRAMES))

    def upright(self, frame_HWC: np.ndarray) -> np.ndarray:
        """A frame as it was before the file said to turn it."""
        frame = np.rot90(frame_HWC, self.turns)
        return np.fliplr(frame) if self.mirrored else frame

    @property
    def seconds(self) -> list[Fraction]:
        """When each frame written is shown."""
        slow = FRAMES if self.slow is None else self.slow
        return [Fraction(min(i, slow), FPS) + Fraction(max(i - slow, 0), 5) for i in range(FRAMES)]


MOV, MATROSKA = (".mp4", ".mov"), (".mkv", ".webm")
H264 = {"crf": "10", "bf": "3", "g": "30"}
VP9 = {"b": "1M", "g": "12", "cpu-used": "5", "deadline": "realtime"}
MPEG = {"bf": "2", "g": "12", "b": "4M"}
QUIET = "log-level=none:keyint=12"

FILES = {
    "H.264": Recipe(options=H264 | {"bf": "0"}),
    "H.264, B-frames": Recipe(options=H264),
    "H.264, open groups": Recipe(options={"crf": "10", "x264-params": "open-gop=1:keyint=12:bframes=3"}),
    "H.264, intra refresh": Recipe(options={"crf": "10", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "H.264, interlaced": Recipe(options={"flags": "+ildct+ilme", "x264-params": "interlaced=1", "crf": "10"}),
    "H.264, fragments": Recipe(options=H264, muxer={"movflags": "frag_keyframe+empty_moov"}, containers=MOV),
    "H.264, index first": Recipe(options=H264, muxer={"movflags": "faststart"}, containers=MOV),
    "H.264, live": Recipe(options=H264, muxer={"live": "1"}, containers=(".mkv",)),
    "HEVC": Recipe(codec="libx265", options={"x265-params": f"{QUIET}:open-gop=0"}, containers=(*MOV, ".mkv")),
    "HEVC, open groups": Recipe(codec="libx265", options={"x265-params": QUIET}, containers=(*MOV, ".mkv")),
    "MPEG-4": Recipe(codec="mpeg4", options=MPEG | {"bf": "0"}),
    "MPEG-4, B-frames": Recipe(codec="mpeg4", options=MPEG),
    "MPEG-2, B-frames": Recipe(codec="mpeg2video", options=MPEG),
    "VP8": Recipe(codec="libvpx", options=VP9, containers=(".avi", *MATROSKA)),
    "VP9": Recipe(codec="libvpx-vp9", options=VP9, containers=(".avi", ".mp4", *MATROSKA)),
    "VP9, live": Recipe(codec="libvpx-vp9", options=VP9, muxer={"live": "1"}, containers=MATROSKA),
    "AV1": Recipe(codec="libsvtav1", options={"preset": "10", "g": "12"}, containers=(".avi", ".mp4", *MATROSKA)),
    "FFV1": Recipe(codec="ffv1", containers=(".avi", ".mp4", ".mkv")),
    "H.264, other rate": Recipe(options=H264, slow=30, containers=(*MOV, ".mkv")),
    "VP9, other rate": Recipe(codec="libvpx-vp9", options=VP9, slow=30, containers=MATROSKA),
    "MPEG-4, other rate": Recipe(codec="mpeg4", options=MPEG | {"bf": "0"}, slow=30, containers=(".avi",)),
    "H.264, edit list": Recipe(options=H264, shift=-10, containers=MOV),
    "H.264, begins late": Recipe(options=H264, shift=10, containers=MOV),
    "H.264, turned by 90": Recipe(options=H264, turns=1, containers=MOV),
    "H.264, turned by 180": Recipe(options=H264, turns=2, containers=MOV),
    "H.264, turned by 270": Recipe(options=H264, turns=3, containers=MOV),
    "H.264, mirrored": Recipe(options=H264, mirrored=True, containers=MOV),
    "H.264, mirrored and turned by 90": Recipe(options=H264, mirrored=True, turns=1, containers=MOV),
    "H.264, two streams": Recipe(options=H264, second=True),
    **{f"H.264, cut to {share} %": Recipe(options=H264, cut=share / 100) for share in (50, 85, 98)},
    "H.264, fragments cut to 85 %": Recipe(
        options=H264, muxer={"movflags": "frag_keyframe+empty_moov"}, containers=MOV, cut=0.85
    ),
    "MPEG-4, B-frames cut to 85 %": Recipe(codec="mpeg4", options=MPEG, cut=0.85),
    "VP9, cut to 85 %": Recipe(codec="libvpx-vp9", options=VP9, containers=MATROSKA, cut=0.85),
    "VP9, live, cut to 85 %": Recipe(
        codec="libvpx-vp9", options=VP9, muxer={"live": "1"}, containers=MATROSKA, cut=0.85
    ),
}  # fmt: skip
"""What a reader may meet. What no encoder here writes, such as packed B-frames of DivX, is not among them."""


def write_all(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each of :data:`FILES` in each of its containers: its name and the file."""
    for i, (name, recipe) in enumerate(FILES.items()):
        for suffix in recipe.containers:
            yield name, write_counting(folder / f"{i:02d}{suffix}", recipe)


def write_counting(path: Path, recipe: Recipe) -> Path:
    """Writes a file of that recipe, in the container that the path's suffix names."""
    import av

    os.environ.setdefault("SVT_LOG", "1")  # or the encoder of AV1 tells what it does
    muxer = {"avoid_negative_ts": "disabled", **recipe.muxer}
    with av.open(str(path.absolute()), "w", format=CONTAINERS[path.suffix], options=muxer) as container:
        clips = [counting_clip()]
        if recipe.second:
            clips.insert(0, np.full((FRAMES, HEIGHT // 2, WIDTH // 2, 3), 128, np.uint8))
        streams: list[Any] = [container.add_stream(recipe.codec, rate=FPS, options=dict(recipe.options)) for _ in clips]
        for clip, stream in zip(clips, streams, strict=True):
            stream.height, stream.width, stream.pix_fmt, stream.thread_count = *clip.shape[1:3], "yuv420p", 1
            if recipe.second:
                stream.disposition = 0 if clip is clips[0] else 1
        for i, second in enumerate(recipe.seconds):
            for clip, stream in zip(clips, streams, strict=True):
                frame = av.VideoFrame.from_ndarray(clip[i], format="rgb24")
                frame.time_base, frame.pts = Fraction(1, FPS), int(second * FPS)
                _mux(container, stream.encode(frame), recipe.shift)
        for stream in streams:
            _mux(container, stream.encode(), recipe.shift)
    data = path.read_bytes()
    if recipe.turns or recipe.mirrored:
        data = _turned(data, recipe.turns, recipe.mirrored)
    path.write_bytes(data[: int(len(data) * recipe.cut)])
    return path


def _mux(container: Any, packets: list, shift: int) -> None:
    for packet in packets:
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        container.mux(packet)


def _turned(data: bytes, turns: int, mirrored: bool) -> bytes:
    """A file of the MP4 family whose track header says how to turn it (ISO/IEC 14496-12, 8.3.2: 16.16 numbers)."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    side = -1 if mirrored else 1
    matrix = struct.pack(">9i", side * cos << 16, side * sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    at = data.index(b"tkhd") + 4 + 40
    return data[:at] + matrix + data[at + len(matrix) :]


def counting_clip(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """uint8 (T, H, W, 3) of at most 256 frames."""
    clip_THWC = np.empty((frames, height, width, 3), np.uint8)
    clip_THWC[:] = 40, 90, 160
    block = width // 8
    for i in range(frames):
        for bit in range(8):
            clip_THWC[i, : height // 2, bit * block : (bit + 1) * block] = 235 if i >> bit & 1 else 20
    clip_THWC[:, -(height // 4) :, : width // 4] = 220, 40, 40
    return clip_THWC


def number(frame_HWC: np.ndarray) -> int:
    """What a frame shows; −1 if its red corner is elsewhere."""
    frame = frame_HWC.astype(int)
    height, width = frame.shape[:2]
    corner = frame[-(height // 8) :, : width // 8].mean((0, 1))
    if corner[0] < 150 or corner[1:].max() > 110:
        return -1
    block, rows = width // 8, frame[height // 8 : height // 2 - height // 8]
    bits = [rows[:, bit * block + block // 4 : (bit + 1) * block - block // 4].mean() > 128 for bit in range(8)]
    return sum(1 << bit for bit, lit in enumerate(bits) if lit)

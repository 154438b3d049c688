"""A decoded frame's colours as FFmpeg has them, to the bit, whatever format the file keeps them in.

PyAV converts most formats of 8 bits exactly so, but those of 10 and 12 bits, and rare ones, by another interpolation of
the colours (up to 100 grey levels at edges): for these FFmpeg's own ``scale`` filter is asked, which also knows where
their colours are sited. decord does as PyAV does, or not, by format.
"""

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame

PLAIN = frozenset({
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuva420p",
    "gray", "gbrp", "rgb24", "bgr24", "bgr0", "rgb0", "rgba", "bgra",
})  # fmt: skip
"""Formats that every reader converts as ``ffmpeg -pix_fmt rgb24`` does (``tests/artv/data/test_pixels.py``)."""


class ToRgb:
    """uint8 (H, W, 3) of frames that PyAV decoded; the filter is set up once for frames of one kind."""

    def __init__(self) -> None:
        self._kind: tuple[str, int, int] | None = None
        self._ends: Any = None

    def __call__(self, frame: "VideoFrame") -> np.ndarray:
        if frame.format.name in PLAIN:
            return frame.to_ndarray(format="rgb24")
        kind = frame.format.name, frame.width, frame.height
        if kind != self._kind:
            self._kind, self._ends = kind, _filter(*kind)
        _, enters, leaves = self._ends
        enters.push(frame)
        return leaves.pull().to_ndarray()


def _filter(name: str, width: int, height: int) -> tuple[Any, Any, Any]:
    """A graph with its two ends, which do not keep it alive."""
    from av import VideoFormat
    from av.filter import Graph

    graph = Graph()
    enters = graph.add_buffer(width=width, height=height, format=VideoFormat(name), time_base=Fraction(1, 1000))
    nodes = [enters, graph.add("scale", "flags=bicubic"), graph.add("format", "rgb24"), graph.add("buffersink")]
    for before, after in pairwise(nodes):
        before.link_to(after)
    graph.configure()
    return graph, enters, nodes[-1]

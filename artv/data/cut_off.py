"""Whether a video file ends before it should, by the sizes that its container states.

Readers go on with the frames that are left, of which the centre, for one, is somewhere else.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

from artv.files import open_regular

GIF_EXTENSION, GIF_IMAGE, GIF_END = b"\x21", b"\x2c", b"\x3b"
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675


def is_cut_off(path: Path) -> bool:
    """Whether an mp4, QuickTime, avi, Matroska, webm or gif ends early; False where a container states no size."""
    with open_regular(path) as file:
        start = file.read(12)
        for is_kind, ends_early in KINDS:
            if is_kind(start):
                return ends_early(file, path.stat().st_size)
    return False


def boxes_end_early(file: IO[bytes], end: int) -> bool:
    """Whether an MP4 or QuickTime file does: its index or its data (boxes of ISO/IEC 14496-12, 4.2)."""
    place = 0
    while place + 16 <= end:
        file.seek(place)
        size, kind, large = struct.unpack(">I4sQ", file.read(16))
        size = large if size == 1 else size
        if size < 8:  # 0: up to the end
            return False
        place += size
        if place > end and kind in (b"mdat", b"moov", b"moof"):
            return True
    return False


def chunks_end_early(file: IO[bytes], end: int) -> bool:
    """Whether an avi file does: its RIFF chunks, of which long files have several; one never closed states 0."""
    place = 0
    while place + 12 <= end:
        file.seek(place)
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or size in (0, 0xFFFFFFFF):
            return False
        place += 8 + size + size % 2
    return place > end + 1  # the last byte of padding may be missing


def elements_end_early(file: IO[bytes], end: int) -> bool:
    """Whether a Matroska or webm file does: its elements (EBML, RFC 8794); of unknown size they are entered."""
    place = 0
    while place < end:
        file.seek(place)
        kind, width = _number(file, keep_marker=True)
        size, more = _number(file)
        if not width or not more:
            return True
        place += width + more
        unknown = size == (1 << 7 * more) - 1
        if unknown and kind not in (SEGMENT, CLUSTER):
            return False
        place += 0 if unknown else size
        if kind == SEGMENT and not unknown:
            break
    return place > end


def blocks_end_early(file: IO[bytes], end: int) -> bool:
    """Whether a gif does: its blocks up to the trailer (GIF89a, 15 to 27)."""
    file.seek(10)
    file.seek(13 + _colours(file.read(1)))
    while (kind := file.read(1)) != GIF_END:
        if kind == GIF_IMAGE:
            flags = file.read(9)[8:]
            file.seek(_colours(flags) + 1, 1)
        elif kind == GIF_EXTENSION:
            file.read(1)
        else:  # the end, or no block
            return not kind
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return False


def _colours(flags: bytes) -> int:
    """Bytes of a gif's table of colours."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _number(file: IO[bytes], *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of variable length (RFC 8794, 4) and its bytes; 0 bytes where the file ends in it."""
    first = file.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 0
    rest = file.read(width - 1) if width else b""
    if width == 0 or len(rest) < width - 1:
        return 0, 0
    head = first[0] if keep_marker else first[0] & (0xFF >> width)
    return int.from_bytes(bytes([head]) + rest), width


KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[IO[bytes], int], bool]], ...] = (
    (lambda start: start[4:8] == b"ftyp", boxes_end_early),
    (lambda start: start[:4] == b"RIFF" and start[8:] == b"AVI ", chunks_end_early),
    (lambda start: start[:4] == b"\x1a\x45\xdf\xa3", elements_end_early),
    (lambda start: start[:6] in (b"GIF87a", b"GIF89a"), blocks_end_early),
)

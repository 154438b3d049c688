"""Files that end early, made by hand of the containers' own parts and cut at every byte."""

import struct

import pytest

from artv.data.cut_off import is_cut_off


def box(kind, content, size=None):
    """ISO/IEC 14496-12, 4.2."""
    return struct.pack(">I4s", len(content) + 8 if size is None else size, kind) + content


def large_box(kind, content):
    return struct.pack(">I4sQ", 1, kind, len(content) + 16) + content


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2")
MOOV, MDAT = box(b"moov", bytes(40)), box(b"mdat", bytes(60))


def chunk(kind, content):
    return struct.pack("<4sI", kind, len(content)) + content + b"\0" * (len(content) % 2)


AVI = chunk(b"RIFF", b"AVI " + bytes(50))


def element(kind, content, size=None):
    """RFC 8794: the size in one byte, or in eight of which all bits are set where it is unknown."""
    width = b"\x01" + b"\xff" * 7 if size == "unknown" else bytes([0x80 | len(content)])
    return kind + width + content


EBML = element(b"\x1a\x45\xdf\xa3", b"\x42\x82\x84webm")
CLUSTER = element(b"\x1f\x43\xb6\x75", bytes(20))
INFO = element(b"\x15\x49\xa9\x66", bytes(10))


def gif_blocks(*lengths):
    return b"".join(bytes([n]) + bytes(n) for n in lengths) + b"\0"


GIF = (
    b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(6)  # a table of two colours
    + b"\x21\xff\x0bNETSCAPE2.0" + gif_blocks(3)
    + b"\x21\xf9" + gif_blocks(4)
    + b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0x81) + bytes(12) + b"\x02" + gif_blocks(5, 255, 1)
    + b"\x3b"
)  # fmt: skip

WHOLE = {
    "mp4": FTYP + MOOV + MDAT,
    "mp4, index last": FTYP + box(b"free", b"") + MDAT + MOOV,
    "mp4, large": FTYP + large_box(b"mdat", bytes(60)) + MOOV,
    "mov fragments": FTYP + MOOV + box(b"moof", bytes(30)) + MDAT,
    "avi": AVI,
    "avi of two": AVI + chunk(b"RIFF", b"AVIX" + bytes(30)),
    "webm": EBML + element(b"\x18\x53\x80\x67", INFO + CLUSTER),
    "mkv, sizes unknown": EBML + element(b"\x18\x53\x80\x67", b"", "unknown") + INFO
    + element(b"\x1f\x43\xb6\x75", b"", "unknown") + element(b"\xa3", bytes(9)),
    "gif": GIF,
}  # fmt: skip


def said(tmp_path, data):
    file = tmp_path / "clip"
    file.write_bytes(data)
    return is_cut_off(file)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_none(tmp_path, name):
    assert not said(tmp_path, WHOLE[name])


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "mkv, sizes unknown"])
def test_cut_within_its_last_part_it_is_one(tmp_path, name):
    """At every byte of it; an avi's last may be the padding that some writers leave out."""
    data = WHOLE[name]
    first = len(data) - 20
    last = len(data) - 2 if name.startswith("avi") else len(data) - 1
    assert all(said(tmp_path, data[:size]) for size in range(first, last + 1))


def test_where_no_size_is_stated_the_parts_within_tell(tmp_path):
    data = WHOLE["mkv, sizes unknown"]
    assert all(said(tmp_path, data[: len(data) - n]) for n in range(1, 9))


def test_what_follows_the_end_does_not_matter(tmp_path):
    for name in ("gif", "avi"):
        assert not said(tmp_path, WHOLE[name] + b"added by a downloader")
    assert not said(tmp_path, WHOLE["mp4"] + bytes(3))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_an_avi_that_was_never_closed_states_no_size(tmp_path, size):
    assert not said(tmp_path, b"RIFF" + struct.pack("<I", size) + b"AVI " + bytes(30))


def test_a_box_to_the_end_of_the_file_has_no_end_of_its_own(tmp_path):
    assert not said(tmp_path, FTYP + MOOV + box(b"mdat", bytes(60), size=0))


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 12, b"\x89PNG\r\n\x1a\n" + bytes(20), b"RIFF\4\0\0\0WAVE"])
def test_what_is_no_container_of_these_is_not_judged(tmp_path, data):
    assert not said(tmp_path, data)


def test_a_box_that_nobody_needs_may_be_cut(tmp_path):
    assert not said(tmp_path, FTYP + MOOV + MDAT + box(b"free", bytes(50))[:20])

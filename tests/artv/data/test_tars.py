"""Clips in webdataset tars: which caption is whose, and what of a tar cannot be used."""

import io
import json
import tarfile

import pytest

from artv.data.tars import tar_clips
from artv.errors import UserError


def write(path, *members):
    """(name, content) one after the other; text is UTF-8, anything else but bytes becomes JSON."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            if isinstance(content, str):
                content = content.encode()
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def captions(folder):
    return {clip.name: clip.caption for clip in tar_clips(folder)}


@pytest.mark.parametrize(
    ("beside", "caption"),
    [
        ([("a.txt", "a red ball\n")], "a red ball"),
        ([("a.json", {"caption": " ein Bär – 熊 ", "width": 64})], "ein Bär – 熊"),
        ([("a.txt", "plain"), ("a.json", {"width": 64})], "plain"),
        ([("a.txt", "plain"), ("a.json", {"caption": "  "})], "plain"),
        ([("a.json", {"caption": None}), ("a.txt", "plain")], "plain"),
        ([("a.txt", "\ufeffsaved by Notepad")], "saved by Notepad"),
        ([("a.json", b"\xef\xbb\xbf" + b'{"caption": "the same"}')], "the same"),
    ],
    ids=["txt", "json", "both", "blank", "null", "mark", "json mark"],
)
def test_the_caption_of_a_clip(tmp_path, beside, caption):
    write(tmp_path / "0.tar", ("a.mp4", b"12"), *beside)
    assert captions(tmp_path) == {"a.mp4": caption}


@pytest.mark.parametrize("value", [None, 3, ["one", "two"], {"en": "one"}, True, "", " "])
def test_what_is_no_text_is_no_caption(tmp_path, value):
    write(tmp_path / "0.tar", ("a.mp4", b"12"), ("a.json", {"caption": value}), ("b.mp4", b"3"), ("b.txt", "b"))
    with pytest.raises(UserError, match=r"1 of 2 clips have no caption, for example a\.mp4"):
        tar_clips(tmp_path)


def test_order_is_that_of_tars_by_name_and_of_members_in_them(tmp_path):
    write(tmp_path / "00001.tar", ("c.webm", b"3"), ("c.txt", "three"))
    write(tmp_path / "00000.tar", ("b.txt", "two"), ("b.MP4", b"2"), ("a.avi", b"1"), ("a.txt", "one"))
    assert list(captions(tmp_path).items()) == [("b.MP4", "two"), ("a.avi", "one"), ("c.webm", "three")]


def test_folders_and_dots_in_names_belong_to_the_name(tmp_path):
    write(
        tmp_path / "0.tar",
        *[("x/a.1.mp4", b"1"), ("x/a.1.txt", "first"), ("y/a.1.mp4", b"2"), ("y/a.1.txt", "second")],
        *[("x/a.1.jpg", b"no clip"), ("lonely.txt", "of nothing")],
    )
    assert captions(tmp_path) == {"x/a.1.mp4": "first", "y/a.1.mp4": "second"}


def test_each_clips_bytes_are_its_own(tmp_path):
    contents = {f"{k}.mp4": bytes([k]) * (700 * k + 1) for k in range(4)}
    said = [(f"{k}.txt", f"clip {k}") for k in range(4)]
    write(tmp_path / "0.tar", *contents.items(), *said)
    for clip in tar_clips(tmp_path):
        with clip.file() as path:
            assert path.read_bytes() == contents[clip.name] and path.suffix == ".mp4"
            assert clip.size == len(contents[clip.name])
        assert not path.exists() and clip.shown == f"{tmp_path / '0.tar'}:{clip.name}"


@pytest.mark.parametrize("keep", [1, 300, 600])
def test_a_tar_cut_short_is_named(tmp_path, keep):
    path = write(tmp_path / "0.tar", ("a.mp4", bytes(2000)), ("a.txt", "a"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"0\.tar cannot be read"):
        tar_clips(tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff\xfe{}", b"3", b'{"caption": "a \\ud83d"}'])
def test_json_of_another_form_names_its_tar_and_member(tmp_path, content):
    write(tmp_path / "0.tar", ("a.mp4", b"1"), ("a.json", content))
    with pytest.raises(UserError, match=r"0\.tar: a\.json holds no caption that can be read") as caught:
        tar_clips(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("second", ["a.mp4", "a.webm"])
def test_two_clips_of_one_name_are_refused(tmp_path, second):
    """One of them would be left out without a word."""
    write(tmp_path / "0.tar", ("a.mp4", b"1"), ("a.txt", "one"), (second, b"2"), ("a.txt", "two"))
    with pytest.raises(UserError, match=r"0\.tar holds two clips a"):
        tar_clips(tmp_path)


def test_what_macos_puts_beside_each_member_is_no_clip(tmp_path):
    write(tmp_path / "0.tar", ("x/._a.mp4", b"\0"), ("x/a.mp4", b"1"), ("x/._a.json", b"\0"), ("x/a.txt", "one"))
    assert captions(tmp_path) == {"x/a.mp4": "one"}


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    name = "😀" * 62
    write(tmp_path / "0.tar", (f"{name}.mp4", b"12"), (f"{name}.txt", "a"))
    (clip,) = tar_clips(tmp_path)
    with clip.file() as path:
        assert path.read_bytes() == b"12" and clip.name == f"{name}.mp4"


def test_no_tars_are_no_clips(tmp_path):
    assert tar_clips(tmp_path) == []

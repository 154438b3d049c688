"""Readers give the frames that a file holds; what is no file of frames is refused."""

import os
import re
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from artv.data.cut_off import is_cut_off
from artv.data.frame_table import read_table
from artv.data.readers import READERS, frames_at, open_video, read_video
from artv.errors import UserError
from artv.images import open_image
from artv.video import write_clip, write_gif, write_stream, write_video
from artv_eval.testing.counting import FILES, FPS, counting_clip, number, write_counting
from benchmarks import readers


def test_the_table_of_the_documents_is_what_readers_do():
    """Each of some 90 files, read in many ways, shows under both readers what was written or is refused."""
    found = readers.table(bare=False)
    assert "WRONG" not in found and "ERROR" not in found
    page = readers.PAGE.read_text(encoding="utf-8")
    measured = re.search(r"Measured with decord (\S+), PyAV (\S+)\.\n", page)
    if measured and measured.groups() == (version("decord"), version("av")):
        assert found in page.replace("**", "")


@pytest.mark.parametrize("name", ["H.264, other rate", "VP9, other rate", "MPEG-4, other rate"])
@pytest.mark.parametrize("fps", [4.0, 8.0, 20.0])
def test_each_instant_shows_the_nearest_earlier_frame_by_its_time(tmp_path, name, fps):
    recipe = FILES[name]
    times = np.array([float(second) for second in recipe.seconds])
    expected = [int((times <= i / fps + 1e-3).sum()) - 1 for i in range(round((times[-1] + 0.2) * fps))]
    for suffix in recipe.containers:
        path = write_counting(tmp_path / f"clip{suffix}", recipe)
        for reader in READERS:
            assert frames_at(open_video(path, reader), fps) == expected
            assert [number(frame) for frame in read_video(path, reader, fps, limit=6)] == expected[:6]


def test_a_file_of_one_rate_keeps_its_arithmetic(tmp_path):
    """29.97 a second in whole thousandths (Matroska) is one rate, and so in an mp4."""
    for suffix, kind in ((".mkv", "matroska"), (".mp4", "mp4")):
        path = tmp_path / f"ntsc{suffix}"
        with av.open(str(path), "w", format=kind) as container:
            stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
            stream.width, stream.height = 96, 64
            for frame in counting_clip(60):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        assert open_video(path).times is None
        assert frames_at(open_video(path), 8.0) == [int(i * 30000 / 1001 / 8) for i in range(16)]


def test_without_decord_pyav_reads(tmp_path, monkeypatch):
    path = write_counting(tmp_path / "clip.mp4", FILES["H.264"])
    assert open_video(path).used == "decord"
    monkeypatch.setitem(sys.modules, "decord", None)
    video = open_video(path)
    assert video.used == "pyav" and [number(frame) for frame in video.frames([40, 3])] == [40, 3]


def test_pyav_starts_over_where_a_jump_does_not_land(tmp_path, monkeypatch):
    """A table that claims that decoding may begin anywhere: the times of the frames that come give it away."""
    path = write_counting(tmp_path / "clip.mp4", FILES["MPEG-4, B-frames"])
    video = open_video(path, "pyav")
    object.__setattr__(video._table, "starts", (0, 13, 30))
    assert [number(frame) for frame in video.frames([14, 31, 33])] == [14, 31, 33]


def test_why_a_file_is_not_jumped_in(tmp_path):
    reasons = {
        "H.264, B-frames": None,
        "MPEG-4, B-frames": "frames after a keyframe need those before it",
        "H.264, intra refresh": "its keyframes do not stand for themselves",
        "H.264, edit list": "it is cut by an edit list",
        "H.264, two streams": "it has several video streams",
    }
    for name, reason in reasons.items():
        assert read_table(write_counting(tmp_path / "clip.mp4", FILES[name])).doubt == reason
    assert "no times" in str(read_table(write_counting(tmp_path / "clip.avi", FILES["MPEG-4"])).doubt)
    table = read_table(write_counting(tmp_path / "clip.mp4", FILES["HEVC"]))
    assert table.starts == (0, 12, 24, 36, 48)


@pytest.mark.parametrize("kind", [".mp4", ".gif"])
@pytest.mark.parametrize("name", ["2024-01-01T10:00:00", "run:1/x", "concat:a|b", "pipe:1", "%03d", "-y", "å b"])
def test_a_name_is_never_a_protocol(tmp_path, monkeypatch, name, kind):
    """Relative, as it is typed; an absolute path never begins with a protocol."""
    monkeypatch.chdir(tmp_path)
    write_clip(f"{name}{kind}", counting_clip(9), fps=20)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [f"{name}{kind}".split("/")[-1]]
    for reader in READERS:
        assert [number(frame) for frame in read_video(f"{name}{kind}", reader)] == list(range(9))


def test_a_file_that_names_others_opens_none(tmp_path):
    secret = write_counting(tmp_path / "secret.mp4", FILES["H.264"])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nhttp://127.0.0.1:9/x.ts\n{secret}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(playlist)
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {secret}\n")
    for name in ("list.mp4", "concat.mp4"):
        for reader in READERS:
            with pytest.raises(UserError, match=f"{name} cannot be read"):
                open_video(tmp_path / name, reader)


def test_what_has_no_end_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round.mp4").symlink_to(tmp_path / "round.mp4")
    for name, reason in (("fifo", "is a pipe"), ("device", "a device"), ("gone", "not exist"), ("round", "not exist")):
        with pytest.raises(UserError, match=reason):
            open_video(tmp_path / f"{name}.mp4")
        with pytest.raises(UserError, match=reason):
            open_image(tmp_path / f"{name}.mp4")


def test_transparent_gifs_go_over_white(tmp_path):
    """The colour that a palette keeps for transparent pixels is never shown."""
    rng, frames = np.random.default_rng(0), []
    alpha = rng.integers(0, 2, (5, 16, 16), np.uint8) * 255
    for mask in alpha:
        frames.append(Image.fromarray(np.dstack([np.full((16, 16, 3), (200, 30, 40), np.uint8), mask]), "RGBA"))
    path = tmp_path / "clip.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=2, loop=0)
    expected = np.where(alpha[..., None] > 0, np.uint8([200, 30, 40]), np.uint8(255))
    assert np.abs(read_video(path).astype(int) - expected).max() <= 2


def test_gifs_that_end_early_are_told_by_their_blocks(tmp_path):
    path, cut = tmp_path / "clip.gif", tmp_path / "cut.gif"
    write_gif(path, counting_clip(6), fps=10)
    data = path.read_bytes()
    assert not is_cut_off(path)
    for size in range(13, len(data) - 1, 97):
        cut.write_bytes(data[:size])
        assert is_cut_off(cut), size
    cut.write_bytes(data + b"after the end")
    assert not is_cut_off(cut)


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), -1.0, 0.0, 1e9, 1e-9])
@pytest.mark.parametrize("write", [write_video, write_gif, write_clip])
def test_rates_that_no_file_holds(tmp_path, write, fps):
    path = tmp_path / ("x.gif" if write is write_gif else "x.mp4")
    with pytest.raises(UserError, match=r"fps is .* must be at least 0\.01"):
        write(path, counting_clip(2), fps)
    assert not path.exists()


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("fps", [0.01, 7.5, 24000 / 1001, 100.0])
def test_rates_that_a_file_holds_come_back(tmp_path, suffix, fps):
    write_clip(tmp_path / f"x{suffix}", counting_clip(8), fps)
    assert open_video(tmp_path / f"x{suffix}").fps == pytest.approx(fps, rel=0.03 if suffix == ".gif" else 1e-6)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files stands for a disk without room."""
    import resource
    import signal

    for name in ("x.mp4", "x.gif"):
        (tmp_path / name).write_bytes(b"old")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                write_clip(tmp_path / name, counting_clip(20), FPS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert (tmp_path / name).read_bytes() == b"old"
    assert {file.name for file in tmp_path.iterdir()} == {"x.mp4", "x.gif"}


def test_frames_that_come_one_by_one_make_the_same_file(tmp_path):
    clip = counting_clip(40)
    write_video(tmp_path / "whole.mp4", clip, FPS)
    assert write_stream(tmp_path / "stream.mp4", (frame for frame in clip), FPS) == 40
    assert (tmp_path / "stream.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_frames_of_a_gif_are_written_as_they_come(tmp_path):
    """Pillow, which wrote none of the file as a whole, reads all frames, those too that are like the one before."""
    clip = np.repeat(counting_clip(3), 2, axis=0)
    assert write_clip(tmp_path / "x.gif", (frame for frame in clip), 7.5) == 6
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 6 and gif.info["loop"] == 0 and gif.size == clip.shape[2:0:-1]
        read = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
    assert [duration for _, duration in read] == [130, 140, 130, 130, 140, 130]  # 0.8 s
    assert max(np.abs(found.astype(int) - frame).max() for (found, _), frame in zip(read, clip, strict=True)) <= 8
    write_gif(tmp_path / "large.gif", clip, 7.5, scale=2)
    with Image.open(tmp_path / "large.gif") as gif:
        gif.seek(4)
        assert np.asarray(gif.convert("RGB")).tolist() == read[4][0].repeat(2, 0).repeat(2, 1).tolist()


@pytest.mark.parametrize("write", [write_stream, write_gif])
def test_a_stream_that_breaks_leaves_no_file(tmp_path, write):
    def frames():
        yield from counting_clip(3)
        raise UserError("the model stopped")

    with pytest.raises(UserError, match="the model stopped"):
        write(tmp_path / "x", frames(), FPS)
    with pytest.raises(UserError, match="no frame to write"):
        write(tmp_path / "x", iter(()), FPS)
    assert list(tmp_path.iterdir()) == []

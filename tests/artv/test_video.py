"""Written clips read back with PyAV and Pillow: sizes, numbers of frames, times, colours; and films as pictures."""

import av
import numpy as np
import pytest
from PIL import Image

from artv.errors import UserError
from artv.video import (
    check_clip,
    check_frames,
    filmstrip,
    write_clip,
    write_gif,
    write_picture,
    write_stream,
    write_video,
)

RNG = np.random.default_rng(0)


def smooth(frames=5, height=16, width=24):
    """Colours that change slowly over time and place, which a lossy codec keeps."""
    t, y, x = np.mgrid[:frames, :height, :width]
    return np.stack([40 + 20 * t, 60 + 4 * y, 200 - 3 * x], -1).astype(np.uint8)


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
        return [t for t, _ in frames], np.stack([f for _, f in frames])


@pytest.mark.parametrize(("height", "width"), [(16, 24), (15, 23), (17, 16)])
def test_an_mp4_holds_the_clip_and_at_odd_sides_its_edge_once_more(tmp_path, height, width):
    clip = smooth(5, height, width)
    write_video(tmp_path / "x.mp4", clip, fps=8)
    times, frames = decoded(tmp_path / "x.mp4")
    assert frames.shape == (5, height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(times, np.arange(5) / 8, atol=1e-6)
    assert np.abs(frames[:, :height, :width].astype(int) - clip).mean() < 3
    assert np.abs(frames[:, -1, :width].astype(int) - clip[:, -1]).mean() < 4


@pytest.mark.parametrize("fps", [1, 7.5, 8, 24000 / 1001, 60])
def test_times_of_an_mp4s_frames(tmp_path, fps):
    write_clip(tmp_path / "x.mp4", smooth(7), fps)
    np.testing.assert_allclose(decoded(tmp_path / "x.mp4")[0], np.arange(7) / fps, atol=1e-4)


def test_a_lower_crf_is_nearer(tmp_path):
    clip = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    off = []
    for crf in (1, 25, 50):
        write_video(tmp_path / "x.mp4", clip, crf=crf)
        off.append(np.abs(decoded(tmp_path / "x.mp4")[1].astype(int) - clip).mean())
    assert off == sorted(off) and off[0] < off[2]


@pytest.mark.parametrize("fps", [8, 10, 12.5, 30, 100])
def test_a_gifs_times_are_whole_hundredths_and_right_on_average(tmp_path, fps):
    clip = smooth(9)
    write_gif(tmp_path / "x.gif", clip, fps)
    with Image.open(tmp_path / "x.gif") as gif:
        durations = []
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
        assert gif.n_frames == 9 and gif.info.get("loop") == 0
    ends = np.cumsum(durations)
    assert all(d % 10 == 0 and d >= 10 for d in durations)
    assert np.abs(ends - 1000 * np.arange(1, 10) / fps).max() <= 5 + 1e-9


@pytest.mark.parametrize("scale", [1, 3])
def test_each_pixel_of_a_gif_is_so_wide(tmp_path, scale):
    clip = np.zeros((2, 4, 6, 3), np.uint8)
    clip[0, 1, 2] = 255
    clip[1, 3, 5] = 255
    write_gif(tmp_path / "x.gif", clip, scale=scale)
    with Image.open(tmp_path / "x.gif") as gif:
        for i in range(2):
            gif.seek(i)
            assert np.array_equal(np.asarray(gif.convert("RGB")), clip[i].repeat(scale, 0).repeat(scale, 1))


def test_pictures_are_kept_to_the_bit(tmp_path):
    picture = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "x.png", Image.fromarray(picture))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), picture)


@pytest.mark.parametrize(("every", "scale"), [(1, 1), (2, 1), (3, 2)])
def test_a_filmstrip_has_a_row_a_clip_and_a_column_a_frame(every, scale):
    clips = [RNG.integers(0, 256, (5, 4, 6, 3), np.uint8) for _ in range(2)]
    strip = np.asarray(filmstrip(clips, every, scale))
    for row, clip in enumerate(clips):
        for column, frame in enumerate(clip[::every]):
            top, left = row * 4 * scale, column * 6 * scale
            expected = frame.repeat(scale, 0).repeat(scale, 1)
            assert np.array_equal(strip[top : top + 4 * scale, left : left + 6 * scale], expected)
    assert strip.shape == (8 * scale, 6 * scale * len(clips[0][::every]), 3)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 4, 4, 3)),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 4), np.uint8),
        np.zeros((2, 3, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
    ],
    ids=lambda f: f"{f.dtype}{f.shape}",
)
def test_what_are_no_frames(tmp_path, frames):
    with pytest.raises(UserError, match=r"they must be uint8 \(T, H, W, 3\) with T ≥ 1"):
        check_frames(frames)
    for write in (write_video, write_gif):
        with pytest.raises(UserError, match=r"they must be uint8|there is no frame"):
            write(tmp_path / "x", frames)
    assert not list(tmp_path.iterdir())


def test_a_stream_whose_frames_change_their_size_is_refused(tmp_path):
    """Or FFmpeg would scale them without a word."""
    frames = [np.zeros((16, 16, 3), np.uint8), np.zeros((32, 16, 3), np.uint8)]
    with pytest.raises(UserError, match="frame 2 has 32 × 16 pixels, the first one 16 × 16"):
        write_stream(tmp_path / "x.mp4", iter(frames))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "fps", "words"),
    [
        ("x.avi", 8, r"the name must end in \.mp4 or \.gif"),
        ("x", 8, "the name must end in"),
        ("x.gif", 101, r"fps is 101; of a \.gif file it must be at least 0\.01 and at most 100"),
        ("x.mp4", 1001, "at most 1000"),
        ("x.mp4", 0, r"at least 0\.01"),
    ],
)
def test_names_and_rates_that_no_file_has(tmp_path, name, fps, words):
    with pytest.raises(UserError, match=words):
        check_clip(tmp_path / name, fps)
    with pytest.raises(UserError, match=words):
        write_clip(tmp_path / name, smooth(2), fps)

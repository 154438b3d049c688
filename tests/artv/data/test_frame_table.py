"""Times of frames: which files keep one rate, which way up their pictures are, and where decoding begins."""

import struct
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest

from artv.data.frame_table import FrameTable, count_left, frames_from, open_container, orientation, read_table
from artv.data.readers import open_video
from artv.errors import UserError
from artv_eval.testing.counting import FILES, counting_clip, number, write_counting

RATES = [Fraction(8), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)]
BASES = [Fraction(1, 1000), Fraction(1, 12800), Fraction(1, 90000)]


@pytest.mark.parametrize("base", BASES, ids=str)
@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("start", [0, -1024, 5000])
def test_times_rounded_to_a_containers_units_are_one_rate(rate, base, start):
    pts = [start + round(i / rate / base) for i in range(200)]
    table = FrameTable.of(pts, float(rate), base)
    assert table.times is None and table.pts == tuple(pts)
    assert (table.length, table.rate, table.starts) == (200, float(rate), (0,))


@pytest.mark.parametrize(("off", "kept"), [(0.0, True), (0.4, True), (0.6, False), (-0.6, False)])
def test_a_frame_may_be_off_by_less_than_half_of_a_frames_time(off, kept):
    pts = [i * 1000 for i in range(10)]
    pts[5] += round(off * 1000)
    table = FrameTable.of(pts, 8.0, Fraction(1, 8000))
    assert (table.times is None) == kept
    if not kept:
        np.testing.assert_allclose(table.times, np.array(pts) / 8000)


@pytest.mark.parametrize("stated", [0.0, 8.0, 100.0])
def test_without_one_rate_it_is_the_average(stated):
    """Nine intervals over 2.5 s."""
    seconds = [0, 0.1, 0.5, 0.6, 1.0, 1.2, 1.3, 2.0, 2.1, 2.5]
    table = FrameTable.of([7 + round(1000 * s) for s in seconds], stated, Fraction(1, 1000))
    assert table.rate == pytest.approx(9 / 2.5) and table.length == 10
    np.testing.assert_allclose(table.times, seconds)


@pytest.mark.parametrize("pts", [[0, 1, None, 3], [0, 1, 1, 2], [0, 2, 1, 3], [3, 2, 1, 0]])
def test_times_that_do_not_rise_are_none(pts):
    table = FrameTable.of(pts, 8.0, Fraction(1, 8), doubt="no times")
    assert table.pts is None and table.times is None and table.doubt == "no times"
    assert (table.length, table.rate) == (4, 8.0)


@pytest.mark.parametrize(("pts", "length"), [([], 0), ([42], 1)])
def test_none_and_one(pts, length):
    table = FrameTable.of(pts, 25.0, Fraction(1, 25))
    assert (table.length, table.rate, table.times) == (length, 25.0, None)


def display_matrix(degrees, horizontal, vertical):
    """FFmpeg's av_display_rotation_set (counter-clockwise), then av_display_matrix_flip, in 16.16 fixed point."""
    turn = np.deg2rad(-degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix *= np.array([-1 if horizontal else 1, -1 if vertical else 1])
    (a, b), (c, d) = (matrix * 65536).round().astype(int).tolist()
    return matrix.round().astype(int), struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_turns_and_mirrors_put_each_pixel_where_the_matrix_says(degrees, horizontal, vertical):
    """A pixel at (p, q) is shown at (a·p + c·q, b·p + d·q), moved so that the picture begins at 0 (ISO 14496-12)."""
    matrix, data = display_matrix(degrees, horizontal, vertical)
    picture = np.arange(6).reshape(2, 3)
    q, p = np.mgrid[:2, :3].reshape(2, -1)
    x, y = (np.stack([p, q], 1) @ matrix).T
    shown = np.empty((np.ptp(y) + 1, np.ptp(x) + 1), int)
    shown[y - y.min(), x - x.min()] = picture[q, p]
    turns, mirrored = orientation(SimpleNamespace(side_data={"DISPLAYMATRIX": data}))
    assert np.array_equal(np.rot90(np.fliplr(picture) if mirrored else picture, -turns), shown)


def test_a_frame_that_says_nothing_is_upright():
    assert orientation(SimpleNamespace(side_data={})) == (0, False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_counting(tmp_path_factory.mktemp("clip") / "clip.mp4", FILES["HEVC"])


@pytest.mark.parametrize(("first", "start"), [(0, 0), (5, 0), (12, 12), (13, 12), (47, 36), (59, 48)])
def test_decoding_begins_at_the_last_start_before_what_is_wanted(clip, first, start):
    table = read_table(clip)
    assert table.starts == (0, 12, 24, 36, 48)
    i, frame = next(frames_from(clip, table, first))
    assert i == start and number(frame.to_ndarray(format="rgb24")) == start


def test_a_table_of_another_file_gives_itself_away(clip):
    table = read_table(clip)
    wrong = FrameTable.of([p + 1 for p in table.pts], table.rate, table.time_base, starts=table.starts)
    with pytest.raises(LookupError, match="is not where the file's packets say"):
        list(frames_from(clip, wrong, 20))


def test_the_stream_that_is_shown_is_the_largest_that_is_no_cover(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        for width in (64, 96):
            stream = container.add_stream("mpeg4", rate=8)
            stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
        for stream in container.streams:
            picture = counting_clip(1)[0][:64, : stream.width]
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                container.mux(packet)
            container.mux(stream.encode())
    with open_container(path) as (container, stream):
        widths = {s.codec_context.width: s for s in container.streams.video}
        defaults = [s for s in widths.values() if int(s.disposition) & 1]
        assert len(widths) == 2 and stream is (defaults[0] if len(defaults) == 1 else widths[96])
    assert read_table(path).doubt == "it has several video streams"


def test_a_file_without_pictures(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="no video stream"), open_container(path):
        pass


CUT = [
    ("MPEG-4, B-frames", ".avi"),
    ("MPEG-4, B-frames", ".mkv"),
    ("VP9", ".webm"),
    ("H.264, index first", ".mp4"),
    ("H.264, fragments", ".mov"),
]


@pytest.mark.parametrize(("name", "suffix"), CUT, ids=[suffix for _, suffix in CUT])
def test_what_is_left_of_a_file_that_ends_early_is_counted(tmp_path, name, suffix):
    path = write_counting(tmp_path / f"clip{suffix}", FILES[name])
    with open_container(path) as (container, stream):
        ends = sorted(packet.pos + packet.size for packet in container.demux(stream) if packet.size)
    # in the middle of a packet: Matroska counts its place without the head of its block
    cut = next(end + 20 for end, following in pairwise(ends[30:]) if following > end + 40)
    path.write_bytes(path.read_bytes()[:cut])
    assert count_left(path) == sum(end < cut for end in ends)


def test_the_error_of_a_file_that_ends_early_says_what_is_left(tmp_path):
    path = write_counting(tmp_path / "clip.mkv", FILES["MPEG-4"])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(
        UserError, match=rf"is cut off: its end is missing \({count_left(path)} frames of it can be read\); copy"
    ):
        open_video(path)
    path = write_counting(tmp_path / "clip.mp4", FILES["MPEG-4"])  # its index comes last
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="its end is missing; copy or make it again"):
        open_video(path)

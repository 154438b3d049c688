"""Files of any length: excerpts of many frames are those of the file, decoded once, and what breaks off is counted."""

import av
import numpy as np
import pytest
from video_folders import Means, clip_file

from artv.data import readers
from artv.data.readers import read_video
from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.files import excerpts
from artv_eval.files.decoding import Decoders, Excerpt, decode
from artv_eval.files.excerpts import Parts, read_excerpt
from artv_eval.files.score import score_folders
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.windows import WindowFvdEvaluator
from artv_eval.results.clips import StoredArray
from artv_eval.testing.counting import counting_clip, number

FRAMES = 150


def write(path, codec, **options):
    clip = counting_clip(FRAMES)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.options = clip.shape[2], clip.shape[1], options
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def h264(tmp_path_factory):
    return write(tmp_path_factory.mktemp("long") / "clip.mkv", "libx264", g="30", bf="0")


@pytest.fixture(scope="module")
def breaks_off(h264):
    """The same, whose packets after the first 101 are rubbish."""
    with av.open(str(h264)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data, at = bytearray(h264.read_bytes()), 0
    for i, packet in enumerate(packets):
        at = data.find(packet, at)
        if i > 100:
            data[at : at + len(packet)] = b"\xff" * len(packet)
        at += len(packet)
    path = h264.with_name("broken.mkv")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_long_excerpts_are_read_by_slices(h264, reader, workers):
    excerpt = Excerpt(frames=70, stride=2, which="centre", reader=reader)
    (clip,) = decode([h264], excerpt, workers=workers)
    assert isinstance(clip.frames, StoredArray) and clip.length == FRAMES and clip.fps == 8
    expected = list(range(5, 5 + 140, 2))
    assert [number(frame) for frame in clip.frames] == expected
    assert [number(frame) for frame in clip.frames[60:3:-9]] == expected[60:3:-9]


def test_pyav_decodes_a_long_file_once(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.mkv", "mpeg4", g="300", bf="2", b="4M")  # nowhere to jump to
    began, real = [], readers.frames_from
    monkeypatch.setattr(readers, "frames_from", lambda *args: began.append(args[2]) or real(*args))
    found = read_excerpt(path, Excerpt(frames=2 * FRAMES, fps=16.0, reader="pyav"))  # every frame twice
    assert [number(frame) for frame in found.frames] == [i // 2 for i in range(2 * FRAMES)]
    assert began == [0]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("frames", [110, 30])
def test_what_was_read_of_a_file_that_breaks_off_is_counted(breaks_off, frames, workers):
    (clip,) = decode([breaks_off], Excerpt(frames=frames), workers=workers)
    if frames == 30:
        assert clip.error is None and len(clip.frames) == 30
    else:
        assert "broken.mkv breaks off" in clip.error
        assert clip.error.endswith("101 of the 110 frames asked for were read")


def test_a_file_that_hangs_is_given_up_while_it_is_read(h264, monkeypatch):
    """The time-out is of the next frames, not of the whole file."""
    with Decoders(1, timeout=0.001) as decoders:
        (clip,) = decoders.decode([h264], Excerpt(frames=FRAMES))
    assert "no answer within 0.001 s" in clip.error


def test_few_frames_are_there_at_a_time(h264, monkeypatch):
    """A process that decodes holds few large frames; the first comes alone, to say how large they are."""
    whole = read_video(h264)
    monkeypatch.setattr(excerpts, "STEP_BYTES", 7 * whole[0].nbytes)
    parts = Parts(h264, Excerpt(frames=FRAMES), 0)
    came = list(parts)
    assert [len(frames) for frames in came] == [1, *[7] * 21, 2] and parts.shape == whole.shape
    np.testing.assert_array_equal(np.concatenate(came), whole)


def test_scores_of_long_files_are_those_of_their_frames(tmp_path):
    """Also under a metric that takes arrays; the row says which part of the files it is of."""
    files = [clip_file(tmp_path / "fake" / f"{i}.mp4", i, frames=90 + 10 * i) for i in range(3)]
    metrics = [DriftEvaluator("change"), curve("motion"), WindowFvdEvaluator(Means(), length=30, stride=30)]
    found = score_folders(tmp_path / "fake", tmp_path / "fake", metrics, Excerpt(frames=90), workers=1, resamples=20)
    clips = [read_video(file, limit=90) for file in files]
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=90, height=32, width=32, fps=8.0)
    in_memory = ClipSet([request] * 3, lambda i: GeneratedClip(clips[i]))
    for metric, row in zip(metrics[:2], found.rows, strict=False):
        assert row.value == pytest.approx(metric.evaluate(metric.describe(in_memory)), rel=1e-6)
        assert row.excerpt == "first 90 of 90 to 110 frames"
    assert found.rows[2].value == pytest.approx(0, abs=1e-6)
    assert "clips: first 90 of 90 to 110 frames" in found.notes


def test_lengths_that_do_not_fit_are_one_line():
    def clips(*lengths):
        request = ClipRequest(index=0, prompt="", seed=0, num_frames=lengths[0], height=32, width=32, fps=8.0)
        made = [np.zeros((length, 32, 32, 3), np.uint8) for length in lengths]
        return ClipSet([request] * len(lengths), lambda i: GeneratedClip(made[i]))

    windows = WindowFvdEvaluator(Means(), length=8)
    with pytest.raises(UserError, match=r"^windows of 8 frames, one every 4: clips have 6 frames; take windows of at"):
        windows.describe(clips(6, 6))
    for metric in (windows, DriftEvaluator("change"), DriftEvaluator("contrast")):
        with pytest.raises(UserError, match=r"^clips of one set (have 10 to 12 frames|differ in size)"):
            metric.describe(clips(10, 12))


def test_score_names_a_file_that_breaks_off_and_says_how_much_came(breaks_off, tmp_path):
    """Above the share of bad files that is allowed the metric is withheld, below it the other files count."""
    for i in range(3):
        write(tmp_path / f"{i}.mkv", "libx264", g="30", bf="0")
    (tmp_path / "broken.mkv").write_bytes(breaks_off.read_bytes())
    excerpt, metrics = Excerpt(frames=110), [DriftEvaluator("change")]
    said = "broken.mkv breaks off"
    strict = score_folders(None, tmp_path, metrics, excerpt, workers=0, resamples=20)
    assert strict.rows[0].value is None and strict.rows[0].status.startswith(
        "withheld: 1 of 4 fake files cannot be read"
    )
    lenient = score_folders(None, tmp_path, metrics, excerpt, workers=0, resamples=20, bad_files=0.25)
    assert (lenient.rows[0].status, lenient.rows[0].n) == ("ok", 3)
    for found in (strict, lenient):
        (bad,) = found.bad_files
        assert bad.file.endswith("broken.mkv") and said in bad.reason
        assert bad.reason.endswith("101 of the 110 frames asked for were read")
        assert any(note.startswith("1 fake file was left out") and said in note for note in found.notes)
    shorter = score_folders(None, tmp_path, metrics, Excerpt(frames=80), workers=0, resamples=20)
    assert (shorter.rows[0].n, shorter.bad_files) == (4, ())  # what breaks off later is of no account

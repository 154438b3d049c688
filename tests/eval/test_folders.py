"""Folders of video files: decoding apart, bad files, mixtures, the cache, sensitivity."""

import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from artv.errors import UserError, WorkFailed
from artv.video import write_video
from artv_eval import decoding
from artv_eval.captions import read_captions
from artv_eval.decoding import Decoders, Window, decode
from artv_eval.describe import describe_files, video_files
from artv_eval.features.preprocess import Transform
from artv_eval.folders import score_folders
from artv_eval.metrics.clipsim import ClipSimEvaluator
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.mask import MaskEvaluator
from artv_eval.metrics.seconds import SecondsEvaluator
from artv_eval.sensitivity import sensitivity


class Means:
    """Six numbers a clip, and a count of the clips it has seen."""

    name, digest, dim = "means", "0", 6

    def __init__(self):
        self.seen = 0

    def __call__(self, clip_BTCHW):
        self.seen += len(clip_BTCHW)
        x = clip_BTCHW.float() / 255
        return torch.cat([x.mean((1, 3, 4)), x.std((1, 3, 4))], 1)


def clip_file(path, seed, frames=6, size=32, fps=8.0, shift=0):
    rng = np.random.default_rng(seed)
    texture = rng.integers(60, 160, (1, size // 8, size // 8, 3)).repeat(8, 1).repeat(8, 2)
    video = (texture + rng.integers(0, 40, (frames, 1, 1, 3)) + shift).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, video, fps)
    return path


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two folders of 8 clips each."""
    root = tmp_path_factory.mktemp("clips")
    for k in range(8):
        clip_file(root / "real" / f"{k}.mp4", k)
        clip_file(root / "fake" / f"{k}.mp4", 100 + k, shift=15)
    return root / "real", root / "fake"


@pytest.fixture
def broken(tmp_path):
    """Four good clips and four that no one can read."""
    for k in range(4):
        clip_file(tmp_path / f"good{k}.mp4", k)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video")
    clip_file(tmp_path / "short.mp4", 9, frames=3)
    whole = (tmp_path / "good0.mp4").read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 3])
    return tmp_path


WINDOW = Window(frames=4)


def test_workers_give_the_frames_of_the_files_in_order(sides):
    files = video_files(sides[0])
    there, here = (list(decode(files, WINDOW, workers=workers)) for workers in (2, 0))
    assert [clip.path for clip in there] == files
    for a, b in zip(there, here, strict=True):
        assert a.error is None and a.fps == b.fps == 8
        np.testing.assert_array_equal(a.frames, b.frames)


def test_every_kind_of_bad_file_is_named_and_the_rest_goes_on(broken):
    found = describe_files(video_files(broken), [FvdEvaluator(Means())], WINDOW, workers=1)
    assert sorted(f.name for f in found.files) == [f"good{k}.mp4" for k in range(4)]
    reasons = {path.name: reason for path, reason in found.bad.items()}
    assert set(reasons) == {"empty.mp4", "text.mp4", "short.mp4", "truncated.mp4"}
    assert all(name in reason for name, reason in reasons.items())
    assert "0 bytes" in reasons["empty.mp4"] and "the protocol needs 4" in reasons["short.mp4"]
    assert len(next(iter(found.rows.values()))) == 4 and found.bad_share == 0.5


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov"])
def test_a_video_that_is_cut_off_is_bad_even_where_its_first_frames_are_whole(tmp_path, flags):
    """With its index at the front, readers give the frames that are left: another centre, without a word."""
    rng, whole = np.random.default_rng(0), tmp_path / "whole.mp4"
    with av.open(str(whole), "w", format="mp4", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.options = {"g": "8"}
        for _ in range(40):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = whole.read_bytes()
    for share in (30, 60, 90):
        (tmp_path / f"cut{share}.mp4").write_bytes(data[: len(data) * share // 100])
    (tmp_path / "trailing.mp4").write_bytes(data + bytes(40))
    found = {clip.path.stem: clip.error for clip in decode(video_files(tmp_path), WINDOW, workers=0)}
    assert [name for name, error in found.items() if error is None] == ["trailing", "whole"]
    assert all(f"{name}.mp4" in error for name, error in found.items() if error)


def test_too_many_bad_files_withhold_the_metric(broken, sides):
    results = score_folders(sides[0], broken, [FvdEvaluator(Means())], WINDOW, bad_files=0.1, workers=0)
    (row,) = results.rows
    assert row.value is None and row.status.startswith("withheld: 4 of 8 fake files cannot be read, more than the 10%")
    assert "4 fake files were left out" in results.notes[0]
    allowed = score_folders(sides[0], broken, [FvdEvaluator(Means())], WINDOW, bad_files=0.5, workers=0, resamples=20)
    assert allowed.rows[0].status == "ok" and allowed.rows[0].n == 4
    assert any(note.startswith("fvd: 4 clips are too few for the 95 % interval") for note in allowed.notes)


STAND_IN = """
import sys, time
from artv_eval import decoding
real = decoding._decode_here
def decode(path, window, seed):
    if path.name == "3.mp4":
        {what}
    return real(path, window, seed)
decoding._decode_here = decode
decoding.work()
"""


@pytest.mark.parametrize(
    ("what", "reason"), [("time.sleep(60)", "no answer within"), ("import os; os._exit(9)", "crashed")]
)
def test_a_decoder_that_hangs_or_crashes_costs_one_file(sides, monkeypatch, what, reason):
    monkeypatch.setattr(decoding, "WORKER", [sys.executable, "-c", STAND_IN.format(what=what)])
    clips = list(decode(video_files(sides[0]), WINDOW, workers=1, timeout=6.0))
    assert [clip.path.name for clip in clips if clip.error] == ["3.mp4"]
    assert reason in clips[3].error and "3.mp4" in clips[3].error


def test_stopping_early_leaves_no_worker(sides, monkeypatch):
    started, plain = [], subprocess.Popen

    def start(*args, **options):
        started.append(plain(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    clips = decode(video_files(sides[0]), WINDOW, workers=2)
    next(clips)
    assert any(process.poll() is None for process in started)
    clips.close()
    assert all(process.poll() is not None for process in started)


def test_the_same_processes_decode_every_folder(sides, monkeypatch):
    started, plain = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(plain(*a, **k)) or started[-1])
    score_folders(*sides, [FvdEvaluator(Means())], WINDOW, workers=2, resamples=10)
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    with Decoders(5) as decoders:  # no more than there are files
        assert [clip.error for clip in decoders.decode(video_files(sides[0])[:3], WINDOW)] == [None] * 3
    assert len(started) == 5


def test_scores_are_those_of_the_frames(sides):
    evaluator = FvdEvaluator(Means())
    results = score_folders(*sides, [evaluator, DriftEvaluator()], WINDOW, workers=0, resamples=50)
    x, y = (
        Means()(
            torch.from_numpy(np.stack([c.frames for c in decode(video_files(side), WINDOW, workers=0)])).permute(
                0, 1, 4, 2, 3
            )
        )
        for side in (sides[1], sides[0])
    )
    fvd, drift = results.rows
    assert fvd.value == pytest.approx(frechet_from_features(x.numpy(), y.numpy()), rel=1e-5)
    assert fvd.ci_low < fvd.value < fvd.ci_high and fvd.n == 8 and fvd.method == "fake"
    assert drift.metric == "drift" and drift.status == "ok"


def test_second_scoring_reads_no_frame_again(sides, tmp_path, monkeypatch):
    features = Means()
    first = score_folders(*sides, [FvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0, resamples=20)
    monkeypatch.setattr(decoding, "read_window", lambda *_: pytest.fail("decoded again"))
    again = score_folders(*sides, [FvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0, resamples=40)
    assert again.rows[0].value == first.rows[0].value and features.seen == 16


def test_the_cache_key_holds_everything(sides, tmp_path):
    def seen(window=WINDOW, digest="0", folder=sides[0]):
        features = Means()
        features.digest = digest
        describe_files(video_files(folder), [FvdEvaluator(features)], window, cache=tmp_path, workers=0)
        return features.seen

    assert seen() == 8 and seen() == 0
    windows = [
        Window(frames=5),
        Window(frames=2, fps=4.0),
        Window(frames=2, stride=2),
        Window(frames=4, which="centre"),
        Window(frames=4, transform=(("size", 16),)),
        Window(frames=4, reader="pyav"),
    ]
    assert [seen(window) for window in windows] == [8] * len(windows)
    assert seen(digest="1") == 8
    clip_file(sides[0] / "extra.mp4", 77)
    try:
        assert seen() == 1  # only the new file
    finally:
        (sides[0] / "extra.mp4").unlink()


def test_a_damaged_cache_is_computed_anew(sides, tmp_path):
    evaluator = FvdEvaluator(Means())
    describe_files(video_files(sides[0]), [evaluator], WINDOW, cache=tmp_path, workers=0)
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:40])
    assert len(describe_files(video_files(sides[0]), [evaluator], WINDOW, cache=tmp_path, workers=0).files) == 8


@pytest.mark.parametrize("cached", [False, True])
def test_mixed_sizes_and_rates_are_refused_or_handled(sides, tmp_path, cached):
    mixed = tmp_path / "mixed"
    cache = tmp_path / "cache" if cached else None
    clip_file(mixed / "a.mp4", 1)
    clip_file(mixed / "b.mp4", 2, size=64)
    evaluator = FvdEvaluator(Means())
    for _ in range(2):
        with pytest.raises(UserError, match=r"32 x 32 pixels and .*b\.mp4 64 x 64"):
            describe_files(video_files(mixed), [evaluator], WINDOW, cache=cache, workers=0)
    equal = Window(frames=4, transform=(("size", 32),))
    assert len(describe_files(video_files(mixed), [evaluator], equal, cache=cache, workers=0).files) == 2
    clip_file(mixed / "b.mp4", 2, fps=16.0, frames=12)
    for _ in range(2):
        with pytest.raises(UserError, match=r"a\.mp4 has 8 fps and .*b\.mp4 16"):
            describe_files(video_files(mixed), [evaluator], WINDOW, cache=cache, workers=0)
    same = Window(frames=4, fps=8.0)
    assert len(describe_files(video_files(mixed), [evaluator], same, cache=cache, workers=0).files) == 2


def test_real_and_fake_of_different_rates_are_refused(sides, tmp_path):
    for k in range(3):
        clip_file(tmp_path / f"{k}.mp4", k, fps=12.0)
    with pytest.raises(UserError, match="say at which rate"):
        score_folders(sides[0], tmp_path, [FvdEvaluator(Means())], WINDOW, workers=0)


def test_sizes_that_a_transform_makes_equal_are_handled_and_others_refused(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, size=(40, 64)[k % 2])
    plain, scaled = FvdEvaluator(Means()), FvdEvaluator(Means(), transform=Transform(crop="largest", size=16))
    with pytest.raises(UserError, match=r"0\.mp4 has 40 x 40 pixels and .*1\.mp4 64 x 64: say how"):
        score_folders(sides[0], tmp_path, [plain], WINDOW, workers=0)
    (row,) = score_folders(sides[0], tmp_path, [scaled], WINDOW, workers=0, resamples=20).rows
    assert row.status == "ok" and row.n == 4
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, size=40)
    with pytest.raises(UserError, match=r"real.*32 x 32 pixels and .* 40 x 40: say how"):
        score_folders(sides[0], tmp_path, [plain], WINDOW, workers=0)


def test_real_clips_are_the_part_that_the_protocol_says(tmp_path):
    for k in range(3):
        clip_file(tmp_path / "fake" / f"{k}.mp4", k, frames=4)
        whole = clip_file(tmp_path / "real" / f"{k}.mp4", k, frames=12)
        middle, _ = decoding.read_window(whole, Window(frames=4, which="centre"))
        np.savez(tmp_path / f"{k}.npz", middle=middle)
    evaluator = FvdEvaluator(Means())
    first, centre = (
        score_folders(tmp_path / "real", tmp_path / "fake", [evaluator], WINDOW, real_which=which, workers=0).rows[0]
        for which in (None, "centre")
    )
    found = describe_files(video_files(tmp_path / "fake"), [evaluator], WINDOW, workers=0).rows[evaluator.digest]
    middles = [np.load(tmp_path / f"{k}.npz")["middle"] for k in range(3)]
    expected = Means()(torch.from_numpy(np.stack(middles)).permute(0, 1, 4, 2, 3)).numpy()
    assert centre.value == pytest.approx(frechet_from_features(found, expected), rel=1e-5) != first.value


def test_the_hash_of_a_row_covers_the_real_files_whatever_their_names(sides, tmp_path):
    def hash_of(real, metric):
        return score_folders(real, sides[1], [metric], WINDOW, protocol_hash="abc", workers=0).rows[0].protocol_hash

    fvd, before = FvdEvaluator(Means()), hash_of(sides[0], FvdEvaluator(Means()))
    for k, file in enumerate(sorted(sides[0].glob("*.mp4"), reverse=True)):
        (tmp_path / f"{k}.mp4").write_bytes(file.read_bytes())
    assert hash_of(tmp_path, fvd) == before != "abc"
    clip_file(tmp_path / "0.mp4", 99)
    assert hash_of(tmp_path, fvd) != before
    assert hash_of(sides[0], DriftEvaluator()) == "abc"


def test_another_metric_on_the_same_features_reads_no_frame_again(sides, tmp_path):
    features = Means()
    score_folders(*sides, [FvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0, resamples=20)
    (row,) = score_folders(*sides, [KvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0, resamples=20).rows
    assert row.status == "ok" and row.metric == "kvd" and features.seen == 16


class Lengths:
    """Texts by their length, pictures by their brightness: similarity is their product."""

    name, digest, dim = "lengths", "0", 1

    def images(self, image_NCHW):
        return torch.ones(len(image_NCHW), 1)

    def texts(self, texts):
        return torch.tensor([[float(len(text))] for text in texts])


def test_captions_come_from_a_file_and_metrics_without_their_needs_are_absent(sides, tmp_path):
    file = tmp_path / "captions.csv"
    file.write_text("file,caption\n" + "".join(f"{k}.mp4,{'x' * (k + 1)}\n" for k in range(8)))
    clipsim, mask = ClipSimEvaluator(Lengths()), MaskEvaluator()
    with_captions = score_folders(None, sides[1], [clipsim, mask], WINDOW, captions=read_captions(file), workers=0)
    assert with_captions.rows[0].value == pytest.approx(4.5)
    needed = "labels of what moves and the masks of the model"
    assert with_captions.rows[1].status == f"absent: it needs {needed}, which video files do not hold; a sweep has it"
    others = [clipsim, FvdEvaluator(Means()), DriftEvaluator()]
    without = score_folders(None, sides[1], others, WINDOW, workers=0, resamples=20)
    statuses = [row.status for row in without.rows]
    assert statuses == ["absent: it needs --captions FILE", "absent: it needs --real DIR", "ok"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "must begin with the line 'file,caption'"),
        (b"name,text\n1.mp4,x\n", "must begin with the line 'file,caption'; it begins with 'name,text'"),
        (b"file,caption\n", "is empty"),
        (b"file,caption\n,x\n", "a line without a file"),
        (b"file,caption\n1.mp4,caf\xe9\n", "is no text in UTF-8"),
        (b"\x00\x00\x00\x1cftypisom\x00\xff\xfe", "is no text in UTF-8"),
        (b"file,caption\n1.mp4,x\n./1.mp4,y\n", r"gives \./1\.mp4 two captions"),
    ],
)
def test_bad_captions_files_are_refused(tmp_path, text, reason):
    (tmp_path / "c.csv").write_bytes(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_captions(tmp_path / "c.csv")
    assert "c.csv" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        read_captions(tmp_path / "d.csv")


def test_captions_are_those_of_the_files_path_and_of_its_bare_name_only_where_one_has_it(tmp_path):
    files = [tmp_path / name for name in ("a/1.mp4", "b/1.mp4", "b/2.mp4", "c/3.mp4", "4.mp4")]

    def found(*lines, source="captions.csv"):
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_text("\n".join(("file,caption", *lines)))
        having = read_captions(tmp_path / source).of(files, tmp_path)
        return {file.relative_to(tmp_path).as_posix(): text for file, text in having.items()}

    assert found("a/1.mp4,one", "b/1.mp4,two") == {"a/1.mp4": "one", "b/1.mp4": "two"}
    assert found("1.mp4,one", "2.mp4,two", "elsewhere/3.mp4,three") == {"b/2.mp4": "two", "c/3.mp4": "three"}
    assert found("x/2.mp4,one", "y/2.mp4,two", f"{tmp_path}/4.mp4,four", "b/1.mp4, ") == {"4.mp4": "four"}
    assert found("../a/1.mp4,one", "4.mp4,four", source="tables/c.csv") == {"a/1.mp4": "one", "4.mp4": "four"}


@pytest.mark.parametrize(
    ("lines", "count"), [(["0.mp4,a"], 7), (["zzz.mp4,a"], 8), ([f"{k}.mp4, " for k in range(8)], 8)]
)
def test_files_without_a_caption_are_refused_before_any_is_decoded(sides, tmp_path, monkeypatch, lines, count):
    monkeypatch.setattr(decoding, "read_window", lambda *_: pytest.fail("decoded"))
    table = tmp_path / "one.csv"
    table.write_text("\n".join(("file,caption", *lines)))
    with pytest.raises(
        UserError, match=rf"{count} of 8 files in .* have no caption in .*one\.csv, for example \d\.mp4"
    ):
        score_folders(None, sides[1], [ClipSimEvaluator(Lengths())], WINDOW, captions=read_captions(table), workers=0)


def test_a_metric_that_fails_is_a_row_and_the_others_have_values(sides):
    class Broken(DriftEvaluator):
        def per_clip(self, rows):
            raise np.linalg.LinAlgError("singular")

    metrics = [SecondsEvaluator(), Broken(), DriftEvaluator()]
    timed, broken, drift = score_folders(None, sides[1], metrics, WINDOW, workers=0, resamples=20).rows
    assert timed.status.startswith("absent: metric 'seconds' needs the time that it took")
    assert broken.status == "failed: LinAlgError: singular" and drift.status == "ok"


def test_one_file_is_refused_and_a_folder_with_a_videos_name_is_none(tmp_path):
    clip_file(tmp_path / "a.mp4", 1)
    (tmp_path / "dir.mp4").mkdir()
    assert [file.name for file in video_files(tmp_path)] == ["a.mp4"]
    with pytest.raises(UserError, match=r"holds 1 video file, a\.mp4; a value needs at least 2"):
        score_folders(None, tmp_path, [DriftEvaluator()], WINDOW, workers=0)


def test_folders_without_videos_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no video files"):
        video_files(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        video_files(Path("/nonexistent"))


def test_sensitivity_tabulates_every_combination_against_the_first(sides, tmp_path):
    features = Means()
    rows = sensitivity(
        *sides, FvdEvaluator(features), Window(frames=3), size=16, filters=("bilinear", "area"), strides=(1, 2),
        cache=tmp_path, workers=0,
    )  # fmt: skip
    assert len(rows) == 2 * 2 * 2 * 3 and features.seen == 4 * 16
    assert rows[0].change == 0 and {row.n for row in rows} == {8, 4, 2}
    full = {(r.filter, r.stride, r.covariance): r.fvd for r in rows if r.n == 8}
    assert full["bilinear", 1, "n-1"] != full["bilinear", 1, "n"] != full["area", 2, "n"]
    assert rows[1].change == pytest.approx(rows[1].fvd / rows[0].fvd - 1)
    with pytest.raises(UserError, match="must be n-1 or n"):
        sensitivity(*sides, FvdEvaluator(features), WINDOW, covariances=("biased",))


def test_sensitivity_compares_the_same_clips_in_every_row_and_names_the_others(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    clip_file(tmp_path / "4.mp4", 4, frames=4)  # too short for 3 frames at stride 2
    notes = []
    rows = sensitivity(
        sides[0], tmp_path, FvdEvaluator(Means()), Window(frames=3), size=16, filters=("area",), strides=(1, 2),
        covariances=("n",), workers=0, bad_files=0.2, on_note=notes.append,
    )  # fmt: skip
    assert [(row.stride, row.n) for row in rows] == [(1, 4), (1, 2), (2, 4), (2, 2)]
    assert len(notes) == 1 and "1 fake files were left out" in notes[0] and "4.mp4" in notes[0]


def test_sensitivity_takes_as_many_clips_of_either_folder_as_the_row_says(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    metric = FvdEvaluator(Means())
    more = {"size": 16, "filters": ("area",), "strides": (1,), "covariances": ("n",), "workers": 0}
    (row,) = sensitivity(sides[0], tmp_path, metric, Window(frames=3), numbers=(3,), **more)
    shown = Window(frames=3, transform=(("size", 16), ("filter", "area")))
    ours, theirs = (
        describe_files(video_files(side)[:3], [metric], shown, workers=0).rows[metric.digest]
        for side in (tmp_path, sides[0])
    )
    assert row.n == 3 and row.fvd == pytest.approx(frechet_from_features(ours, theirs, 0), rel=1e-9)
    with pytest.raises(UserError, match="numbers has 8 and the fake folder 4 clips; ask for at most so many"):
        sensitivity(sides[0], tmp_path, metric, Window(frames=3), numbers=(8, 4), **more)


def test_sensitivity_of_a_folder_with_itself_has_no_change_to_tell(sides):
    rows = sensitivity(
        sides[0], sides[0], FvdEvaluator(Means()), WINDOW, size=16, filters=("area", "bilinear"), strides=(1,),
        numbers=(8,), workers=0,
    )  # fmt: skip
    assert all(row.fvd < 1e-6 and row.change is None for row in rows)


def test_sensitivity_withholds_as_scoring_does(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, frames=6)
    (tmp_path / "4.mp4").write_bytes(b"no video")
    with pytest.raises(
        WorkFailed, match=r"^withheld: 1 of 5 fake files cannot be read, more than the 1% .*--bad-files"
    ):
        sensitivity(sides[0], tmp_path, FvdEvaluator(Means()), WINDOW, size=16, workers=0)


def test_clips_in_linked_folders_are_found_once(sides, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(sides[0])
    (tmp_path / "set" / "back").symlink_to(tmp_path / "set")
    assert len(video_files(tmp_path / "set")) == len(video_files(sides[0]))


def test_an_interruption_keeps_what_was_described(sides, tmp_path, monkeypatch):
    """The signal comes while files are decoded, with batches described, in work and not begun."""
    features = Means()
    monkeypatch.setattr("artv_eval.describe.BATCH", 2)

    def interrupt(done):
        if done == 7:
            raise KeyboardInterrupt

    files = video_files(sides[0])
    with pytest.raises(KeyboardInterrupt):
        describe_files(files, [FvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0, on_clip=interrupt)
    seen = features.seen
    assert 2 <= seen <= 6
    found = describe_files(files, [FvdEvaluator(features)], WINDOW, cache=tmp_path, workers=0)
    assert len(found.files) == 8 and features.seen == 8


def test_a_readers_reason_has_no_place_of_its_source(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3)).astype(np.uint8)
    write_video(tmp_path / "broken.mp4", noise)
    data = bytearray((tmp_path / "broken.mp4").read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)  # the index is whole
    (tmp_path / "broken.mp4").write_bytes(data)
    (clip,) = decode([tmp_path / "broken.mp4"], Window(frames=30), workers=1)
    assert clip.error is not None and "breaks off while reading (decord)" in clip.error
    assert "github" not in clip.error and not re.search(r"\d\d:\d\d:\d\d", clip.error)


def test_sensitivity_leaves_out_a_stride_for_which_clips_are_too_short_unless_it_was_asked_for(sides, monkeypatch):
    metric, notes = FvdEvaluator(Means()), []
    more = {"size": 16, "filters": ("area",), "covariances": ("n",), "workers": 0}
    rows = sensitivity(*sides, metric, WINDOW, **more, on_note=notes.append)
    assert {row.stride for row in rows} == {1}
    assert len(notes) == 1 and notes[0].startswith("stride 2 is left out: video ") and "needs 7" in notes[0]
    monkeypatch.setattr("artv_eval.sensitivity.describe_files", lambda *a, **k: pytest.fail("all files decoded"))
    with pytest.raises(
        UserError, match=r"^stride 2: video .*0\.mp4 has 6 frames .* needs 7; lower --frames or --strides"
    ):
        sensitivity(*sides, metric, WINDOW, strides=(1, 2), **more)
    with pytest.raises(UserError, match=r"^stride 1: video .* needs 13"):
        sensitivity(*sides, metric, Window(frames=13), **more)

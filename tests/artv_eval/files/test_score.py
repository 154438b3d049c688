"""Folders of video files: bad files, mixtures, the cache, captions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from video_folders import EXCERPT, Means, clip_file

from artv.data.captions import read_captions
from artv.errors import UserError
from artv_eval.features.preprocess import Transform
from artv_eval.files import decoding
from artv_eval.files.decoding import Excerpt, decode
from artv_eval.files.describe import describe_files, video_files
from artv_eval.files.score import score_folders
from artv_eval.metrics.clipsim import ClipSimEvaluator
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.mask import MaskEvaluator
from artv_eval.metrics.seconds import SecondsEvaluator


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


def test_every_kind_of_bad_file_is_named_and_the_rest_goes_on(broken):
    found = describe_files(video_files(broken), [FvdEvaluator(Means())], EXCERPT, workers=1)
    assert sorted(f.name for f in found.files) == [f"good{k}.mp4" for k in range(4)]
    reasons = {path.name: reason for path, reason in found.bad.items()}
    assert set(reasons) == {"empty.mp4", "text.mp4", "short.mp4", "truncated.mp4"}
    assert all(name in reason for name, reason in reasons.items())
    assert "0 bytes" in reasons["empty.mp4"] and "the protocol needs 4" in reasons["short.mp4"]
    assert len(next(iter(found.rows.values()))) == 4 and found.bad_share == 0.5


def test_too_many_bad_files_withhold_the_metric(broken, sides):
    results = score_folders(sides[0], broken, [FvdEvaluator(Means())], EXCERPT, bad_files=0.1, workers=0)
    (row,) = results.rows
    assert row.value is None and row.status.startswith("withheld: 4 of 8 fake files cannot be read, more than the 10%")
    assert "4 fake files were left out" in results.notes[0]
    allowed = score_folders(sides[0], broken, [FvdEvaluator(Means())], EXCERPT, bad_files=0.5, workers=0, resamples=20)
    assert allowed.rows[0].status == "ok" and allowed.rows[0].n == 4
    assert any(note.startswith("fvd: 4 clips are too few for the 95 % interval") for note in allowed.notes)


def test_scores_are_those_of_the_frames(sides):
    evaluator = FvdEvaluator(Means())
    results = score_folders(*sides, [evaluator, DriftEvaluator()], EXCERPT, workers=0, resamples=50)
    x, y = (
        Means()(
            torch.from_numpy(np.stack([c.frames for c in decode(video_files(side), EXCERPT, workers=0)])).permute(
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
    first = score_folders(*sides, [FvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0, resamples=20)
    monkeypatch.setattr(decoding, "read_excerpt", lambda *_: pytest.fail("decoded again"))
    again = score_folders(*sides, [FvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0, resamples=40)
    assert again.rows[0].value == first.rows[0].value and features.seen == 16


def test_the_cache_key_holds_everything(sides, tmp_path):
    def seen(excerpt=EXCERPT, digest="0", folder=sides[0]):
        features = Means()
        features.digest = digest
        describe_files(video_files(folder), [FvdEvaluator(features)], excerpt, cache=tmp_path, workers=0)
        return features.seen

    assert seen() == 8 and seen() == 0
    excerpts = [
        Excerpt(frames=5),
        Excerpt(frames=2, fps=4.0),
        Excerpt(frames=2, stride=2),
        Excerpt(frames=4, which="centre"),
        Excerpt(frames=4, transform=(("size", 16),)),
        Excerpt(frames=4, reader="pyav"),
    ]
    assert [seen(excerpt) for excerpt in excerpts] == [8] * len(excerpts)
    assert seen(digest="1") == 8
    clip_file(sides[0] / "extra.mp4", 77)
    try:
        assert seen() == 1  # only the new file
    finally:
        (sides[0] / "extra.mp4").unlink()


def test_a_damaged_cache_is_computed_anew(sides, tmp_path):
    evaluator = FvdEvaluator(Means())
    describe_files(video_files(sides[0]), [evaluator], EXCERPT, cache=tmp_path, workers=0)
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:40])
    assert len(describe_files(video_files(sides[0]), [evaluator], EXCERPT, cache=tmp_path, workers=0).files) == 8


@pytest.mark.parametrize("cached", [False, True])
def test_mixed_sizes_and_rates_are_refused_or_handled(sides, tmp_path, cached):
    mixed = tmp_path / "mixed"
    cache = tmp_path / "cache" if cached else None
    clip_file(mixed / "a.mp4", 1)
    clip_file(mixed / "b.mp4", 2, size=64)
    evaluator = FvdEvaluator(Means())
    for _ in range(2):
        with pytest.raises(UserError, match=r"32 x 32 pixels and .*b\.mp4 64 x 64"):
            describe_files(video_files(mixed), [evaluator], EXCERPT, cache=cache, workers=0)
    equal = Excerpt(frames=4, transform=(("size", 32),))
    assert len(describe_files(video_files(mixed), [evaluator], equal, cache=cache, workers=0).files) == 2
    clip_file(mixed / "b.mp4", 2, fps=16.0, frames=12)
    for _ in range(2):
        with pytest.raises(UserError, match=r"a\.mp4 has 8 fps and .*b\.mp4 16"):
            describe_files(video_files(mixed), [evaluator], EXCERPT, cache=cache, workers=0)
    same = Excerpt(frames=4, fps=8.0)
    assert len(describe_files(video_files(mixed), [evaluator], same, cache=cache, workers=0).files) == 2


def test_real_and_fake_of_different_rates_are_refused(sides, tmp_path):
    for k in range(3):
        clip_file(tmp_path / f"{k}.mp4", k, fps=12.0)
    with pytest.raises(UserError, match="say at which rate"):
        score_folders(sides[0], tmp_path, [FvdEvaluator(Means())], EXCERPT, workers=0)


def test_sizes_that_a_transform_makes_equal_are_handled_and_others_refused(sides, tmp_path):
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, size=(40, 64)[k % 2])
    plain, scaled = FvdEvaluator(Means()), FvdEvaluator(Means(), transform=Transform(crop="largest", size=16))
    with pytest.raises(UserError, match=r"0\.mp4 has 40 x 40 pixels and .*1\.mp4 64 x 64: say how"):
        score_folders(sides[0], tmp_path, [plain], EXCERPT, workers=0)
    (row,) = score_folders(sides[0], tmp_path, [scaled], EXCERPT, workers=0, resamples=20).rows
    assert row.status == "ok" and row.n == 4
    for k in range(4):
        clip_file(tmp_path / f"{k}.mp4", k, size=40)
    with pytest.raises(UserError, match=r"40 x 40 pixels and .*real.* 32 x 32: say how"):
        score_folders(sides[0], tmp_path, [plain], EXCERPT, workers=0)


@pytest.mark.parametrize(("size", "said"), [(32, []), (64, ["drift: "])])
def test_a_metric_of_pixels_says_that_two_folders_have_other_sizes(tmp_path, size, said):
    for k in range(2):
        clip_file(tmp_path / "a" / f"{k}.mp4", k)
        clip_file(tmp_path / "b" / f"{k}.mp4", k + 5, size=size)
    folders = {name: tmp_path / name for name in "ab"}
    found = score_folders(None, folders, [DriftEvaluator()], EXCERPT, workers=0, resamples=20)
    assert [note[:7] for note in found.notes if " pixels and " in note] == said


def test_real_clips_are_the_part_that_the_protocol_says(tmp_path):
    for k in range(3):
        clip_file(tmp_path / "fake" / f"{k}.mp4", k, frames=4)
        whole = clip_file(tmp_path / "real" / f"{k}.mp4", k, frames=12)
        middle = decoding.read_excerpt(whole, Excerpt(frames=4, which="centre")).frames
        np.savez(tmp_path / f"{k}.npz", middle=middle)
    evaluator = FvdEvaluator(Means())
    first, centre = (
        score_folders(tmp_path / "real", tmp_path / "fake", [evaluator], EXCERPT, real_which=which, workers=0).rows[0]
        for which in (None, "centre")
    )
    found = describe_files(video_files(tmp_path / "fake"), [evaluator], EXCERPT, workers=0).rows[evaluator.digest]
    middles = [np.load(tmp_path / f"{k}.npz")["middle"] for k in range(3)]
    expected = Means()(torch.from_numpy(np.stack(middles)).permute(0, 1, 4, 2, 3)).numpy()
    assert centre.value == pytest.approx(frechet_from_features(found, expected), rel=1e-5) != first.value


def test_the_hash_of_a_row_covers_the_real_files_whatever_their_names(sides, tmp_path):
    def hash_of(real, metric):
        return score_folders(real, sides[1], [metric], EXCERPT, protocol_hash="abc", workers=0).rows[0].protocol_hash

    fvd, before = FvdEvaluator(Means()), hash_of(sides[0], FvdEvaluator(Means()))
    for k, file in enumerate(sorted(sides[0].glob("*.mp4"), reverse=True)):
        (tmp_path / f"{k}.mp4").write_bytes(file.read_bytes())
    assert hash_of(tmp_path, fvd) == before != "abc"
    clip_file(tmp_path / "0.mp4", 99)
    assert hash_of(tmp_path, fvd) != before
    assert hash_of(sides[0], DriftEvaluator()) == "abc"


def test_another_metric_on_the_same_features_reads_no_frame_again(sides, tmp_path):
    features = Means()
    score_folders(*sides, [FvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0, resamples=20)
    (row,) = score_folders(*sides, [KvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0, resamples=20).rows
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
    with_captions = score_folders(None, sides[1], [clipsim, mask], EXCERPT, captions=read_captions(file), workers=0)
    assert with_captions.rows[0].value == pytest.approx(4.5)
    needed = "labels of what moves and the masks of the model"
    assert with_captions.rows[1].status == f"absent: it needs {needed}, which video files do not hold; a sweep has it"
    others = [clipsim, FvdEvaluator(Means()), DriftEvaluator()]
    without = score_folders(None, sides[1], others, EXCERPT, workers=0, resamples=20)
    statuses = [row.status for row in without.rows]
    assert statuses == ["absent: it needs --captions FILE", "absent: it needs --real DIR", "ok"]


@pytest.mark.parametrize(
    ("lines", "count"), [(["0.mp4,a"], 7), (["zzz.mp4,a"], 8), ([f"{k}.mp4, " for k in range(8)], 8)]
)
def test_files_without_a_caption_are_refused_before_any_is_decoded(sides, tmp_path, monkeypatch, lines, count):
    monkeypatch.setattr(decoding, "read_excerpt", lambda *_: pytest.fail("decoded"))
    table = tmp_path / "one.csv"
    table.write_text("\n".join(("file,caption", *lines)))
    with pytest.raises(
        UserError, match=rf"{count} of 8 files in .* have no caption in .*one\.csv, for example \d\.mp4"
    ):
        score_folders(None, sides[1], [ClipSimEvaluator(Lengths())], EXCERPT, captions=read_captions(table), workers=0)


def test_a_metric_that_fails_is_a_row_and_the_others_have_values(sides):
    class Broken(DriftEvaluator):
        def per_clip(self, rows):
            raise np.linalg.LinAlgError("singular")

    metrics = [SecondsEvaluator(), Broken(), DriftEvaluator()]
    timed, broken, drift = score_folders(None, sides[1], metrics, EXCERPT, workers=0, resamples=20).rows
    assert timed.status.startswith("absent: it needs the time that making a clip took")
    assert broken.status == "failed: LinAlgError: singular" and drift.status == "ok"


def test_one_file_is_refused_and_a_folder_with_a_videos_name_is_none(tmp_path):
    clip_file(tmp_path / "a.mp4", 1)
    (tmp_path / "dir.mp4").mkdir()
    assert [file.name for file in video_files(tmp_path)] == ["a.mp4"]
    with pytest.raises(UserError, match=r"holds 1 video file, a\.mp4; a value needs at least 2"):
        score_folders(None, tmp_path, [DriftEvaluator()], EXCERPT, workers=0)


def test_folders_without_videos_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no video files"):
        video_files(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        video_files(Path("/nonexistent"))


def test_clips_in_linked_folders_are_found_once(sides, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(sides[0])
    (tmp_path / "set" / "back").symlink_to(tmp_path / "set")
    assert len(video_files(tmp_path / "set")) == len(video_files(sides[0]))


def test_an_interruption_keeps_what_was_described(sides, tmp_path, monkeypatch):
    """The signal comes while files are decoded, with batches described, in work and not begun."""
    features = Means()
    monkeypatch.setattr("artv_eval.files.describe.BATCH", 2)

    def interrupt(done):
        if done == 7:
            raise KeyboardInterrupt

    files = video_files(sides[0])
    with pytest.raises(KeyboardInterrupt):
        describe_files(files, [FvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0, on_clip=interrupt)
    seen = features.seen
    assert 2 <= seen <= 6
    found = describe_files(files, [FvdEvaluator(features)], EXCERPT, cache=tmp_path, workers=0)
    assert len(found.files) == 8 and features.seen == 8

"""The shapes world: deterministic, split, described truly, and written to real files that read back."""

import csv
import json

import numpy as np
import pytest
import torch

from artv.data.captions import captioned_clips
from artv.data.clips import ClipFiles, read_motion, write_shapes
from artv.data.readers import READERS, open_video, read_video, resample_indices
from artv.data.shapes import COLOURS, MOTIONS, ShapesWorld, uniform
from artv.data.shapes_render import PALETTE
from artv.data.shapes_words import is_held_out
from artv.errors import UserError


@pytest.fixture(scope="module")
def held_back():
    return ShapesWorld("test", seed=0).batch(range(96))


def test_a_clip_does_not_depend_on_its_batch(held_back):
    alone = ShapesWorld("test", seed=0).clip(37)
    assert np.array_equal(alone.frames, held_back.frames[37].permute(0, 2, 3, 1).numpy())
    assert alone.caption == held_back.captions[37]
    assert np.array_equal(alone.motion, held_back.motion[37].numpy())


@pytest.mark.parametrize("other", [{"split": "train", "seed": 0}, {"split": "test", "seed": 1}])
def test_splits_and_seeds_share_no_background(held_back, other):
    background = ShapesWorld(**other).batch(range(96)).background
    assert torch.cdist(held_back.background, background).min() > 0.05


def test_held_out_combinations_appear_in_the_test_split_only(held_back):
    def held_out(batch) -> int:
        there = batch.colour >= 0
        return int(is_held_out(batch.colour[there], batch.shape[there], batch.motion_label[there]).sum())

    assert held_out(ShapesWorld("train").batch(range(400))) == 0
    assert held_out(held_back) > 0


def test_background_is_still_outside_the_motion_region(held_back):
    frames = held_back.frames.int()
    changed = (frames[:, 1:] - frames[:, :-1]).abs().amax(2) > 0
    moving = held_back.motion[:, 1:]
    # anti-aliased rims under a tenth of coverage are not counted as the object
    assert (changed & ~moving).float().mean() < 0.01
    assert changed[moving].float().mean() > 0.5
    assert not held_back.motion[:, 0].any()


def test_colours_are_where_the_labels_say(held_back):
    for b in range(24):
        colour = held_back.colour[b, 0]
        if held_back.colour[b, 1] >= 0:
            continue  # the second object may cover the first
        painted = held_back.frames[b, 1][:, held_back.motion[b, 1]].float() / 255
        distance = (painted[:, :, None] - torch.tensor(PALETTE).T[:, None]).square().sum(0)
        # the rim and the place just left are background, so take what most pixels are nearest to
        assert distance.argmin(1).mode().values == colour


@pytest.mark.parametrize(("motion", "axis", "sign"), [("left", 1, -1), ("right", 1, 1), ("up", 0, -1), ("down", 0, 1)])
def test_objects_move_as_captioned(motion, axis, sign):
    batch = ShapesWorld("test").batch(range(400))
    rows = [
        i
        for i in range(400)
        if batch.motion_label[i].tolist() == [MOTIONS.index(motion), -1] and batch.motion[i, -1].sum() > 60
    ]
    assert rows
    for i in rows:
        early, late = (batch.motion[i, t].nonzero().float().mean(0)[axis] for t in (1, 8))
        assert sign * (late - early) > 3
        words = {"left": "left", "right": "right", "up": ("up", "rises"), "down": ("down", "sinks")}[motion]
        assert any(word in batch.captions[i] for word in ([words] if isinstance(words, str) else words))


def test_caption_names_colours_and_not_the_texture(held_back):
    for caption, colours in zip(held_back.captions, held_back.colour.tolist(), strict=True):
        assert all(COLOURS[c] in caption for c in colours if c >= 0)
    assert len({caption.split()[-1] for caption in held_back.captions}) > 8  # varied wording


def test_files_read_back(tmp_path):
    write_shapes(tmp_path, 3, split="test", seed=5)
    world = ShapesWorld("test", seed=5)
    rows = list(csv.DictReader((tmp_path / "captions.csv").open()))
    assert [row["caption"] for row in rows] == world.batch(range(3)).captions
    truth = world.clip(2)
    assert np.array_equal(read_motion(tmp_path / "000002.motion.png", 16), truth.motion)
    decoded = {name: read_video(tmp_path / "000002.mp4", name) for name in READERS}
    assert np.array_equal(decoded["decord"], decoded["pyav"])
    assert np.abs(decoded["decord"].astype(int) - truth.frames).mean() < 4  # H.264 is lossy
    frames, caption = ClipFiles(tmp_path)[2]
    assert frames.shape == (16, 3, 64, 64) and caption == truth.caption


def test_writing_again_keeps_what_is_there(tmp_path):
    write_shapes(tmp_path, 2)
    before = (tmp_path / "000001.mp4").stat().st_mtime_ns
    write_shapes(tmp_path, 3)
    assert (tmp_path / "000001.mp4").stat().st_mtime_ns == before
    assert len(captioned_clips(tmp_path)) == 3


def test_a_folder_says_which_world_it_is_of(tmp_path):
    write_shapes(tmp_path, 1, split="test", seed=5)
    said = json.loads((tmp_path / "world.json").read_text(encoding="utf-8"))
    assert said == {"world": "shapes@1", "split": "test", "seed": 5, "num_frames": 16}
    for other, says in (
        ({"seed": 6}, "another world: seed is 5 there, not 6"),
        ({"num_frames": 8}, "num_frames is 16 there, not 8"),
    ):
        with pytest.raises(UserError, match=says):
            write_shapes(tmp_path, 1, **{"split": "test", "seed": 5, **other})


def test_writing_into_a_used_folder_loses_no_line_of_its_captions(tmp_path):
    write_shapes(tmp_path, 3)
    table = tmp_path / "captions.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    (tmp_path / "mine.mp4").write_bytes((tmp_path / "000000.mp4").read_bytes())
    table.write_text("\n".join([*lines, 'mine.mp4,"a cat, asleep"']), encoding="utf-8")  # as editors leave it
    write_shapes(tmp_path, 2)
    write_shapes(tmp_path, 4)
    found = {clip.path.name: clip.caption for clip in captioned_clips(tmp_path)}
    world = ShapesWorld("train", 0)
    assert found == {f"{i:06d}.mp4": world.clip(i).caption for i in range(4)} | {"mine.mp4": "a cat, asleep"}
    before = table.read_bytes()
    (tmp_path / "world.json").unlink()  # as in a folder of before there was one
    with pytest.raises(UserError, match=r"holds clips of another world: 00000\d\.mp4 is captioned"):
        write_shapes(tmp_path, 4, seed=1)
    assert table.read_bytes() == before
    (tmp_path / "world.json").unlink()
    table.write_text("file,caption,note\n", encoding="utf-8")
    with pytest.raises(UserError, match="begins with 'file,caption,note'"):
        write_shapes(tmp_path, 1)


def test_a_line_that_a_full_disk_cut_short_is_written_again(tmp_path):
    write_shapes(tmp_path, 3)
    table = tmp_path / "captions.csv"
    whole = table.read_bytes()
    table.write_bytes(whole[:-9])
    write_shapes(tmp_path, 3)
    assert table.read_bytes() == whole


def test_frame_rates_and_sizes_are_converted(tmp_path):
    write_shapes(tmp_path, 1)
    assert ClipFiles(tmp_path, num_frames=8, size=32, fps=4.0)[0][0].shape == (8, 3, 32, 32)
    assert resample_indices(16, 8.0, 4.0) == list(range(0, 16, 2))
    assert resample_indices(4, 4.0, 8.0) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_bad_files_are_named(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "dir.mp4").mkdir()
    reasons = {"empty": "0 bytes", "text": "cannot be read", "gone": "does not exist", "dir": "is a folder"}
    for name, reason in ((f"{stem}.mp4", reason) for stem, reason in reasons.items()):
        with pytest.raises(UserError, match=reason) as caught:
            open_video(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_bad_worlds():
    with pytest.raises(UserError, match="one of test, train"):
        ShapesWorld("validation")
    with pytest.raises(UserError, match="num_frames 0"):
        ShapesWorld(num_frames=0)


MASK = 2**64 - 1


def mixed(x):
    """splitmix64's finaliser (Steele et al. 2014; Vigna's constants), in Python's own integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@pytest.mark.parametrize(
    ("split", "seed", "index", "stream"), [("train", 0, 0, 0), ("test", 7, 12345, 0), ("test", 2**32 - 1, 2**40, 3)]
)
def test_numbers_are_splitmix64s_counted_from_split_seed_and_clip(split, seed, index, stream):
    gamma = 0x9E3779B97F4A7C15
    start = mixed((seed * 2 + (split == "test") + 1) * gamma & MASK) + stream * 0xBF58476D1CE4E5B9
    row = mixed((index * 0xD1342543DE82EF95 + start) & MASK)
    expected = [(mixed((row + n * gamma) & MASK) >> 40) / 2**24 for n in range(1, 6)]
    found = uniform(split, seed, np.array([index], np.uint64), draws=5, stream=stream)
    assert found.dtype == np.float32 and found[0].tolist() == expected


def test_numbers_are_uniform_and_clips_independent():
    u = uniform("train", 0, np.arange(4000, dtype=np.uint64), draws=8).astype(float)
    counts = np.histogram(u, 16, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 37.7  # chi-squared with 15 degrees, p = 0.001
    together = np.corrcoef(np.concatenate([u[:-1], u[1:]], axis=1).T) - np.eye(16)
    assert np.abs(together).max() < 4.5 / 4000**0.5
    assert u.min() >= 0 and u.max() < 1


def test_what_a_plan_promises():
    """Two clips of five have two objects, of other colours and, where one of eight places allows it, apart."""
    batch = ShapesWorld("test").plan(np.arange(2000, dtype=np.uint64))
    two = batch["colour"][:, 1] >= 0
    assert two.mean() == pytest.approx(0.4, abs=0.035)
    assert (batch["colour"][two, 0] != batch["colour"][two, 1]).all()
    assert (np.linalg.norm(batch["start"][two, 0] - batch["start"][two, 1], axis=-1) > 21).mean() > 0.97
    assert batch["start"].min() >= 10 and batch["start"].max() <= 54
    assert batch["radius"].min() >= 8.5 and batch["radius"].max() <= 12
    for name in ("shape", "motion_label", "speed"):
        assert (batch[name][~two, 1] == -1).all() and (batch[name][two] >= 0).all()
    spins = batch["motion_label"] == MOTIONS.index("spins")
    assert (batch["shape"][spins] >= 2).all(), "a turning circle or ring looks still"


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_word_is_drawn(split):
    plan = ShapesWorld(split).plan(np.arange(3000, dtype=np.uint64))
    for name, count in (("colour", 8), ("shape", 6), ("motion_label", 9), ("speed", 2), ("tint", 5)):
        assert set(plan[name].flatten().tolist()) - {-1} == set(range(count))


@pytest.mark.parametrize(("horizon", "last"), [(None, 0), (8, 0), (9, 1), (40, 32)])
def test_windows_begin_at_every_place_that_leaves_room(horizon, last):
    starts = ShapesWorld(num_frames=8).starts(np.arange(3000, dtype=np.uint64), horizon)
    assert set(starts.tolist()) == set(range(last + 1))


@pytest.mark.parametrize("start", [0, 3, [3, 0]])
def test_a_window_is_what_the_clip_shows_there(start):
    window = ShapesWorld("test", num_frames=4, size=16).batch([5, 9], start=start)
    whole = ShapesWorld("test", num_frames=8, size=16).batch([5, 9])
    for row, first in enumerate(np.broadcast_to(start, 2)):
        assert torch.equal(window.frames[row], whole.frames[row, first : first + 4])
        torch.testing.assert_close(window.centre[row], whole.centre[row, :, first : first + 4])


@pytest.mark.parametrize("size", [16, 128])
def test_another_size_is_the_same_scene(size):
    """Mean colours of 4 × 4 cells of the first frame, off by what thin rims and resampling are."""
    small = ShapesWorld("test", num_frames=1, size=64).batch(range(8))
    other = ShapesWorld("test", num_frames=1, size=size).batch(range(8))
    cells = [torch.nn.functional.adaptive_avg_pool2d(b.frames[:, 0].float(), 4) for b in (small, other)]
    assert (cells[0] - cells[1]).abs().mean() < 6 and torch.equal(small.tint, other.tint)
    torch.testing.assert_close(small.centre, other.centre)


def test_twice_the_rate_shows_the_frames_between():
    slow = ShapesWorld("test", num_frames=4, size=16, fps=8).batch([3])
    fast = ShapesWorld("test", num_frames=7, size=16, fps=16).batch([3])
    assert torch.equal(fast.frames[:, ::2], slow.frames)

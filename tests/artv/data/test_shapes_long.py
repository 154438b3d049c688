"""The world for long clips: any window of any length is the same clip, and what is known is what is drawn."""

import csv
import hashlib

import numpy as np
import pytest
import torch

from artv.data import shapes_render as render
from artv.data.clips import write_shapes
from artv.data.shapes import LABELS, ShapesWorld
from artv.data.shapes_long import WORLDS, LongShapesWorld
from artv.data.shapes_truth import ShapesTruth
from artv.data.shapes_words import MOTIONS, SHAPES
from artv.errors import UserError
from artv.training.clips import Clips
from artv.training.config import load_config

N, T = 96, 48


@pytest.fixture(scope="module")
def batch():
    return LongShapesWorld("test", num_frames=T).batch(range(N))


def test_the_first_world_says_what_it_always_said():
    text = "\n".join(ShapesWorld("test").batch(range(200)).captions)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "a95ea47ed39c"


def test_a_window_alone_is_the_clip_there(batch):
    rows = [2, 7, int(batch.pans.nonzero()[0]), int(batch.post.nonzero()[0])]
    some = LongShapesWorld("test", num_frames=5).batch(rows, start=[0, 11, 20, 43])
    for k, (row, start) in enumerate(zip(rows, [0, 11, 20, 43], strict=True)):
        assert torch.equal(some.frames[k], batch.frames[row, start : start + 5])
        assert torch.equal(some.motion[k, 1:], batch.motion[row, start + 1 : start + 5])
        torch.testing.assert_close(some.camera[k], batch.camera[row, start : start + 5])


def test_far_from_its_beginning_a_clip_still_has_its_objects():
    far = LongShapesWorld("test", num_frames=60).batch(range(24), start=4000)
    assert far.radius.max() < 24 and far.radius.min() > 1
    # what stays in its place is in the picture; what travels is there for most of its way round
    assert (far.in_view[:, 0] > 0.5).float().mean() > 0.6


def test_shares_of_what_makes_it_hard():
    many = LongShapesWorld("train", num_frames=T).batch(range(400))
    for name, low, high in (("pans", 0.15, 0.25), ("post", 0.2, 0.31), ("occluded", 0.05, 0.2), ("returns", 0.1, 0.3)):
        assert low < getattr(many, name).float().mean() < high, name


def test_the_background_is_what_is_left_without_objects(batch):
    for row in (0, int(batch.pans.nonzero()[0]), int(batch.post.nonzero()[1]), int(batch.returns.nonzero()[0])):
        truth = ShapesTruth(LongShapesWorld("test"), row).window(8, 40)
        assert np.array_equal(truth.frames, batch.frames[row, 8:40].permute(0, 2, 3, 1).numpy())
        empty = truth.masks.sum(0) == 0
        assert np.array_equal(truth.frames[empty], truth.background[empty])
        assert 0.3 < empty.mean() < 1


def test_masks_are_where_the_path_says(batch):
    checked = 0
    for row in range(24):
        truth = ShapesTruth(LongShapesWorld("test"), row).window(0, T)
        grid = np.arange(64) + 0.5
        for o in range(2):
            for t in np.flatnonzero(truth.seen[o] > 0.999)[::8]:
                mask = truth.masks[o, t]
                x, y = (mask * grid).sum() / mask.sum(), (mask * grid[:, None]).sum() / mask.sum()
                # a star's and a triangle's centre of area is near the point that they turn around
                assert np.hypot(*(np.array([x, y]) - truth.centre[o, t])) < 0.08 * truth.radius[o, t]
                checked += 1
    assert checked > 80


@pytest.mark.parametrize("shape", SHAPES)
def test_areas(shape):
    pose = {k: torch.full((1, 1), v) for k, v in {"x": 32.0, "y": 32.0, "radius": 20.0, "angle": 0.3}.items()}
    alpha, _ = render._draw(render.DISTANCE[shape], pose, 512)
    assert alpha.sum() / (20 * 8) ** 2 == pytest.approx(render.AREA[shape], rel=2e-3)


def test_a_camera_that_moves_whole_pixels_shifts_the_picture():
    world = LongShapesWorld("test", num_frames=8)
    plan = world.plan(np.arange(1, dtype=np.uint64)) | {
        "begin": np.zeros(1, np.int64),
        "reach": np.full(1, 8, np.float32),
        "course": np.zeros(1, np.float32),
        "camera_pace": np.full(1, 8, np.float32),  # a pixel a frame
    }
    scene, layers = world.drawn(plan)
    ground = scene.ground[0]
    for t in range(1, 8):
        assert scene.camera[0, t].tolist() == pytest.approx([t, 0], abs=1e-4)
        torch.testing.assert_close(ground[t][..., :-t], ground[0][..., t:], atol=1e-4, rtol=0)
    assert layers.motion[0, 1:].all() and not layers.motion[0, 0].any()


def test_nothing_changes_outside_of_the_motion_region(batch):
    still = ~batch.pans
    changed = (batch.frames[still, 1:].int() - batch.frames[still, :-1].int()).abs().amax(2) > 0
    # rims of which an object has less than a tenth are not counted as it
    assert (changed & ~batch.motion[still, 1:]).float().mean() < 0.01
    assert batch.motion[batch.pans, 1:].all()


def test_returning_objects_were_seen_went_and_are_seen(batch):
    for row in batch.returns.nonzero().flatten().tolist():
        area = np.stack([ShapesTruth(LongShapesWorld("test"), row).window(0, T).masks.sum((2, 3))])[0]
        travels = [o for o in range(2) if batch.motion_label[row, o] in range(4) and batch.colour[row, o] >= 0]
        assert travels and any((area[o] < 2).any() and (area[o][-1] > 20 or area[o].max() > 60) for o in travels)


def test_what_grows_stops_growing(batch):
    grows = batch.motion_label == MOTIONS.index("grows")
    radius = batch.radius[grows]
    assert (radius[:, 8] > 1.15 * radius[:, 0]).all() and (radius[:, -1] < 1.85 * radius[:, 0]).all()


def test_files_with_labels(tmp_path):
    write_shapes(tmp_path, 3, split="test", num_frames=20, world=2)
    with (tmp_path / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batch = LongShapesWorld("test", num_frames=20).batch(range(3))
    assert [row["file"] for row in rows] == [f"{i:06d}.mp4" for i in range(3)]
    for name in LABELS:
        assert [row[name] == "1" for row in rows] == getattr(batch, name).tolist()


def test_training_sees_windows_from_anywhere():
    config = load_config("shapes", world=2, clips=40)
    assert (config.num_frames, config.horizon) == (48, 144)
    config = load_config("shapes", world=2, clips=40, num_frames=6)
    frames, captions = next(Clips(config, torch.device("cpu")).batches())
    world = LongShapesWorld("train", num_frames=6)
    starts = world.starts(np.arange(40, dtype=np.uint64), 144)
    assert starts.min() >= 0 and 100 < starts.max() <= 138 and len(set(starts)) > 25
    long = LongShapesWorld("train", num_frames=144).batch([5])
    assert torch.equal(frames[5], long.frames[0, starts[5] : starts[5] + 6]) and captions[5] == long.captions[0]
    with pytest.raises(UserError, match="world"):
        load_config("shapes", world=3)


def test_numbers_of_worlds():
    assert WORLDS[1] is ShapesWorld and WORLDS[2] is LongShapesWorld

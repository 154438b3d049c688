"""What a world knows of a clip, against the clip itself: frames, background, masks, places."""

import numpy as np
import pytest

from artv.data.shapes import ShapesWorld
from artv.data.shapes_long import LongShapesWorld
from artv.data.shapes_truth import ShapesTruth

WORLDS = {1: ShapesWorld, 2: LongShapesWorld}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("index", [0, 3, 7])
@pytest.mark.parametrize(("start", "stop"), [(0, 6), (2, 5), (5, 6)])
def test_a_window_is_the_clip_there(world, index, start, stop):
    clip = WORLDS[world]("test", num_frames=6).batch([index])
    window = ShapesTruth(WORLDS[world]("test"), index).window(start, stop)
    assert np.array_equal(window.frames, clip.frames[0, start:stop].permute(0, 2, 3, 1).numpy())
    assert np.array_equal(window.motion[1:], clip.motion[0, start + 1 : stop].numpy()) and not window.motion[0].any()
    there = (clip.colour[0] >= 0).numpy()
    for name in ("centre", "radius", "in_view", "seen"):
        expected = getattr(clip, name)[0].numpy()[:, start:stop]
        np.testing.assert_allclose(getattr(window, name)[there], expected[there], atol=1e-4)
        assert not getattr(window, name)[~there].any(), "zeros, of an object that there is not"
    np.testing.assert_allclose(window.camera, clip.camera[0, start:stop].numpy(), atol=1e-4)


@pytest.mark.parametrize("world", WORLDS)
def test_where_no_object_is_the_picture_is_its_background(world):
    window = ShapesTruth(WORLDS[world]("test"), 4).window(0, 4)
    bare = (window.masks == 0).all(0)
    assert 0.3 < bare.mean() < 1
    plain = (window.frames == window.background).all(-1)
    assert plain[bare].all() and window.background.shape == window.frames.shape
    assert not plain[window.masks.max(0) > 0.9].all()


def test_a_picture_is_its_masks_mixed_over_its_background():
    """One object: a pixel is off from its background by at most its share of the object."""
    world = ShapesWorld("test")
    index = next(i for i in range(50) if len(world.clip(i).objects) == 1)
    window = ShapesTruth(world, index).window(0, 3)
    changed = np.abs(window.frames.astype(int) - window.background).max(-1)
    share = window.masks[0]
    assert (changed <= 255 * share + 1).all()
    assert window.seen[0] == pytest.approx(window.in_view[0], abs=1e-5), "nothing hides it"

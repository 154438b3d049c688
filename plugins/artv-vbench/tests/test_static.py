"""The filter of clips that stand still: the rule against its text, and the network of dynamic degree, loaded once."""

import numpy as np
import pytest
from artv_vbench import metric
from artv_vbench.inside.still import speed, speeds
from artv_vbench.static import is_static


@pytest.mark.parametrize(
    ("frames", "side", "moving", "far", "still"),
    [
        (16, 256, 2, 0.0, True),  # of 16 frames two may move by more than 3 pixels …
        (16, 256, 3, 0.0, False),
        (16, 512, 3, 0.0, True),  # … or 6, in a picture twice as large
        (32, 256, 4, 0.0, True),
        (32, 256, 5, 0.0, False),
        (16, 256, 0, 12.0, True),  # and from the first frame to the last it is at most 3 · 2 · 2
        (16, 256, 0, 12.1, False),
        (4, 256, 0, 0.1, False),  # of four frames round(2 · 4 / 16) = 0 may, and none of the distance
    ],
)
def test_the_rule(frames, side, moving, far, still):
    found = np.zeros(frames + 1)
    found[:moving], found[-1] = 3.1, far
    assert is_static(found, side) is still


def test_the_speed_of_a_pair_is_that_of_its_fastest_fiftieth():
    flow = np.zeros((2, 10, 20))
    flow[:, 3, :5] = [[3, 6, 9, 0, 0], [4, 8, 12, 0, 0]]  # 5, 10 and 15 pixels; four of 200 count
    assert speed(flow) == pytest.approx((5 + 10 + 15 + 0) / 4)


def test_a_clip_is_shown_to_the_network_of_dynamic_degree_which_is_loaded_once(stand_in, clips):
    still, jumps = (np.full((4, 16, 16, 3), 9, np.uint8) for _ in range(2))
    jumps[-1] += 1  # by more than nothing, at the end
    assert is_static(np.array(speeds(still, "cpu")), 16) and not is_static(np.array(speeds(jumps, "cpu")), 16)
    assert [path.rpartition("/")[2] for path in stand_in.loads] == ["dynamic_degree.pth"]
    metric.temporal_flickering().describe(clips(["x"], [np.arange(4) * 60]))  # of any prompt: not filtered
    assert len(stand_in.loads) == 1

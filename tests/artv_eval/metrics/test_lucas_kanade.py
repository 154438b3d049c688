"""Optical flow without weights, against motions that are known in closed form."""

import numpy as np
import pytest
import torch

from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.lucas_kanade import LucasKanade

H, W, RIM = 64, 96, 12


def picture(dx=0.0, dy=0.0, zoom=1.0):
    """(1, 3, H, W): a texture of waves, moved and enlarged about the middle; between pixels as exactly as on them."""
    y, x = np.mgrid[:H, :W]
    x, y = (x - dx - W / 2) / zoom + W / 2, (y - dy - H / 2) / zoom + H / 2
    waves = ((4, 9, 0), (-7, 5, 1), (6, -4, 2), (11, 13, 3))
    grey = 127 + 25 * sum(np.sin(x / a + y / b + c) for a, b, c in waves)
    return torch.from_numpy(np.stack([grey] * 3)[None]).float()


def inner(flow):
    """(2, …): off the rim, over which the texture comes in."""
    return flow[0, :, RIM:-RIM, RIM:-RIM]


@pytest.mark.parametrize(
    ("dx", "dy", "off"), [(0, 0, 1e-4), (1, 0, 0.1), (0.5, 0.25, 0.1), (3, -2, 0.2), (6, 4, 0.3), (-10, 0, 0.5)]
)
def test_pictures_that_move(dx, dy, off):
    """Each pixel's flow is the way that it went, on average that far off; of a sub-pixel or of ten."""
    flow = inner(LucasKanade()(picture(), picture(dx, dy)))
    error = (flow - torch.tensor([dx, dy]).view(2, 1, 1)).norm(dim=0)
    assert error.mean() < off and flow.mean((1, 2)) == pytest.approx([dx, dy], abs=0.06)


def test_a_picture_that_grows():
    flow = inner(LucasKanade()(picture(), picture(zoom=1.05)))
    y, x = np.mgrid[:H, :W]
    expected = inner(torch.from_numpy(np.stack([0.05 * (x - W / 2), 0.05 * (y - H / 2)])[None]))
    assert (flow - expected).norm(dim=0).mean() < 0.1 < expected.norm(dim=0).mean() / 5


def test_pairs_do_not_touch_each_other_and_flat_ones_have_no_flow():
    flat = torch.full((1, 3, H, W), 90.0)
    first = torch.cat([flat, picture(), flat])
    second = torch.cat([flat, picture(2, 1), flat + 30])
    flow = LucasKanade()(first, second)
    assert flow.shape == (3, 2, H, W) and not flow[0].any() and not flow[2].any()
    torch.testing.assert_close(flow[1:2], LucasKanade()(picture(), picture(2, 1)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(5, 7), (16, 33), (47, 63)])
def test_small_and_odd_pictures(size):
    """A texture that moves by one pixel down does so at any size that has room for a coarser picture."""
    texture = picture()[..., : size[0] + 1, : size[1]]
    flow = LucasKanade()(texture[..., 1:, :], texture[..., :-1, :])
    assert flow.shape == (1, 2, *size) and bool(flow.isfinite().all())
    if min(size) > 16:
        assert flow[0, 1, 8:-8, 8:-8].mean() == pytest.approx(1, abs=0.05)


def test_it_is_a_quantity_of_curves_that_needs_no_weights(monkeypatch, tmp_path):
    """Five pixels a frame up to frame 3, then nothing."""
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    frames = [picture(3 * min(t, 3), 4 * min(t, 3))[0].permute(1, 2, 0).round().byte().numpy() for t in range(6)]
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=6, height=H, width=W, fps=8.0)
    metric = curve("flow_lk")
    (found,) = metric.describe(ClipSet([request], lambda i: GeneratedClip(np.stack(frames))))
    assert metric.name == "flow_lk/level" and np.isnan(found[0])
    assert found[1:4] == pytest.approx([5] * 3, rel=0.1) and found[4:] == pytest.approx([0, 0], abs=1e-3)

"""The warping error along a true flow, and visibility as Ruder et al. define it."""

import numpy as np
import torch
from torchvision.models.optical_flow import raft_small

from artv_eval.features.weights import WEIGHTS, Weight
from artv_eval.metrics import WarpingError
from artv_eval.metrics.warping import Raft, WarpingErrorEvaluator, on_motion_boundary, visible, warp


def shifted(step, T=3, size=24):
    """A smooth picture moving right by ``step`` pixels a frame, (1, T, 3, H, W)."""
    x = torch.arange(size)[None, None, None, :].float()
    frames = [(127 + 100 * torch.sin((x - step * t) / 4)).expand(1, 3, size, size) for t in range(T)]
    return torch.stack(frames, 1).round().to(torch.uint8)


def constant_flow(step):
    """A flow of ``step`` pixels to the right; the second call of a pair is the way back."""
    calls = iter([step, -step] * 10)

    def flow(first, second):
        out = torch.zeros(len(first), 2, *first.shape[-2:])
        out[:, 0] = next(calls)
        return out

    return flow


def test_warping_error_is_0_along_the_true_flow_and_large_without():
    metric = WarpingError(constant_flow(2.0))
    metric.update(shifted(2))
    assert float(metric.compute()) < 1e-4
    still = WarpingError(constant_flow(0.0))
    still.update(shifted(2))
    assert float(still.compute()) > 1e-2


def test_warping_evaluator_gives_a_curve(clip_set):
    evaluator = WarpingErrorEvaluator(constant_flow(1.0))
    rows = evaluator.describe(clip_set(shifted(1, T=4).permute(0, 1, 3, 4, 2).numpy()))
    assert rows.shape == (1, 3) and evaluator.evaluate(rows) < 1e-4


def test_warp_looks_up_and_marks_what_left_the_picture():
    x = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    flow = torch.zeros(1, 2, 5, 5)
    flow[:, 0] = 1.5
    moved, inside = warp(x, flow)
    torch.testing.assert_close(moved[0, 0, 0], torch.tensor([1.5, 2.5, 3.5, 4.0, 4.0]))
    assert inside[0, 0].tolist() == [True, True, True, False, False]
    assert not visible(flow, flow).any()  # the way back must be the opposite


def ruders_masks(forward, backward):
    """Ruder et al. 2016, eq. 5 and 6, a pixel at a time; whole pixels of flow, so that nothing is interpolated."""
    _, H, W = forward.shape
    seen = np.zeros((H, W), bool)
    for y in range(H):
        for x in range(W):
            to_x, to_y = x + int(forward[0, y, x]), y + int(forward[1, y, x])
            if not (0 <= to_x < W and 0 <= to_y < H):
                continue
            ahead, back = forward[:, y, x], backward[:, to_y, to_x]
            hidden = ((ahead + back) ** 2).sum() >= 0.01 * ((ahead**2).sum() + (back**2).sum()) + 0.5
            right = forward[:, y, x + 1] - ahead if x + 1 < W else np.zeros(2)
            below = forward[:, y + 1, x] - ahead if y + 1 < H else np.zeros(2)
            edge = (right**2).sum() + (below**2).sum() > 0.01 * (ahead**2).sum() + 0.002
            seen[y, x] = not hidden and not edge
    return seen


def test_what_is_visible_is_what_ruder_says():
    rng = np.random.default_rng(0)
    forward = np.zeros((2, 20, 24))
    forward[:, 5:12, 6:16] = np.array([2, -1]).reshape(2, 1, 1)  # an object that moves, and its edges
    forward[:, 15:18, 2:9] = rng.integers(-3, 4, (2, 3, 7))
    backward = np.zeros_like(forward)
    backward[:, 4:11, 8:18] = np.array([-2, 1]).reshape(2, 1, 1)
    found = visible(*(torch.from_numpy(flow)[None] for flow in (forward, backward)))[0].numpy()
    np.testing.assert_array_equal(found, ruders_masks(forward, backward))
    assert found[8, 10] and not found[8, 15] and not found[8, 5] and found[0, 0]


def test_a_small_change_of_a_fast_flow_is_no_edge():
    """Relative to the flow: a step of 0.5 is an edge at 1 pixel a frame and none at 10."""
    for speed, edge in ((1.0, True), (10.0, False)):
        flow = torch.zeros(1, 2, 4, 6)
        flow[:, 0] = speed
        flow[:, 0, :, 3:] += 0.5
        assert on_motion_boundary(flow)[0, 0].tolist() == [False, False, edge, False, False, False]


def test_raft_loads_a_file_and_keeps_the_size(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = raft_small()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    monkeypatch.setitem(WEIGHTS, "raft", Weight(file="raft.pth", urls=(), what="RAFT"))
    flow = Raft(str(tmp_path / "raft.pth"))(*torch.randint(0, 256, (2, 1, 3, 40, 64)).float())
    assert flow.shape == (1, 2, 40, 64) and flow.isfinite().all()

"""Clips whose frames come a few at a time, against the same layers on all frames at once."""

from itertools import product

import pytest
import torch
from torch import nn

from artv.errors import UserError
from artv_eval.efficiency.live_bytes import Live
from artv_eval.features.i3d import InceptionI3d, Unit3D
from artv_eval.features.running import Parts, Stage, part_on, through
from artv_eval.features.shapes import shapes_classifier


def cut(clip, lengths, axis):
    """The clip in parts of these lengths in turn."""
    parts, turn = [], 0
    while clip.shape[axis]:
        length = min(lengths[turn % len(lengths)], clip.shape[axis])
        parts.append(clip.narrow(axis, 0, length))
        clip = clip.narrow(axis, length, clip.shape[axis] - length)
        turn += 1
    return parts


def zero_padded(kernel, stride):
    """PyTorch's own padding, the same whatever the length."""
    return nn.Conv3d(2, 2, (kernel, 1, 1), (stride, 1, 1), (kernel // 2, 0, 0)).double()


def same_padded(kernel, stride):
    """TensorFlow's, which goes by the length's remainder."""
    return Unit3D(2, 2, (kernel, 1, 1), (stride, 1, 1), plain=True).double()


@pytest.mark.parametrize(("frames", "lengths"), list(product([9, 10, 11, 12, 23], [[3], [4, 1], [7, 2, 5]])))
@pytest.mark.parametrize("layer", [zero_padded, same_padded])
@torch.no_grad()
def test_stages_in_parts_give_what_they_give_of_the_whole(layer, frames, lengths):
    torch.manual_seed(0)
    sizes = [(7, 2, 4), (3, 1, 1), (1, 1, 0), (3, 2, 2)]
    stages = [Stage(layer(kernel, stride), stride, around) for kernel, stride, around in sizes]
    clip = torch.randn(1, 2, frames, 1, 1, dtype=torch.float64)
    parts = list(through(stages, cut(clip, lengths, 2), frames))
    for stage in stages:
        clip = stage.work(clip)
    torch.testing.assert_close(torch.cat(parts, 2), clip, atol=1e-12, rtol=0)
    assert all(part.shape[2] for part in parts)


def test_a_gpu_holds_of_500_frames_what_it_holds_of_100():
    """I3D's own memory, weights and all, by counting what is alive: no numbers are computed."""

    def peak(frames):
        with torch.no_grad(), torch.device("meta"):
            network = InceptionI3d().eval()
            live = Live([*network.parameters(), *network.buffers()])
            with live:
                network.pooled_in_parts((torch.empty(1, 3, n, 224, 224) for n in part_lengths(frames)), frames)
        return live.peak

    def part_lengths(frames):
        each = part_on("cuda")
        return [each] * (frames // each) + [frames % each] * bool(frames % each)

    assert peak(500) == pytest.approx(peak(100), rel=0.05)


@pytest.mark.parametrize("frames", [73, 78])
@torch.inference_mode()
def test_i3d_of_a_long_clip_is_that_of_the_whole(frames):
    torch.manual_seed(0)
    network = InceptionI3d(num_classes=5).fuse()
    clip = torch.rand(1, 3, frames, 32, 32) * 2 - 1
    whole = network.maps(clip)
    parts = torch.cat(list(through(network.stages(frames), clip.split(30, 2), frames)), 2)
    torch.testing.assert_close(parts / whole.abs().max(), whole / whole.abs().max(), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_what_i3d_pools_of_a_long_clip_is_that_of_the_whole(monkeypatch):
    torch.manual_seed(0)
    network = InceptionI3d(num_classes=5).fuse()
    clip = torch.rand(1, 3, 17, 193, 193) * 2 - 1
    whole = network(clip)
    monkeypatch.setattr("artv_eval.features.i3d.WHOLE", 16)
    torch.testing.assert_close(network(clip), whole, atol=1e-5, rtol=1e-4)


def test_i3d_refuses_few_frames():
    with pytest.raises(UserError, match="clips of 8 frames; I3D needs at least 9"):
        InceptionI3d().maps(torch.zeros(1, 3, 8, 32, 32))


@pytest.mark.parametrize("frames", [14, 17])
def test_the_shapes_network_of_a_clip_in_parts_is_that_of_the_whole(frames):
    features = shapes_classifier()
    clip = torch.rand(1, frames, 3, 64, 64, generator=torch.manual_seed(0))
    parts = Parts(frames, cut(clip, [5, 2], 1))
    torch.testing.assert_close(features(parts), features(clip), atol=1e-4, rtol=1e-4)
    assert parts.shape == (1, frames)

"""Operations on maps where no kernel runs: PyTorch's own modules in float64 on the whole, shifted, doubled map."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from artv.networks.fast import kernels
from artv.networks.fast.kernels import Shift

EPS = 1e-5
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}


def maps(*shape, layout="last", dtype=torch.float64):
    return (torch.randn(shape) * 2 + 3).to(dtype).contiguous(memory_format=LAYOUTS[layout])


def norm_of(groups, channels):
    norm = nn.GroupNorm(groups, channels, eps=EPS, dtype=torch.float64)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize(("first", "kinds"), [(0, [1, 1, 1]), (1, [0, 1, 1]), (2, [0, 0, 1]), (3, [0, 0, 0])])
def test_a_shift_is_one_value_for_the_first_samples_and_another_for_the_rest(first, kinds):
    shift = Shift(torch.tensor([[1.0, 2.0], [30.0, 40.0]]), first)
    expected = [[[1.0, 2.0], [30.0, 40.0]][kind] for kind in kinds]
    assert shift.like(maps(3, 2, 4, 5)).flatten(1).tolist() == expected
    assert Shift.same(torch.tensor([5.0, 6.0])).like(maps(3, 2, 1, 1)).flatten(1).tolist() == [[5.0, 6.0]] * 3


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("joined", [0, 4])
@pytest.mark.parametrize("shifted", [False, True])
def test_group_norm_of_a_joined_and_shifted_map(layout, silu, joined, shifted):
    torch.manual_seed(0)
    norm, x = norm_of(3, 12), maps(2, 12, 3, 5, layout=layout)
    own, skip = (part.contiguous(memory_format=LAYOUTS[layout]) for part in x.split([12 - joined, joined], 1))
    before = own.clone()
    shift = Shift(torch.randn(2, 12, dtype=torch.float64), first=1) if shifted else None
    found = kernels.group_norm(
        own, 3, norm.weight, norm.bias, EPS, silu=silu, shift=shift, skip_BCHW=skip if joined else None
    )
    total = x if shift is None else torch.stack([x[i] + shift.values[i][:, None, None] for i in range(2)])
    expected = norm(total)
    torch.testing.assert_close(found, F.silu(expected) if silu else expected)
    assert torch.equal(own, before), "what goes past the norm is left alone"
    assert found.is_contiguous(memory_format=LAYOUTS[layout])


@pytest.mark.parametrize(("stride", "times"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 1), (2, 7)])
def test_patches_times_a_weight_are_a_convolution(stride, times, height, width):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, stride, 1, bias=False, dtype=torch.float64)
    x = maps(2, 3, height, width)
    larger = nn.Upsample(scale_factor=times, mode="nearest")(x)
    matrix = conv.weight.permute(0, 2, 3, 1).reshape(5, -1)
    found = (kernels.patches(x, stride, times) @ matrix.T).view(2, *conv(larger).shape[2:], 5).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, conv(larger))


@pytest.mark.parametrize("joined", [0, 4])
def test_patches_of_a_norm_are_patches_of_what_the_norm_gives(joined):
    torch.manual_seed(0)
    norm, x = norm_of(2, 8), maps(2, 8, 3, 4)
    own, skip = (part.contiguous(memory_format=torch.channels_last) for part in x.split([8 - joined, joined], 1))
    found = kernels.norm_patches(own, 2, norm.weight, norm.bias, EPS, skip_BCHW=skip if joined else None)
    conv = nn.Conv2d(8, 2, 3, padding=1, bias=False, dtype=torch.float64)
    product = found @ conv.weight.permute(0, 2, 3, 1).reshape(2, -1).T
    torch.testing.assert_close(product.view(2, 3, 4, 2).permute(0, 3, 1, 2), conv(F.silu(norm(x))))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_additions_are_in_place_and_return_what_they_changed(layout):
    torch.manual_seed(0)
    x, y = maps(2, 3, 2, 2, layout=layout), maps(2, 3, 2, 2, layout=layout)
    shift = Shift(torch.randn(2, 3, dtype=torch.float64), first=1)
    expected = torch.stack([x[i] + y[i] + shift.values[i][:, None, None] for i in range(2)])
    other = y.clone()
    padded = kernels.add_padded(x.clone(), y, shift)
    assert padded.shape == (2, 3, 3, 3) and not padded[:, :, 2].any() and not padded[..., 2].any()
    torch.testing.assert_close(padded[:, :, :2, :2], expected)
    assert kernels.add_shifted(x, y, shift) is x and torch.equal(y, other)
    torch.testing.assert_close(x, expected)
    bias = torch.randn(3, dtype=torch.float64)
    assert kernels.add_bias(x, bias) is x
    torch.testing.assert_close(x, expected + bias[:, None, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_doubling_repeats_every_position(dtype):
    x = maps(2, 3, 2, 5, dtype=dtype)
    assert torch.equal(kernels.upsample(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_on_a_cpu_nothing_is_fused_and_no_product_takes_a_convolutions_place():
    x = maps(1, 2560, 2, 2, dtype=torch.float32)
    assert not kernels.fuses(x) and not kernels.patches_product(x) and not kernels.patches_product(x, upsampled=True)

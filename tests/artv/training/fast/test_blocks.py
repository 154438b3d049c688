"""The fused operations of training: their gradients against float64 autograd, in Triton's interpreter or on a GPU."""

import copy

import pytest
import torch
import torch.nn.functional as F

from artv.config import ModelConfig, NetworkConfig
from artv.networks import ArtVModel, Conditions
from artv.networks.present import Present, Rows
from tests.warm import interpreted

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
pytest.importorskip("triton")


def run(code: str) -> None:
    interpreted("from tests.artv.training.fast.test_blocks import *\n" + code)


def check(ours, reference, *shapes: tuple[int, ...] | None) -> None:
    """Values and gradients of two functions of random tensors (None: no tensor), the second in float64."""
    torch.manual_seed(0)
    inputs = [None if shape is None else torch.randn(shape) + 0.5 for shape in shapes]
    results = []
    for function, dtype in ((ours, torch.float32), (reference, torch.float64)):
        given = [None if x is None else x.to(DEVICE, dtype, copy=True).requires_grad_() for x in inputs]
        outputs = function(*given)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.manual_seed(1)
        sum((y * torch.randn(y.shape).to(y)).sum() for y in outputs).backward()
        results.append([*outputs, *(x.grad for x in given if x is not None)])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual.double(), expected, atol=2e-4, rtol=2e-4)


def plain_group_norm(x, weight, bias, shift, silu):
    y = x if shift is None else x + shift[:, :, None, None]
    y = F.group_norm(y, 3, weight, bias, 1e-5)
    return x, F.silu(y) if silu else y


def check_group_norm(shape: tuple[int, ...], silu: bool, shifted: bool) -> None:
    from artv.training.fast.maps import group_norm

    B, C = shape[:2]
    check(
        lambda x, w, b, s: group_norm(x, 3, w, b, 1e-5, silu=silu, shift_BC=s),
        lambda x, w, b, s: plain_group_norm(x, w, b, s, silu),
        *(shape, (C,), (C,), (B, C) if shifted else None),
    )


def check_joined_group_norm(shape: tuple[int, ...], channels: int) -> None:
    from artv.training.fast.maps import joined_group_norm

    def ours(x, skip, weight, bias):
        passed, y = joined_group_norm((x, skip), 3, weight, bias, 1e-5, silu=True)
        return *passed, y

    def plain(x, skip, weight, bias):
        return x, skip, plain_group_norm(torch.cat([x, skip], 1), weight, bias, None, True)[1]

    B, C, H, W = shape
    check(ours, plain, shape, (B, channels, H, W), (C + channels,), (C + channels,))


def check_tokens() -> None:
    from artv.training.fast import tokens

    def plain_norm(x, delta, held, weight, bias):
        total = x if delta is None else x + delta + held
        return total, F.layer_norm(total, weight.shape, weight, bias, 1e-5)

    rows, C = (2, 7, 24), (24,)
    for added in ((rows, C), (None, None)):
        check(lambda *x: tokens.add_layer_norm(*x, 1e-5), plain_norm, rows, *added, C, C)
    check(  # a bias that is in x already gets its gradient, and only once
        lambda x, h, *norm: tokens.add_layer_norm(x + h.detach(), None, h, *norm, 1e-5),
        lambda x, h, *norm: (x + h, F.layer_norm(x + h, C, *norm)),
        *(rows, C, C, C),
    )

    def plain_feed_forward(h, x, weight_in, bias_in, weight_out):
        value, gate = F.linear(x, weight_in, bias_in).chunk(2, -1)
        return h + F.linear(value * F.gelu(gate), weight_out, torch.arange(24).to(h))

    check(
        lambda *x: tokens.feed_forward(*x, torch.arange(24.0, device=DEVICE)),
        plain_feed_forward,
        *(rows, rows, (2 * 40, 24), (2 * 40,), (24, 40)),
    )
    check(
        lambda x, y, w: tokens.linear_of_two(x, y, w),
        lambda x, y, w: F.linear(torch.cat([x, y], -1), w),
        *(rows, (2, 7, 8), (12, 32)),
    )
    for relu in (False, True):
        check(
            lambda x, b, relu=relu: tokens.add_bias_(x * 2, b, relu=relu),
            lambda x, b, relu=relu: (F.relu if relu else torch.clone)(x * 2 + b.view(-1, 1, 1)),
            *((2, 8, 3, 5), (8,)),
        )
    check(tokens.linears, lambda x, *w: tuple(F.linear(x, each) for each in w), rows, (8, 24), (16, 24))
    check(tokens.residual, lambda x, d, b: x + d + b, rows, rows, C)
    for keep in (None, torch.tensor([0.0, 1.0], device=DEVICE)):
        factor = 1 if keep is None else keep.view(-1, 1, 1).double()
        check(
            lambda x, h, w, b, held, keep=keep: tokens.project(x, h + held.detach(), w, b, held, keep),
            lambda x, h, w, b, held, factor=factor: x + factor * F.linear(h + held, w, b),
            *(rows, rows, (24, 24), C, C),
        )


def check_sums() -> None:
    """Sums over more rows than one program has."""
    from artv.training.fast.sums import column_sums, finished

    x = torch.randn(3, 1100, 5, device=DEVICE)
    torch.testing.assert_close(column_sums(x).double(), x.double().sum((0, 1)), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(finished(x).double(), x.double().sum(1), atol=1e-4, rtol=1e-5)


def check_networks() -> None:
    """Both networks whole: every parameter's gradient, with what a sample lacks left out."""
    from artv.training.fast import use_fast_blocks

    torch.manual_seed(0)
    common = {"attention": (True,), "heads": (1,), "layers": 1, "text_dim": 8, "norm_groups": 4, "sample_size": 4}
    sizes = ModelConfig(
        dynamic=NetworkConfig(channels=(16,), out_channels=4, **common),
        mask=NetworkConfig(channels=(8,), out_channels=1, **common),
    )
    model = ArtVModel.from_config(sizes).to(DEVICE, memory_format=torch.channels_last)
    for name, parameter in model.named_parameters():
        if "norm" in name or "proj_out" in name:  # which start as ones and zeros
            torch.nn.init.normal_(parameter, float("norm" in name and "weight" in name), 0.3)
    reference = copy.deepcopy(model).double()
    assert use_fast_blocks(model)
    changed = {type(module).__name__ for module in model.modules()}
    blocks = {"FastResnet", "FastTransformer", "FastAnchorBlock", "FastAdapterResnet"}
    assert blocks | {"FastGroupNorm", "FastConvolution", "FastConditionalUNet"} <= changed

    def gradients(model, dtype, *present):
        generator = torch.Generator().manual_seed(1)

        def random(*shape):
            return torch.randn(shape, generator=generator).to(DEVICE, dtype)

        keep = torch.tensor([1.0, 0.0]).to(DEVICE, dtype)
        conditions = Conditions(random(2, 2, 4, 4, 4), random(2, 4, 4, 4), random(2, 4, 4, 4), keep, keep,
                                random(2, 3, 8))  # fmt: skip
        z, t = random(2, 4, 4, 4), torch.tensor([3, 700], device=DEVICE)
        model(z, t, conditions, *present).eps_BCHW.square().mean().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients(reference, torch.float64)
    actual = gradients(model, torch.float32, Present(refs=Rows(0, 1), anchor=Rows(0, 1)))
    assert expected.keys() == actual.keys() and len(expected) > 100
    for name, value in expected.items():
        error = (actual[name].double() - value).norm() / (value.norm() + 1e-9)
        assert error < (1e-2 if ON_GPU else 1e-4), (name, error)


def check_resampling() -> None:
    from diffusers.models.upsampling import Upsample2D

    from artv.training.fast.blocks import FastPool, FastUpsample
    from artv.training.fast.resampling import double, halve

    check(halve, lambda x: F.avg_pool2d(x, 2), (2, 3, 4, 6))
    check(double, lambda x: F.interpolate(x, scale_factor=2.0), (2, 3, 4, 6))
    block, pool = Upsample2D(8, use_conv=True), torch.nn.AvgPool2d(2, 2, ceil_mode=True)
    x = torch.randn(1, 8, 3, 5)
    expected = block(x), pool(x)
    assert FastUpsample.suits(block) and FastPool.suits(pool)
    block, pool, x = block.to(DEVICE), pool.to(DEVICE), x.to(DEVICE)
    block.__class__, pool.__class__ = FastUpsample, FastPool
    for actual, right in zip((block(x), pool(x)), expected, strict=True):  # an odd side is pooled as ever
        torch.testing.assert_close(actual.cpu(), right, atol=1e-2 if ON_GPU else 1e-5, rtol=1e-3)


def test_gradients_of_every_operation_and_of_the_networks():
    run(
        "check_group_norm((2, 12, 3, 5), False, False); check_group_norm((1, 48, 6, 9), True, True); "
        "check_joined_group_norm((2, 8, 3, 5), 4); "
        "check_tokens(); check_sums(); check_resampling(); check_networks()"
    )

"""The fused operations against PyTorch's in float64: on a GPU where there is one, else by Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

ON_GPU = torch.cuda.is_available()
pytest.importorskip("triton")


def run(code: str) -> None:
    """In a process of its own, because Triton reads the switch for its interpreter when it is imported."""
    environment = os.environ | ({} if ON_GPU else {"TRITON_INTERPRET": "1"})
    preamble = "import torch\nfrom tests.model.test_kernels import *\nfrom artv.networks import kernels\n"
    done = subprocess.run([sys.executable, "-c", preamble + code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def maps(B: int, C: int, H: int, W: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(B, C, H, W) * 2 + 3
    return x.to("cuda" if ON_GPU else "cpu", dtype).contiguous(memory_format=torch.channels_last)


def vectors(C: int, like: torch.Tensor, count: int = 3) -> list[torch.Tensor]:
    return [torch.randn(C).to(like) for _ in range(count)]


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    tolerance = {torch.float32: 2e-5, torch.bfloat16: 0.04}[actual.dtype]
    torch.testing.assert_close(actual.double(), expected, atol=tolerance, rtol=tolerance)


def check_group_norm(shape, groups, silu, shifted, dtype, tile) -> None:
    from artv.networks import kernels

    kernels._TILE = tile
    x = maps(*shape, dtype)
    weight, bias, shift = vectors(shape[1], x)
    y = kernels._launch_group_norm(x, groups, weight, bias, 1e-5, silu, shift if shifted else None)
    expected = x.double() + (shift.double().view(-1, 1, 1) if shifted else 0)
    expected = F.group_norm(expected, groups, weight.double(), bias.double(), 1e-5)
    close(y, F.silu(expected) if silu else expected)
    assert y.is_contiguous(memory_format=torch.channels_last)


def check_layer_norm(shape, added, dtype) -> None:
    from artv.networks import kernels

    torch.manual_seed(0)
    x, delta = (torch.randn(shape).to("cuda" if ON_GPU else "cpu", dtype) for _ in range(2))
    weight, bias = vectors(shape[-1], x, 2)
    total = x + delta if added else x.clone()
    y = kernels._launch_layer_norm(x, weight, bias, 1e-5, delta if added else None)
    close(y, F.layer_norm(total.double(), shape[-1:], weight.double(), bias.double(), 1e-5))
    close(x, total.double())


def check_the_rest(dtype) -> None:
    from artv.networks import kernels

    x, y = maps(2, 6, 5, 7, dtype), maps(2, 6, 5, 7, dtype)
    (shift,) = vectors(6, x, 1)
    expected = x.double() + y.double() + shift.double().view(-1, 1, 1)
    kernels._launch_add_shifted(x, y, shift)
    close(x, expected)
    tokens = torch.randn(2, 9, 80).to(x)
    value, gate = tokens.double().chunk(2, -1)
    close(kernels._launch_geglu(tokens), value * F.gelu(gate))


def test_fused_operations():
    """Groups of one tile and of several, odd widths, all options. One process for all, because it starts slowly."""
    run(
        "for dtype in (torch.float32, torch.bfloat16):\n"
        "    for tile in (16384, 64):\n"
        "        check_group_norm((2, 12, 5, 7), 4, True, True, dtype, tile)\n"
        "        check_group_norm((1, 20, 9, 9), 2, False, False, dtype, tile)\n"
        "        check_group_norm((3, 8, 1, 1), 2, True, False, dtype, tile)\n"
        "    for shape in ((2, 7, 24), (1, 3, 320), (2, 5, 1280)):\n"
        "        for added in (True, False):\n"
        "            check_layer_norm(shape, added, dtype)\n"
        "    check_the_rest(dtype)\n"
    )

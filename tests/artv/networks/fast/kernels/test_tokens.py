"""Operations on tokens where no kernel runs, against PyTorch's modules and the formulas written out."""

import math

import pytest
import torch
from diffusers.models.activations import GEGLU
from torch import nn

from artv.networks.fast import kernels
from artv.networks.fast.kernels.launching import block_of, power_of_two

EPS = 1e-5


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


@pytest.fixture
def norm():
    torch.manual_seed(0)
    norm = nn.LayerNorm(6, eps=EPS, dtype=torch.float64)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("shifted", [False, True])
def test_layer_norm_of_a_shifted_row(norm, shifted):
    x, shift = randn(2, 3, 6), randn(6) if shifted else None
    before = x.clone()
    found = kernels.layer_norm(x, norm.weight, norm.bias, EPS, shift)
    torch.testing.assert_close(found, norm(x if shift is None else x + shift))
    assert torch.equal(x, before)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("place", ["itself", "new", "part of longer rows"])
def test_the_sum_goes_on_and_its_norm_beside_it(norm, shifted, place):
    x, delta, shift = randn(2, 3, 6), randn(2, 3, 6), randn(6) if shifted else None
    expected = x + delta + (0 if shift is None else shift)
    longer = torch.zeros(2, 3, 10, dtype=torch.float64)
    out = {"itself": None, "new": torch.empty_like(x), "part of longer rows": longer[..., 4:]}[place]
    before = x.clone()
    total, normed = kernels.add_layer_norm(x, delta, norm.weight, norm.bias, EPS, shift, out)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(normed, norm(expected))
    assert total is (x if out is None else out) and not longer[..., :4].any()
    assert (out is None) != torch.equal(x, before)


@pytest.mark.parametrize("width", [4, 10])
def test_geglu_is_diffusers(width):
    torch.manual_seed(0)
    layer = GEGLU(6, width).double()
    x = randn(7, 6)
    expected = layer(x)
    out = torch.zeros(7, width + 3, dtype=torch.float64)
    with torch.no_grad():
        kernels.linear_geglu(x, layer.proj.weight, layer.proj.bias, out[:, 3:])
        torch.testing.assert_close(out[:, 3:], expected)
        kernels.geglu(layer.proj(x), out[:, 3:])
    torch.testing.assert_close(out[:, 3:], expected)
    assert not out[:, :3].any()


def test_the_gate_is_the_exact_gelu():
    """value · gate · Φ(gate), Φ by the error function, not its approximation by tanh."""
    gates = torch.linspace(-4, 4, 50, dtype=torch.float64)
    out = torch.empty(50, 1, dtype=torch.float64)
    kernels.geglu(torch.stack([torch.full_like(gates, 2.0), gates], 1), out)
    expected = [2 * g * (1 + math.erf(g / math.sqrt(2))) / 2 for g in gates.tolist()]
    torch.testing.assert_close(out[:, 0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 9), (1, 1)])
def test_attention_written_out(queries, keys):
    """softmax(q·kᵀ/√d)·v of each head, the heads of a token side by side."""
    torch.manual_seed(0)
    q, k, v = randn(2, 3, queries, 4), randn(2, 3, keys, 4), randn(2, 3, keys, 4)
    expected = torch.empty(2, queries, 12, dtype=torch.float64)
    for b in range(2):
        for h in range(3):
            weights = torch.softmax(q[b, h] @ k[b, h].T / 2, dim=-1)
            expected[b, :, 4 * h : 4 * h + 4] = weights @ v[b, h]
    torch.testing.assert_close(kernels.attention(q, k, v), expected)


def test_queries_may_be_a_view_of_something_wider():
    wide = randn(2, 5, 36)
    q, k, v = (part.view(2, 5, 3, 4).transpose(1, 2) for part in wide.chunk(3, -1))
    assert torch.equal(kernels.attention(q, k, v), kernels.attention(*(x.contiguous() for x in (q, k, v))))


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 1000])
def test_powers_of_two(n):
    assert power_of_two(n) == 2 ** math.ceil(math.log2(n))


@pytest.mark.parametrize(
    ("n", "block"), [(320, 64), (640, 128), (1280, 256), (512, 512), (4096, 512), (24, 32), (6, 8)]
)
def test_columns_a_program_leave_none_idle_where_a_width_allows_it(n, block):
    assert block_of(n) == block and (n % block == 0 or block <= 64)

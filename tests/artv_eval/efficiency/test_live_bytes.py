"""Bytes alive at the peak of a forward: against hand counts, and against the memory column of the paper's Table 2."""

import pytest
import torch
from torch import nn

from artv_eval.efficiency.cases import find_cases, like
from artv_eval.efficiency.live_bytes import peak_bytes
from artv_eval.efficiency.rows import simulated_gb
from artv_eval.efficiency.settings import _scores, write_attention_out


class Widening(nn.Module):
    """8 → 64 → 8 numbers for each of 100 rows."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(8, 64, bias=False), nn.Linear(64, 8, bias=False)

    def forward(self, x):
        return self.down(self.up(x))


def test_a_hand_count():
    weights, given, wide = 2 * 8 * 64 * 4, 100 * 8 * 4, 100 * 64 * 2
    copies = 2 * 8 * 64 * 2  # autocast's, of both weights, which stay
    halved, out = 100 * 8 * 2, 100 * 8 * 2  # the input in float16 is gone when the last layer writes its output
    expected = weights + copies + given + wide + max(halved, out)
    assert peak_bytes(Widening, lambda m: (like(m, 100, 8),), attention="written") == expected


@pytest.mark.parametrize("attention", ["written", "efficient"])
def test_attention_written_out_takes_ten_bytes_a_score_and_efficient_attention_none(attention):
    from diffusers.models.attention_processor import Attention

    def bytes_of(tokens):
        build = lambda: Attention(query_dim=64, heads=2, dim_head=32)  # noqa: E731
        return peak_bytes(build, lambda m: (like(m, 1, tokens, 64),), attention=attention)

    n = 1024
    quadratic = bytes_of(3 * n) - 2 * bytes_of(2 * n) + bytes_of(n)  # 9 − 2 · 4 + 1; the rest falls out
    assert quadratic == (10 * 2 * 2 * n**2 if attention == "written" else 0)


def test_written_out_attention_computes_what_fused_attention_does():
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    attention = Attention(query_dim=64, cross_attention_dim=48, heads=2, dim_head=32).eval()
    x, context = torch.randn(2, 10, 64), torch.randn(2, 7, 48)
    with torch.no_grad():
        fused = attention(x, encoder_hidden_states=context)
        write_attention_out(attention)
        assert attention.get_attention_scores.func is _scores
        torch.testing.assert_close(attention(x, encoder_hidden_states=context), fused, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "resolution", "tolerance"),
    [("modelscope", 320, 0.02), ("modelscope", 768, 0.035), ("artv", 768, 0.05)],
)
def test_the_papers_memory(method, resolution, tolerance):
    """Nothing is fitted: docs/paper.md says what this reading does not explain."""
    (case,) = find_cases([method])
    published = case.published[resolution].memory_gb
    assert simulated_gb(case, resolution, 16) == pytest.approx(published, rel=tolerance)

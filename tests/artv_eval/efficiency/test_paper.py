"""The numbers in ``docs/paper.md`` are the ones that the code gives."""

from pathlib import Path

import pytest

from artv_eval.efficiency.cases import find_cases
from artv_eval.efficiency.rows import Plan, measure

TEXT = (Path(__file__).parents[3] / "docs" / "paper.md").read_text()


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", ["dynamic_network", "mask_network"])
def test_table_1(name):
    import torch

    from artv.networks import ArtVModel

    with torch.device("meta"):
        network = getattr(ArtVModel.from_config(preset="paper"), name)
    for part in (network.unet, network.adapter, network.anchor_blocks, network):
        assert f"{parameters(part):,}" in TEXT


def test_table_2_and_clips():
    rows = list(measure(find_cases(["artv", "modelscope"]), Plan()))
    for row in rows:
        assert f"{row['flops_g']:.2f}" in TEXT and f"{row['flops_full_g']:.2f}" in TEXT
        assert f"{row['paper']['flops_g']:.2f}" in TEXT
    for method in ("artv", "modelscope"):
        costs = " / ".join(f"{row['clip_pflop']:.2f}" for row in rows if row["method"] == method)
        assert costs in TEXT

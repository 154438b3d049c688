"""The numbers in ``docs/paper.md`` are the ones that the code gives."""

import json
from pathlib import Path

import pytest

from artv_eval.efficiency.cases import find_cases
from artv_eval.efficiency.rows import Plan, measure

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "paper.md").read_text("utf-8")


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


@pytest.mark.parametrize(("method", "line"), [("modelscope", 0), ("artv", 1)])
def test_measured_memory_is_that_of_the_committed_results(method, line):
    """In GB of 10⁹ bytes, where the file has GiB; the paper's are in the rows beneath."""
    told = [row for row in TEXT.splitlines() if row.startswith("| … measured on an H200, in tensors |")][line]
    results = ROOT / "benchmarks" / "results" / "speed-h200" / "paper-2026-11-27.json"
    rows = {row["resolution"]: row for row in json.loads(results.read_text("utf-8")) if row["method"] == method}
    measured = [rows[resolution]["memory_gb"] * 2**30 / 1e9 for resolution in (320, 448, 768)]
    assert told.split("|")[2:5] == [f" {value:.2f} " for value in measured]
    counted = [f" {rows[resolution]['memory_simulated_gb']:.2f} " for resolution in (320, 448, 768)]
    assert "|".join(counted) in TEXT
    paper = [f" {rows[resolution]['paper']['memory_gb']:.2f} " for resolution in (320, 448, 768)]
    assert "|".join(paper) in TEXT

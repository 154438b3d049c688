"""The measured path on a real GPU, with small networks. Skipped where there is none."""

import pytest
import torch

from artv.networks import ArtVModel
from artv_eval.efficiency.cases import ArtVForward, Case, artv_inputs
from artv_eval.efficiency.rows import Plan, measure

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SMALL = Case(
    name="small",
    build=lambda: ArtVForward(ArtVModel.from_config(preset="shapes")),
    inputs=artv_inputs,
    frames_per_forward=1,
    evaluations=15,
    branches=2,
    sampler_runs=lambda frames: frames - 1,
)


@pytest.mark.parametrize("setting,dtype", [("eager", "bf16"), ("paper", "fp16"), ("tuned", "bf16")])
def test_a_row_is_complete(setting, dtype):
    (row,) = measure(
        [SMALL], Plan(resolutions=(128,), frames=4, device="cuda", setting=setting, dtype=dtype, repeats=20)
    )
    assert row["status"] == "ok"
    assert row["throughput_low"] <= row["throughput_batch_s"] <= row["throughput_high"]
    assert 0 < row["memory_gb"] <= row["memory_reserved_gb"]
    assert row["clip_s"] == pytest.approx(3 * 15 * row["evaluation_ms"] / 1e3)


def test_training_columns():
    (row,) = measure([SMALL], Plan(resolutions=(128,), frames=4, device="cuda", repeats=20, train_batch=2))
    assert row["train_samples_s"] > 0 and row["train_memory_gb"] > 0

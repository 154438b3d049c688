"""One training step of a method: samples a second and memory, under the same treatment for every method."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from artv.training.recompute import recompute_blocks
from artv_eval.efficiency.cases import Case
from artv_eval.efficiency.cuda import Peak, Timing, peak_memory, release, time_calls, unless_out_of_memory


def training_step(module: nn.Module, inputs: tuple[Any, ...]) -> Callable[[], None]:
    """float32 weights, bf16 autocast, every residual and attention block checkpointed, AdamW, mean squared error."""
    recompute_blocks(module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, betas=(0.9, 0.999), fused=True)

    def step() -> None:
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            prediction = module(*inputs)
        (prediction.float() - torch.ones((), device=prediction.device)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure_training(case: Case, resolution: int, frames: int, batch: int, repeats: int) -> dict[str, float | None]:
    """Samples a second (a sample is what the method trains on: a frame for ART-V, a clip for a video UNet).

    ``batch`` counts samples in one step on one GPU. Values are None where memory does not suffice.
    """

    def measure() -> tuple[Timing, Peak]:
        with torch.device("cuda"):
            module = case.build().train()
        per_sample = case.frames_per_forward or frames
        rows = (batch, 1) if case.frames_per_forward else (per_sample, batch)
        step = training_step(module, case.inputs(module, resolution, *rows))
        timing = time_calls(step, repeats)
        return timing, peak_memory(step)

    result = unless_out_of_memory(measure)
    release()
    timing, peak = result or (None, None)
    return {
        "train_samples_s": batch / timing.median_s if timing else None,
        "train_memory_gb": peak.allocated if peak else None,
    }

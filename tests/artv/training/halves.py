"""Run by test_processes: each process fits its part of eight samples; the main one writes the weights."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from artv.training import processes
from artv.training.loop import LoopConfig, optimise

out, precision, reduced = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
accelerator = Accelerator(cpu=True)
torch.manual_seed(accelerator.process_index)  # each would start elsewhere; the main process's start counts
model = torch.nn.Linear(3, 1)
if processes.is_main():
    torch.nn.init.constant_(model.weight, 0.5)
    torch.nn.init.zeros_(model.bias)
x = torch.randn(8, 3, generator=torch.Generator().manual_seed(7))
mine = x[processes.rank() :: processes.world()]


def draw_loss() -> torch.Tensor:
    return (model(mine) - mine.sum(1, keepdim=True)).square().mean()


config = LoopConfig(
    steps=20, batch_size=len(mine), lr=0.05, warmup=1, grad_clip=0.1, precision=precision, reduce_dtype=reduced
)
prepare = accelerator.prepare_model if processes.world() > 1 else None
_, outcome = optimise(model, draw_loss, config, out, name="toy", device=torch.device("cpu"), prepare=prepare)
weights = processes.gather(model.weight.detach())
if processes.is_main():
    torch.save({"weights": weights, "loss": outcome.loss}, out / "result.pt")
processes.leave()

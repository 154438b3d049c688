"""Run by test_processes: two processes train for ever, and save when they are asked to end."""

import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator

from artv.ending import one_line
from artv.training import processes
from artv.training.loop import LoopConfig, optimise

told_in, out = Path(sys.argv[1]), Path(sys.argv[2])
accelerator = Accelerator(cpu=True)
model = torch.nn.Linear(3, 1)
rank = processes.rank()


def draw_loss() -> torch.Tensor:
    time.sleep(0.02)
    return model(torch.randn(4, 3)).square().mean()


def told(step: int, place: int) -> None:
    (told_in / f"{rank}-{step:06d}").touch()


config = LoopConfig(steps=10**6, batch_size=4, lr=0.01)
with one_line("artv"), processes.leaving():
    optimise(model, draw_loss, config, out / "toy", name="toy", device=torch.device("cpu"),
             prepare=accelerator.prepare_model, fetch=told)  # fmt: skip

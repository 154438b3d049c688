"""Run by test_checkpoint as FOLDER STEPS: trains there, saving all the time."""

import sys
import time
from pathlib import Path

import torch

from artv.training.loop import LoopConfig, optimise


def train(out: Path, steps: int) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Tanh(), torch.nn.Linear(256, 1))

    def draw_loss() -> torch.Tensor:
        time.sleep(0.002)
        x = torch.randn(16, 64)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    config = LoopConfig(steps=steps, batch_size=16, lr=0.01, warmup=3, save_minutes=0, schedule="cosine")
    ema, _ = optimise(model, draw_loss, config, out, name="toy", device=torch.device("cpu"))
    torch.save({"model": model.state_dict(), "ema": ema.model.state_dict()}, out / "result.pt")


train(Path(sys.argv[1]), int(sys.argv[2]))

"""Run by test_checkpoints: for each line "FOLDER STEPS" on stdin a process that trains there, saving all the time.

Tells its number and, when it has ended, that. Processes are forked, so that only this one pays for imports.
"""

import os
import sys
import time
import traceback
from pathlib import Path

import torch
import torch._dynamo  # which an optimiser imports, and that takes long

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


for line in sys.stdin:
    folder, steps = line.split()
    child = os.fork()
    if not child:
        code = 1
        try:
            train(Path(folder), int(steps))
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)

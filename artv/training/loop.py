"""One training loop for every stage: step, average, log, save, resume by running the same command again.

A stage hands over a model and a function that draws a batch and returns its loss. Several processes each draw their own
and average the gradients; only the main one writes. On one GPU the whole step (batch,
forward, backward, optimiser, average) is captured once as a CUDA graph and replayed, since small networks otherwise
spend their time waiting for launches; everywhere else the same function runs eagerly.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from artv.errors import WorkFailed
from artv.progress import progress_bar
from artv.requests import check_count
from artv.training import processes
from artv.training.checkpoint import load_state, save_state
from artv.training.config import LoopConfig
from artv.training.ema import Ema
from artv.training.step import Prepare, Step


@dataclass(frozen=True)
class Outcome:
    """What a stage did: finished steps, the average loss of the last hundred, and the time of this run."""

    steps: int
    loss: float
    seconds: float
    finished: bool


def optimise(
    model: nn.Module,
    draw_loss: Callable[[], Tensor],
    config: LoopConfig,
    out: Path,
    *,
    name: str,
    device: torch.device,
    prepare: Prepare | None = None,
    fetch: Callable[[], None] | None = None,
    on_save: Callable[[nn.Module, int], None] | None = None,
) -> tuple[Ema, Outcome]:
    """Trains ``model`` until ``config.steps``, continuing whatever ``out/state`` holds.

    Args:
        draw_loss: draws a batch and returns its scalar loss; called inside autocast.
        name: shown in the progress bar and the log.
        prepare: wraps a module so that its gradients are averaged over the processes (accelerate's).
        fetch: called ahead of each ``draw_loss``, see :class:`~artv.training.step.Step`.
        on_save: called with the averaged model and the step after each checkpoint, in the main process.
    """
    check_count("steps", config.steps)
    cuda, main = device.type == "cuda", processes.is_main()
    one_step = Step(model, draw_loss, config, device, prepare, fetch)
    step = load_state(out / "state", model, one_step.ema, one_step.optimizer)

    def save(step: int) -> None:
        save_state(out / "state", model, one_step.ema, one_step.optimizer, step)
        if main and on_save is not None:
            on_save(one_step.ema.model, step)
        processes.wait()

    if cuda:
        torch.backends.cudnn.benchmark = True
        # capture needs gradients to have been accumulated on the capturing stream from the start
        torch.cuda.set_stream(torch.cuda.Stream())
    started = saved = logged = time.monotonic()
    recent = torch.zeros((), device=device)
    loss_value, since = math.nan, 0
    out.mkdir(parents=True, exist_ok=True)
    log_file = out / "log.jsonl" if main else Path(os.devnull)
    with (
        progress_bar(name, total=config.steps, start=step, shown=main) as bar,
        log_file.open("a", encoding="utf-8") as log,
    ):
        while step < config.steps:
            recent += one_step(step)
            step, since = step + 1, since + 1
            now = time.monotonic()
            over = config.minutes is not None and now - started > 60 * config.minutes
            log_now, save_now, over = processes.agree(
                now - logged > 2 or step == config.steps or since >= 500,
                now - saved > 60 * config.save_minutes or over,
                over,
            )
            if log_now:
                loss_value = processes.mean(recent.item() / since)
                recent.zero_()
                if not math.isfinite(loss_value):
                    raise WorkFailed(f"{name}: the loss became {loss_value} before step {step}; kept: {out / 'state'}")
                rate = since * config.samples(processes.world()) / (time.monotonic() - logged)
                row = {"step": step, "loss": loss_value, "samples_per_s": round(rate, 1), "lr": config.lr_at(step - 1)}
                log.write(json.dumps({"stage": name, **row}) + "\n")
                log.flush()
                bar.update(step, f"loss {loss_value:.4f} · {rate:,.0f} samples/s")
                logged, since = time.monotonic(), 0
            if save_now:
                save(step)
                saved = time.monotonic()
            if over:
                break
    save(step)
    return one_step.ema, Outcome(step, loss_value, time.monotonic() - started, step >= config.steps)

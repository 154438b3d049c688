"""One training loop for every stage: step, average, log, save, resume by running the same command again.

A stage hands over a model and a function that draws a batch and returns its loss. Several processes each draw their own
and average the gradients; only the main one writes, in a thread, while the next steps run.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from artv.errors import Interrupted, WorkFailed
from artv.progress import progress_bar
from artv.requests import check_count
from artv.training import processes
from artv.training.checkpoint import load_state
from artv.training.config import LoopConfig
from artv.training.ema import Ema
from artv.training.record import Record
from artv.training.rows import RowFile
from artv.training.saving import OnSave, Saver
from artv.training.step import Fetch, Prepare, Step
from artv.training.stopping import stop_signals
from artv.training.trackers import Trackers
from artv.training.validation import Validation


@dataclass(frozen=True)
class Outcome:
    """What a stage did: finished steps, the mean loss of those that were told last, and the time of this run."""

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
    fetch: Fetch | None = None,
    on_save: OnSave | None = None,
    validation: Validation | None = None,
    trackers: Trackers | None = None,
    flops: float | None = None,
) -> tuple[Ema, Outcome]:
    """Trains ``model`` until ``config.steps``, continuing whatever ``out/state`` holds.

    Args:
        draw_loss: draws a batch and returns its scalar loss; called inside autocast.
        name: shown in the progress bar and the log.
        prepare: wraps a module so that its gradients are averaged over the processes (accelerate's).
        fetch: called ahead of each ``draw_loss``, see :class:`~artv.training.step.Step`.
        on_save: called with the averaged model, in host memory, and the step ahead of each checkpoint, in a thread of
            the main process.
        validation: what the averaged model goes through now and then, in the main process.
        trackers: what the log's numbers also go to.
        flops: of a sample, where they are known.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, when the state is saved.
    """
    check_count("steps", config.steps)
    started, main = time.monotonic(), processes.is_main()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        # capture needs gradients to have been accumulated on the capturing stream from the start, and what exchanges
        # them between processes to have been made on it
        torch.cuda.synchronize()
        torch.cuda.set_stream(torch.cuda.Stream())
    one_step = Step(model, draw_loss, config, device, prepare, fetch)
    step = load_state(out / "state", model, one_step.ema, one_step.optimizer)
    saver = Saver(out / "state", model, one_step.ema, one_step.optimizer, on_save)
    out.mkdir(parents=True, exist_ok=True)
    with (
        closing(one_step),
        saver,
        stop_signals() as asked,
        progress_bar(name, total=config.steps, start=step, shown=main) as bar,
        RowFile(out / "log.jsonl" if main else None) as log,
    ):
        samples = config.samples(processes.world())
        record = Record(name, samples, device, log, bar.update, trackers, total=config.steps, flops=flops)
        saved, first, stop, ending = time.monotonic(), step, False, asked()
        while step < config.steps and not stop:
            record.add(one_step(step))
            if record.tell():  # of the steps before this one
                _check_loss(name, record.loss, step, out / "state")
            step += 1
            if step == first + 1:
                saver.reserve()
            saver.tell()
            over = config.minutes is not None and time.monotonic() - started > 60 * config.minutes
            due = time.monotonic() - saved > 60 * config.save_minutes and not saver.busy
            best = validation is not None and validation.due(step) and _validate(validation, one_step.ema, step, record)
            log_now, save_now, late, ending = processes.any_of(
                main and record.due, main and (due or best), main and over, asked()
            )
            stop = late or ending
            keep = save_now or stop or step == config.steps
            if log_now or keep:
                record.mark(step, lr=config.lr_at(step - 1))
            if keep:
                record.tell()
                _check_loss(name, record.loss, step, out / "state")
                _check_weights(name, one_step, step, out / "state")
            if save_now and not stop and step < config.steps:
                saver.save(step)
                saved = time.monotonic()
        saver.save(step, stopping=ending)
        saver.finish()
    processes.wait()
    if trackers is not None:
        trackers.finish()
    if ending:
        raise Interrupted(f"stopped and saved at step {step} of {config.steps}; run the same command again to continue")
    return one_step.ema, Outcome(step, record.loss, time.monotonic() - started, step >= config.steps)


def _check_loss(name: str, loss: float, step: int, kept: Path) -> None:
    if not math.isfinite(loss):
        raise WorkFailed(f"{name}: the loss became {loss} before step {step}; {_left(kept)}")


def _check_weights(name: str, one_step: Step, step: int, kept: Path) -> None:
    """Ahead of every save: a state that is not finite, once kept, is what every resumption would begin with."""
    norms = torch._foreach_norm([p.detach() for p in one_step.parameters])
    if not bool(torch.stack(norms).isfinite().all()):
        raise WorkFailed(f"{name}: a weight is no longer finite at step {step}; {_left(kept)}")


def _left(state: Path) -> str:
    return f"kept: {state}" if state.is_dir() else "nothing was saved before"


def _validate(validation: Validation, ema: Ema, step: int, record: Record) -> bool:
    """Tells what the averaged model is worth; says whether it is the best so far. Other processes wait meanwhile."""
    if not processes.is_main():
        return False
    found = validation.values(ema.model, step)
    if found is not None:
        record.row(step=step, **found)
    picture = validation.picture(ema.model, step)
    if picture is not None:
        record.picture(step, "samples", picture)
    return found is not None and found["best"]

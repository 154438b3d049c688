"""One optimiser step: draw, forward, backward, clip, AdamW, average. On GPUs it is captured as a CUDA graph (with AdamW
of 8 bits, up to the gradients).

A global batch that is larger than what the processes hold at once is gathered from several micro-batches: micro-batch
k of a step draws the same clips, noise and timesteps whatever process it falls to, so one process that accumulates
four and four processes train alike.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from artv.networks.fast.graphs import CapturedGraph
from artv.networks.fast.kernels.launching import ENABLED
from artv.training import processes
from artv.training.config import LoopConfig
from artv.training.ema import Ema
from artv.training.fast.update import FusedUpdate
from artv.training.half_weights import HalfLeaves, HalfWeights
from artv.training.optimizer import make_optimizer

Prepare = Callable[[nn.Module], nn.Module]
Fetch = Callable[[int, int], None]


class Objective(nn.Module):
    """The loss as a module: a data-parallel wrapper of it sees every parameter that the loss reads, and when."""

    def __init__(self, model: nn.Module, draw_loss: Callable[[], Tensor]) -> None:
        super().__init__()
        self.model, self.draw_loss = model, draw_loss

    def forward(self, nothing: None) -> Tensor:
        # wrappers expect an argument
        return self.draw_loss()


class Step:
    """Called with the number of the step (0-based), does it and returns its loss, detached.

    Attributes:
        optimizer, ema: what a checkpoint holds beside the model.

    Args:
        draw_loss: draws a batch of this process and returns its scalar loss; called inside autocast.
        fetch: called ahead of each ``draw_loss``, also ahead of a captured one, with the numbers of the step and of the
            micro-batch: puts that batch where ``draw_loss`` finds it.
        prepare: wraps a module so that its gradients are averaged over the processes (accelerate's).
    """

    def __init__(
        self,
        model: nn.Module,
        draw_loss: Callable[[], Tensor],
        config: LoopConfig,
        device: torch.device,
        prepare: Prepare | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        objective = Objective(model, draw_loss)
        self.model, self.config, self.device = model, config, device
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self._halves = _halves(model, config, exchanged=prepare is not None)
        with nullcontext() if self._halves is None else self._halves.exposed():
            self.objective = prepare(objective) if prepare is not None else objective
        self.optimizer = make_optimizer(self.parameters, config, device)
        self.ema = Ema(model, config.ema_decay)
        self.micro_batches = config.micro_batches(processes.world())
        self._fetch = fetch or _nothing
        self._captures = device.type == "cuda" and config.graph and self.micro_batches == 1
        # bitsandbytes runs its kernels on the default stream, which cannot be captured
        self._updates_itself = config.optimizer == "adamw"
        # optimiser state and library handles exist by then; DistributedDataParallel times its first ten
        self._eagerly = 8 if prepare is None else 12
        self._graph: Callable[[], Tensor] | None = None
        self._fused: FusedUpdate | None = None  # of a captured step
        self._done = 0

    def __call__(self, step: int) -> Tensor:
        """Does step number ``step``, the first few of a process always eagerly."""
        self._set_rate(step)
        if self._captures and self._done == self._eagerly:
            fuses = self.config.fused_update and self._updates_itself and ENABLED
            self._graph = (self._captured_by_all(fused=True) if fuses else None) or self._captured_by_all(fused=False)
        self._done += 1
        if self._graph is None:
            loss = self._run(step)
        else:
            self._begin(step, processes.rank())
            if self._fused is not None:
                self._fused.weight.fill_(self.ema.weight(step))
            loss = self._graph()
            if not self._updates_itself:
                self._update()
        if self._graph is None or self._fused is None:
            self.ema.update(self.ema.weight(step))  # not captured: its weight is a number
        return loss

    def close(self) -> None:
        """Lets go of the graph: NCCL does not end while one holds its kernels."""
        self._graph = None

    def _captured_by_all(self, *, fused: bool) -> Callable[[], Tensor] | None:
        graph = self._captured(fused)
        (without,) = processes.any_of(graph is None)  # all or none: others would wait for whoever is slow
        if without:
            self._update_apart()
        return None if without else graph

    def _captured(self, fused: bool) -> Callable[[], Tensor] | None:
        try:
            if fused:
                self._fused = self._fused_update()
            graph = capture(lambda: (self._run if self._updates_itself else self._backward)(None), self.optimizer)
            if self._fused is not None:
                self._fused.point()
            return graph
        except RuntimeError as error:  # out of memory, for one: the graph's is its own
            reason = str(error).splitlines()[0]
            what = "the update cannot be one pass" if fused else "the step cannot be captured"
            print(f"artv: {what} ({reason}); training goes on without, slower", file=sys.stderr)
            torch.cuda.empty_cache()
            return None

    def _fused_update(self) -> FusedUpdate:
        halves = {}
        if isinstance(self._halves, HalfLeaves) and self.config.grad_clip is None:  # which reads gradients of float32
            halves = self._halves.keep()
        return FusedUpdate(self.optimizer, self.ema.averages(), halves)

    def _update_apart(self) -> None:
        self._fused = None
        if isinstance(self._halves, HalfLeaves):
            self._halves.kept = False

    def _set_rate(self, step: int) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.config.lr_at(step))
            else:
                group["lr"] = self.config.lr_at(step)

    def _run(self, step: int | None) -> Tensor:
        """A step; None while it is captured: what it begins with comes ahead of each replay."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(step)
        self._update()
        return loss

    def _update(self) -> None:
        if self.config.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip, foreach=True)
        (self.optimizer.step if self._fused is None else self._fused)()

    def _backward(self, step: int | None) -> Tensor:
        count, losses = self.micro_batches, []
        for k in range(count):
            if step is not None:
                self._begin(step, k * processes.world() + processes.rank())
            with self._alone(k + 1 < count), self._weights():
                with self._autocast():
                    loss = self.objective(None) / count
                loss.backward()
            losses.append(loss.detach())
        if self._halves is not None:
            self._halves.hand_over()
        return losses[0] if count == 1 else torch.stack(losses).sum()

    def _begin(self, step: int, place: int) -> None:
        """Chance and clips of one micro-batch."""
        if self.config.global_batch is not None:
            torch.manual_seed(_key(self.config.seed, step, place))
        self._fetch(step, place)

    def _autocast(self) -> AbstractContextManager:
        if self.config.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _weights(self) -> AbstractContextManager:
        # also around the backward pass, which may compute blocks again
        return nullcontext() if self._halves is None else self._halves.in_place()

    def _alone(self, alone: bool) -> AbstractContextManager:
        # the processes exchange gradients once a step, with the last micro-batch
        no_sync: Callable[[], AbstractContextManager] | None = getattr(self.objective, "no_sync", None)
        return no_sync() if alone and no_sync is not None else nullcontext()


def _halves(model: nn.Module, config: LoopConfig, *, exchanged: bool) -> HalfWeights | None:
    if config.precision != "bf16":
        return None
    return HalfLeaves(model) if exchanged and config.reduce_dtype == "bf16" else HalfWeights(model)


def _nothing(step: int, place: int) -> None:
    """Where ``draw_loss`` finds its batches itself."""


def _key(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def capture(one_step: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
    """The step as a CUDA graph: replayed, it reads and writes the same tensors. Capturing does not run it."""
    torch.cuda.synchronize()
    optimizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()  # the graph has memory of its own; that of the steps before it would not fit beside it
    return CapturedGraph(one_step, warm_up=0, stream=torch.cuda.current_stream()).replay

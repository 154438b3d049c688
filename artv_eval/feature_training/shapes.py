"""Trains the two networks that judge the shapes world, on clips rendered as they are needed.

    python -m artv_eval.feature_training.shapes --component classifier --out artv_eval/assets/shapes_classifier \
        --minutes 8 --device cuda --batch-size 512
    python -m artv_eval.feature_training.shapes --component clip --out artv_eval/assets/shapes_clip \
        --minutes 6 --device cuda --batch-size 1024

The learning rate follows the clock (cosine over the minutes): a slower machine takes fewer steps and still ends well.

Shape suffixes: B clips, T frames, C channels, H W pixels, K corruptions.
"""

import argparse
import math
import platform
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from artv.data.shapes import ShapesBatch, ShapesWorld
from artv.errors import UserError
from artv_eval.corruptions import corrupt_randomly
from artv_eval.feature_training.validation import validate_classifier, validate_clip
from artv_eval.features.shapes import save_weights
from artv_eval.features.shapes_networks import (
    ClassifierConfig,
    ClipConfig,
    CompactTokenizer,
    ShapesClassifier,
    build_clip,
    world_bpe_ids,
)

LENGTHS = (16, 16, 16, 12, 8)  # frames of a training batch: the features must serve shorter clips too


@dataclass(kw_only=True)
class Run:
    """What one training run was asked for, and its clock and random stream."""

    component: str
    out: Path
    minutes: float
    device: str
    batch_size: int
    pool: int
    seed: int = 0
    rate: float = 2e-3
    started: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.random = Generator(self.device).manual_seed(self.seed)
        self.choice = random.Random(self.seed)  # small decisions, without waiting for the device

    @property
    def progress(self) -> float:
        """Share of the time used, 0 … 1."""
        return min((time.monotonic() - self.started) / (60 * self.minutes), 1.0)

    def learning_rate(self) -> float:
        """Warm-up over 3 % of the time, then a cosine to zero."""
        return self.rate * min(self.progress / 0.03 + 0.01, 1.0) * 0.5 * (1 + math.cos(math.pi * self.progress))

    def record(self, accuracy: dict[str, Any]) -> dict[str, Any]:
        """How the weights were made, for ``config.json``."""
        device = torch.cuda.get_device_name() if self.device.startswith("cuda") else platform.processor() or "CPU"
        return {
            "command": f"python -m artv_eval.feature_training.shapes --component {self.component} --minutes "
            f"{self.minutes:g} --device {self.device} --batch-size {self.batch_size} --seed {self.seed}",
            "steps": self.steps,
            "clips_seen": self.steps * self.batch_size,
            "seed": self.seed,
            "device": device,
            "torch": torch.__version__,
            "loss_by_tenth": [round(x, 4) for x in tenths(self.losses)],
            "held_out": accuracy,
        }


def tenths(values: list[float]) -> list[float]:
    """Means of ten parts as equal as can be, of all values; fewer where there are not ten."""
    return [float(part.mean()) for part in np.array_split(np.array(values), 10) if len(part)]


class Pool:
    """Clips of the training split kept on the device; replaced when each was drawn about twelve times."""

    def __init__(self, run: Run):
        self.world, self.run, self.next_index, self.drawn = ShapesWorld("train", seed=0), run, 0, 0
        self.refill()

    def refill(self) -> None:
        """Renders the next ``pool`` clips of the world."""
        indices = range(self.next_index, self.next_index + self.run.pool)
        self.data: ShapesBatch = self.world.batch(indices, device=self.run.device)
        self.next_index += self.run.pool
        self.drawn = 0

    def draw(self) -> Tensor:
        """(B,) positions in the pool."""
        if self.drawn > 12 * self.run.pool:
            self.refill()
        self.drawn += self.run.batch_size
        return torch.randint(self.run.pool, (self.run.batch_size,), device=self.run.device, generator=self.run.random)


def optimise(run: Run, network: nn.Module, losses: Iterator[Tensor]) -> None:
    """AdamW on the losses until the time is up; the iterator computes each with the weights of that moment."""
    decay = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=run.rate, betas=(0.9, 0.98)
    )
    loss = next(losses)  # renders the first clips: the clock starts after it
    run.started = shown = time.monotonic()
    while True:
        for group in optimiser.param_groups:
            group["lr"] = run.learning_rate()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        run.steps += 1
        if run.steps % 10 == 0:
            run.losses.append(loss.item())
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{run.progress:5.0%}  step {run.steps}  loss {loss.item():.4f}", file=sys.stderr, flush=True)
        if run.progress >= 1:
            return
        loss = next(losses)


def classifier_losses(run: Run, network: ShapesClassifier) -> Iterator[Tensor]:
    """One loss a batch: presence (sums over labels, so that 72 pairs weigh as 72), corruption, background."""
    pool = Pool(run)
    while True:
        rows = pool.draw()
        length = run.choice.choice(LENGTHS)
        start = run.choice.randrange(16 - length + 1)
        clean = pool.data.frames[rows][:, start : start + length].float() / 255
        x, strength_BK = corrupt_randomly(clean, run.random)
        with torch.autocast(run.device.split(":")[0], torch.bfloat16, enabled=run.device.startswith("cuda")):
            out = network(x)
        yield classifier_loss(out, pool.data, rows, strength_BK)


def classifier_loss(out: dict[str, Tensor], data: ShapesBatch, rows: Tensor, strength_BK: Tensor) -> Tensor:
    """Scalar; clips whose motion was destroyed (freeze is kind 4, shuffle 6) do not teach motion."""
    colour, shape, motion = data.colour[rows], data.shape[rows], data.motion_label[rows]
    B = len(rows)
    present = (colour >= 0).float()
    target = {k: torch.zeros_like(out[k].flatten(1)) for k in ("colour", "shape", "pair")}
    target["colour"].scatter_add_(1, colour.clamp_min(0), present)
    target["shape"].scatter_add_(1, shape.clamp_min(0), present)
    target["pair"].scatter_add_(1, (colour.clamp_min(0) * out["pair"].shape[2] + motion.clamp_min(0)), present)
    moving = (strength_BK[:, [4, 6]].amax(1) < 0.4).float()
    total = torch.zeros((), device=colour.device)
    for key, weight in (("colour", 1.0), ("shape", 1.0), ("pair", 2.0)):
        each = F.binary_cross_entropy_with_logits(out[key].flatten(1), target[key].clamp(max=1), reduction="none").sum(
            1
        )
        total = total + weight * (each * moving if key == "pair" else each).sum() / B
    total = total + F.binary_cross_entropy_with_logits(out["corruption"], (strength_BK > 0).float()) * 8
    total = total + 10 * F.mse_loss(out["strength"], strength_BK)
    return total + 4 * F.mse_loss(out["background"], (data.background[rows] - 0.5) / 0.15)


def clip_losses(run: Run, network: Any, tokenize: CompactTokenizer) -> Iterator[Tensor]:
    """The symmetric contrastive loss of CLIP (Radford et al. 2021, Fig. 3) on one random frame a clip."""
    pool, tokens, filled = Pool(run), torch.empty(0), -1
    while True:
        rows = pool.draw()
        if filled != pool.next_index:
            tokens, filled = tokenize(pool.data.captions).to(run.device), pool.next_index
        frame = torch.randint(pool.data.frames.shape[1], rows.shape, device=run.device, generator=run.random)
        clean = pool.data.frames[rows, frame][:, None].float() / 255
        # light damage only: a caption stays true of a blurred picture
        x, _ = corrupt_randomly(clean.expand(-1, 2, -1, -1, -1), run.random, clean=0.5, each=0.1)
        with torch.autocast(run.device.split(":")[0], torch.bfloat16, enabled=run.device.startswith("cuda")):
            image = network.encode_image(x[:, 1] * 2 - 1, normalize=True)
            text = network.encode_text(tokens[rows], normalize=True)
        logits = network.logit_scale.exp().clamp(max=100) * image.float() @ text.float().T
        label = torch.arange(len(rows), device=run.device)
        yield (F.cross_entropy(logits, label) + F.cross_entropy(logits.T, label)) / 2


@torch.no_grad()
def standardise(run: Run, network: ShapesClassifier, clips: int) -> None:
    """Sets the features' mean and scale to those of training clips."""
    world, parts = ShapesWorld("train", seed=0), []
    for start in range(0, clips, 256):
        indices = range(10_000_000 + start, 10_000_000 + min(start + 256, clips))
        parts.append(network.raw_features(world.batch(indices, device=run.device).frames.float() / 255).float())
    features = torch.cat(parts)
    network.feature_mean.copy_(features.mean(0))
    network.feature_std.copy_(features.std(0).clamp_min(1e-4))


def train_classifier(run: Run, check: int) -> dict[str, Any]:
    """Trains, validates on ``check`` test clips and saves; returns the held-out numbers."""
    torch.manual_seed(run.seed)
    torch.backends.cudnn.benchmark = True
    network = ShapesClassifier(ClassifierConfig()).to(run.device)
    if run.device.startswith("cuda"):
        network = network.to(memory_format=torch.channels_last_3d)
    optimise(run, network.train(), classifier_losses(run, network))
    network.eval().to(memory_format=torch.contiguous_format)
    standardise(run, network, 4 * check)
    held_out = validate_classifier(network, run.device, check)
    save_weights(network, run.out, "classifier", network.config.to_dict(), run.record(held_out))
    return held_out


def train_clip(run: Run, check: int) -> dict[str, Any]:
    """Trains, validates on ``check`` test clips and saves; returns the held-out numbers."""
    torch.manual_seed(run.seed)
    config = ClipConfig(bpe_ids=world_bpe_ids())
    network, tokenize = build_clip(config).to(run.device), CompactTokenizer(config.bpe_ids, config.context)
    optimise(run, network.train(), clip_losses(run, network, tokenize))
    held_out = validate_clip(network.eval(), tokenize, run.device, check)
    save_weights(network, run.out, "clip", config.to_dict(), run.record(held_out))
    return held_out


def main(argv: list[str] | None = None) -> int:
    """The command line above."""
    parser = argparse.ArgumentParser(
        prog="python -m artv_eval.feature_training.shapes", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--component", choices=("classifier", "clip"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for model.safetensors and config.json")
    parser.add_argument("--minutes", type=float, default=8.0, help="training time; rendering and checking come on top")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--pool", type=int, help="clips kept rendered (default 20480 on CUDA, 512 on a CPU)")
    parser.add_argument("--check", type=int, help="test clips to validate on (default 2048 on CUDA, 128 on a CPU)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    cuda = args.device.startswith("cuda")
    if args.minutes <= 0 or args.batch_size < 2:
        raise UserError(
            f"minutes {args.minutes}, batch size {args.batch_size}: need more than 0 minutes and at least 2 clips"
        )
    run = Run(
        component=args.component,
        out=args.out,
        minutes=args.minutes,
        device=args.device,
        batch_size=args.batch_size,
        pool=args.pool or (20480 if cuda else 512),
        seed=args.seed,
    )
    held_out = {"classifier": train_classifier, "clip": train_clip}[args.component](
        run, args.check or (2048 if cuda else 128)
    )
    for key, value in held_out.items():
        print(f"{key}: {value}")
    print(f"{run.steps} steps; saved to {run.out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")

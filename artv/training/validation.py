"""What a training is watched by: the averaged weights' loss on fixed clips, frames, timesteps and noise, and samples.

In ``log.jsonl`` a validation is a row ``{"stage", "step", "validation": {"loss": mean, "loss@100": …}, "clips",
"best"}``: mean squared errors of the noise, nothing dropped, references without noise; smaller is better. ``clips``:
how many they are means of. ``best``: its ``best_by`` value is the smallest so far, and that step's pipeline is kept in
``RUN/best``, with ``best.json``.

Shape suffixes: B clips, T frames, C latent channels, h w latent size, L text tokens, D text width, H W pixels.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv.conditioning import reference_frames
from artv.data.latents import Batch
from artv.files import read_text, writing
from artv.networks import ArtVModel, Conditions
from artv.training.checkpoint import replacing

TIMESTEPS = (100, 300, 500, 700, 900)
METRICS = ("loss", *(f"loss@{t}" for t in TIMESTEPS))

Sampler = Callable[[ArtVModel], np.ndarray]


class FixedLoss:
    """The loss on one batch; frames and noise are drawn once, from ``seed``, apart from the training's own draws.

    Attributes:
        clips: of how many clips it is the mean.

    Args:
        batch: the clips.
        at_once: clips that the model is given together.
    """

    def __init__(self, batch: Batch, num_refs: int, at_once: int, seed: int = 0) -> None:
        latents, generator = batch.latents_BTChw.float(), torch.Generator().manual_seed(seed)
        B, T = latents.shape[:2]
        self.clips = B
        self._noise = torch.randn(len(TIMESTEPS), *latents[:, 0].shape, generator=generator).to(latents.device)
        i = torch.randint(min(1, T - 1), T, (B,), generator=generator).to(latents.device)
        ones = torch.ones(B, device=latents.device)
        refs = reference_frames(latents, i, num_refs)
        self._target = latents[torch.arange(B, device=latents.device), i]
        self._conditions = (refs, refs[:, -1], latents[:, 0], ones, ones, batch.text_BLD.float())
        self._at_once = at_once

    @torch.no_grad()
    def __call__(self, model: ArtVModel) -> dict[str, float]:
        """By name (``METRICS``)."""
        errors = [self._error(model, t, noise) for t, noise in zip(TIMESTEPS, self._noise, strict=True)]
        values = torch.stack(errors).tolist()
        return {"loss": sum(values) / len(values)} | dict(zip(METRICS[1:], values, strict=True))

    def _error(self, model: ArtVModel, t: int, noise_BChw: Tensor) -> Tensor:
        errors = []
        for part in torch.arange(len(noise_BChw), device=noise_BChw.device).split(self._at_once):
            times = torch.full((len(part),), t, device=part.device)
            a, s = model.schedule.a_s(times)
            noise = noise_BChw[part]
            z = a * self._target[part] + s * noise
            predicted = model(z, times, Conditions(*(x[part] for x in self._conditions))).eps_BCHW
            errors.append((predicted.float() - noise).square().flatten(1).mean(1))
        return torch.cat(errors).mean()


class Validation:
    """Called by the loop after each step; does something every ``every`` and every ``sample_every`` steps (0: never).

    Attributes:
        best: step, metric and value of the best step so far; None before there is one.

    Args:
        folder: the run's; gets ``best/`` and ``samples/``.
        best_by: the value, of ``METRICS``, by which the best step is kept.
        sample: makes a picture of clips with the averaged model.
    """

    def __init__(
        self,
        loss: FixedLoss,
        folder: Path,
        *,
        every: int,
        best_by: str,
        precision: str,
        sample: Sampler | None = None,
        sample_every: int = 0,
    ) -> None:
        self.loss, self.folder, self.every, self.best_by = loss, folder, every, best_by
        self.precision, self.sample, self.sample_every = precision, sample, sample_every
        self.best = self._stored()

    def due(self, step: int) -> bool:
        """Whether there is something to do after ``step``; every process asks, the main one does it."""
        return bool(self.every and step % self.every == 0) or self.due_sample(step)

    def due_sample(self, step: int) -> bool:
        """Whether clips are to be made."""
        return bool(self.sample is not None and self.sample_every and step % self.sample_every == 0)

    def values(self, model: Any, step: int) -> dict[str, Any] | None:
        """The row's ``validation``, ``clips`` and ``best``; None where only samples are due."""
        if not self.every or step % self.every:
            return None
        half = self.precision == "bf16"
        with torch.autocast(next(model.parameters()).device.type, torch.bfloat16, enabled=half):
            found = self.loss(model)
        value = found[self.best_by]
        better = math.isfinite(value) and (self.best is None or value < self.best["value"])
        if better:
            self.best = {"step": step, "metric": self.best_by, "value": value}
        return {"validation": found, "clips": self.loss.clips, "best": better}

    def keep(self, step: int) -> None:
        """Keeps the pipeline that was just saved, if it is the best step's."""
        best = self.best  # the training may have come to a better one before this is copied
        if best is None or best["step"] != step:
            return
        with replacing(self.folder / "best") as fresh:
            shutil.copytree(self.folder / "pipeline", fresh, copy_function=_link, dirs_exist_ok=True)
            (fresh / "best.json").write_text(json.dumps(best, indent=1) + "\n", encoding="utf-8")

    def picture(self, model: Any, step: int) -> np.ndarray | None:
        """Clips of the averaged weights as one picture, also written to ``samples/STEP.png``."""
        if self.sample is None or not self.due_sample(step):
            return None
        from PIL import Image

        picture, file = self.sample(model), self.folder / "samples" / f"{step:08d}.png"
        try:
            with writing(file) as part:
                Image.fromarray(picture).save(part, "png")
        except OSError as error:
            print(f"artv: cannot write {file}: {error.strerror}; training goes on", file=sys.stderr)
        return picture

    def _stored(self) -> dict[str, Any] | None:
        try:
            stored = json.loads(read_text(self.folder / "best" / "best.json"))
            return stored if stored["metric"] == self.best_by and stored["step"] >= 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)  # the same file: the pipeline's name goes to another one with the next checkpoint
    except OSError:  # not everywhere
        shutil.copy2(source, target)


def grid(frames_BTHW3: np.ndarray, masks_SBThw: np.ndarray | None) -> np.ndarray:
    """Two rows a clip, its frames and beneath them their masks (mean over the sampling steps), as one uint8 picture.

    Args:
        masks_SBThw: (steps, B, T − 1, h, w) in [0, 1]; None: frames only.
    """
    B, _, H, W, _ = frames_BTHW3.shape
    rows = []
    for b in range(B):
        rows.append(np.concatenate(list(frames_BTHW3[b]), axis=1))
        if masks_SBThw is not None:
            mean = (masks_SBThw[:, b].mean(0) * 255).round().astype(np.uint8)
            grown = mean.repeat(H // mean.shape[1], 1).repeat(W // mean.shape[2], 2)
            row = np.concatenate([np.zeros((H, W), np.uint8), *grown], axis=1)
            rows.append(np.repeat(row[..., None], 3, axis=2))
    return np.concatenate(rows)

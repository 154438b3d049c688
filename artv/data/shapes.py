"""A synthetic world in which every claim about a video model can be checked.

Clips of 64×64 pixels at 8 fps: a static textured background that the caption does not describe (only its tint), and
one or two objects that move, bounce, spin, grow or shrink as the caption says. The texture can come only from the
reference frames, so copying and drift are visible; the region that moves is known, so a mask can be scored.

    world = ShapesWorld(split="test", seed=0)
    clip = world.clip(3)            # .frames uint8 (T, H, W, 3), .caption, .motion bool (T, H, W), .objects
    batch = world.batch(range(256), device="cuda")

A clip depends only on (split, seed, index): not on the batch it is made in.

Shape suffixes: B batch, O objects (2), T frames, C colour channels, H W pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from artv.data import shapes_render as render
from artv.data.shapes_words import COLOURS, MOTIONS, SHAPES, SPEEDS, TINTS, caption, is_held_out
from artv.errors import UserError
from artv.requests import SPLITS, check_name, check_seed

__all__ = ["COLOURS", "MOTIONS", "SHAPES", "SPEEDS", "TINTS", "ObjectSpec", "ShapesBatch", "ShapesClip", "ShapesWorld"]

COARSE, FINE = 5, 10  # grid points a side of the two noise textures
DRAWS = 96 + 3 * (COARSE**2 + FINE**2)
CHUNK = 64  # clips rendered at once: keeps the temporaries near 100 MB


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """What the caption can say of one object; ``direction`` is ±1 for bounces and spins, which captions leave open."""

    colour: str
    shape: str
    motion: str
    speed: str


@dataclass(frozen=True, kw_only=True)
class ShapesClip:
    """``frames`` uint8 (T, H, W, 3); ``motion`` bool (T, H, W): covered by an object now or one frame ago."""

    frames: np.ndarray
    caption: str
    motion: np.ndarray
    objects: tuple[ObjectSpec, ...]
    tint: str


@dataclass(frozen=True, kw_only=True)
class ShapesBatch:
    """``frames`` uint8 (B, T, 3, H, W); ``motion`` bool (B, T, H, W); labels int64 (B, 2), −1 = no second object.

    ``background`` float32 (B, 48): the background alone, averaged to 4×4 cells, in [0, 1].
    """

    frames: Tensor
    captions: list[str]
    motion: Tensor
    colour: Tensor
    shape: Tensor
    motion_label: Tensor
    speed: Tensor
    tint: Tensor
    background: Tensor


class ShapesWorld:
    """Draws clips of the world.

    Args:
        split: ``train`` or ``test``. They share no background, and the combinations of colour, shape and motion for
            which :func:`~artv.data.shapes_words.is_held_out` holds appear in ``test`` only.
        seed: another seed is another world of the same kind.
        num_frames, size, fps: of each clip; motions are defined in pixels of a 64-pixel picture per frame at 8 fps
            and scale with both.
    """

    def __init__(self, split: str = "train", seed: int = 0, num_frames: int = 16, size: int = 64, fps: float = 8.0):
        check_name("split", split, SPLITS)
        check_seed(seed)
        if num_frames < 1 or size < 16 or fps <= 0:
            raise UserError(
                f"num_frames {num_frames}, size {size}, fps {fps}: need at least 1 frame, 16 pixels, fps > 0"
            )
        self.split, self.seed, self.num_frames, self.size, self.fps = split, seed, num_frames, size, fps

    def clip(self, i: int) -> ShapesClip:
        """The i-th clip (i ≥ 0)."""
        batch = self.batch([i])
        objects = tuple(
            ObjectSpec(colour=COLOURS[c], shape=SHAPES[s], motion=MOTIONS[m], speed=SPEEDS[v])
            for c, s, m, v in zip(
                *(x[0].tolist() for x in (batch.colour, batch.shape, batch.motion_label, batch.speed)), strict=True
            )
            if c >= 0
        )
        return ShapesClip(
            frames=batch.frames[0].permute(0, 2, 3, 1).contiguous().numpy(),
            caption=batch.captions[0],
            motion=batch.motion[0].numpy(),
            objects=objects,
            tint=TINTS[int(batch.tint[0])],
        )

    def batch(self, indices: Iterable[int], device: str | torch.device = "cpu") -> ShapesBatch:
        """The clips of ``indices``, rendered on ``device``; the same clips whatever the batch."""
        index = np.fromiter(indices, dtype=np.uint64)
        plan = _plan(_uniform(self.split, self.seed, index), held_out_allowed=self.split == "test")
        parts = [self._render(plan, slice(k, k + CHUNK), device) for k in range(0, len(index), CHUNK)]
        frames, motion, background = (torch.cat(column) for column in zip(*parts, strict=True))
        labels = {k: torch.from_numpy(plan[k]).to(device) for k in ("colour", "shape", "motion_label", "speed", "tint")}
        return ShapesBatch(frames=frames, motion=motion, background=background, captions=_captions(plan), **labels)

    def _render(self, plan: dict[str, np.ndarray], rows: slice, device) -> tuple[Tensor, Tensor, Tensor]:
        part = {k: torch.from_numpy(v[rows]).to(device) for k, v in plan.items()}
        ground = render.background(part, self.size)
        poses = render.poses(part, self.num_frames, self.fps)
        frames, motion = render.composite(ground, part, poses, self.size)
        cells = F.adaptive_avg_pool2d(ground, 4).flatten(1)
        return frames, motion, cells


def _uniform(split: str, seed: int, index: np.ndarray) -> np.ndarray:
    """(B, DRAWS) float32 in [0, 1) by counter (splitmix64), so that a clip does not depend on its neighbours."""
    with np.errstate(over="ignore"):
        start = _mix(np.uint64(seed * 2 + SPLITS.index(split) + 1) * np.uint64(0x9E3779B97F4A7C15))
        rows = _mix(index * np.uint64(0xD1342543DE82EF95) + start)
        counter = np.arange(1, DRAWS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mix(rows[:, None] + counter) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def _mix(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _pick(u: np.ndarray, n: int) -> np.ndarray:
    return np.minimum((u * n).astype(np.int64), n - 1)


def _plan(u: np.ndarray, held_out_allowed: bool) -> dict[str, np.ndarray]:
    """Everything random about the clips as arrays of B rows: labels, poses, texture grids."""
    two = u[:, 0] < 0.4
    colour = np.stack([_pick(u[:, 1], 8), np.zeros(len(u), np.int64)], 1)
    colour[:, 1] = (colour[:, 0] + 1 + _pick(u[:, 2], 7)) % 8  # never the colour of the first
    shape = _pick(u[:, 3:5], len(SHAPES))
    motion = _pick(u[:, 5:7], len(MOTIONS))
    # a turning circle or ring looks still: it grows instead
    motion = np.where((motion == MOTIONS.index("spins")) & (shape < 2), MOTIONS.index("grows"), motion)
    if not held_out_allowed:
        shape = np.where(is_held_out(colour, shape, motion), (shape + 1) % len(SHAPES), shape)
        motion = np.where((motion == MOTIONS.index("spins")) & (shape < 2), MOTIONS.index("left"), motion)
        motion = np.where(is_held_out(colour, shape, motion), (motion + 1) % 4, motion)
    labels = {"colour": colour, "shape": shape, "motion_label": motion, "speed": _pick(u[:, 7:9], 2)}
    for values in labels.values():
        values[~two, 1] = -1
    first = 19 + 26 * u[:, 9:11]
    # the second object starts at the first of eight places that keeps its distance
    tries = 10 + 44 * u[:, 11:27].reshape(-1, 8, 2)
    far = np.linalg.norm(tries - first[:, None], axis=-1) > 21
    second = tries[np.arange(len(u)), far.argmax(1)]
    noise = u[:, 96:]
    return labels | {
        "tint": _pick(u[:, 27], len(TINTS)),
        "start": np.stack([first, second], 1).astype(np.float32),
        "radius": 8.5 + 3.5 * u[:, 28:30],
        "turn": u[:, 30:32] - 0.5,
        "jitter": u[:, 32:34],
        "sign": np.where(u[:, 34:36] < 0.5, -1.0, 1.0).astype(np.float32),
        "colour_jitter": u[:, 36:42].reshape(-1, 2, 3) - 0.5,
        "ground": u[:, 42:60],
        "words": u[:, 60:76],
        "coarse": noise[:, : 3 * COARSE**2].reshape(-1, 3, COARSE, COARSE),
        "fine": noise[:, 3 * COARSE**2 :].reshape(-1, 3, FINE, FINE),
    }


def _captions(plan: dict[str, np.ndarray]) -> list[str]:
    labels: Sequence[np.ndarray] = [plan[k] for k in ("colour", "shape", "motion_label", "speed")]
    rows = zip(*(x.tolist() for x in labels), plan["tint"].tolist(), plan["words"].tolist(), strict=True)
    return [caption(*row) for row in rows]

"""A synthetic world in which every claim about a video model can be checked.

Clips of 64×64 pixels at 8 fps: a static textured background that the caption does not describe (only its tint), and
one or two objects that move, bounce, spin, grow or shrink as the caption says. The texture can come only from the
reference frames, so copying and drift are visible; the region that moves is known, so a mask can be scored.

    world = ShapesWorld(split="test", seed=0)
    clip = world.clip(3)            # .frames uint8 (T, H, W, 3), .caption, .motion bool (T, H, W), .objects
    batch = world.batch(range(256), device="cuda")

A clip depends only on (split, seed, index): not on the batch it is made in, and its beginning not on its length.
:mod:`artv.data.shapes_long` is the second world, for long clips.

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
Plan = dict[str, Any]
LABELS = ("pans", "post", "occluded", "returns")
"""What may be in a clip of the second world, as :class:`ShapesBatch` has it."""

COARSE, FINE = 5, 10  # grid points a side of the two noise textures
DRAWS = 96 + 3 * (COARSE**2 + FINE**2)
CHUNK, CHUNK_GPU = 1024, 16384  # frames rendered at once: the temporaries stay near 100 MB, on a GPU near 2 GB


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

    ``background`` float32 (B, 48): the background alone in the first frame, averaged to 4×4 cells, in [0, 1].
    The truth over time, in pixels of a 64-pixel picture: ``camera`` (B, T, 2), the world's place of the picture's
    corner; ``centre`` (B, 2, T, 2), of the objects in the picture; ``radius`` (B, 2, T); ``in_view`` and ``seen``
    (B, 2, T), the share of an object that is in the picture, and that is also not hidden. ``post`` bool (B,): whether
    something stands before the objects.
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
    camera: Tensor
    centre: Tensor
    radius: Tensor
    in_view: Tensor
    seen: Tensor
    post: Tensor

    @property
    def pans(self) -> Tensor:
        """bool (B,): whether the camera moves."""
        return (self.camera != self.camera[:, :1]).any(-1).any(-1)

    @property
    def occluded(self) -> Tensor:
        """bool (B,): whether at some time half of an object is hidden behind something."""
        return (self.in_view - self.seen > 0.5).flatten(1).any(1)

    @property
    def returns(self) -> Tensor:
        """bool (B,): whether an object is seen, is out of the picture, and is seen again."""
        half, gone = self.in_view > 0.5, self.in_view < 0.02
        left = gone & (half.cumsum(-1) > 0)
        return (half & (left.cumsum(-1) > 0)).flatten(1).any(1)


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

    def of_length(self, num_frames: int) -> "ShapesWorld":
        """The same clips, longer or shorter."""
        return type(self)(self.split, self.seed, num_frames, self.size, self.fps)

    def starts(self, index: np.ndarray, horizon: int | None) -> np.ndarray:
        """(B,): where a window of ``num_frames`` begins, drawn from all places in the first ``horizon`` frames.

        None: where clips begin.
        """
        places = max((horizon or 0) - self.num_frames, 0) + 1
        return (uniform(self.split, self.seed, index, 1, stream=2)[:, 0] * places).astype(np.int64).clip(max=places - 1)

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

    def batch(
        self, indices: Iterable[int], device: str | torch.device = "cpu", start: int | Sequence[int] | np.ndarray = 0
    ) -> ShapesBatch:
        """The clips of ``indices``, rendered on ``device``; the same clips whatever the batch.

        ``start``: the first frame, for all or for each; what is drawn is what a clip from 0 on shows there.
        """
        index = np.fromiter(indices, dtype=np.uint64)
        plan = self.plan(index) | {"begin": np.broadcast_to(np.asarray(start, np.int64), len(index)).copy()}
        few = max(1, (CHUNK if torch.device(device).type == "cpu" else CHUNK_GPU) // self.num_frames)
        groups = [rows for rows in self.groups(plan) if len(rows)]
        chunks = [rows[k : k + few] for rows in groups for k in range(0, len(rows), few)]
        parts = [self._render({k: v[rows] for k, v in plan.items()}, device) for rows in chunks]
        back = torch.from_numpy(np.concatenate(groups).argsort()).to(device)
        tensors = {key: torch.cat([part[key] for part in parts])[back] for key in parts[0]}
        labels = {k: torch.from_numpy(plan[k]).to(device) for k in ("colour", "shape", "motion_label", "speed", "tint")}
        return ShapesBatch(captions=_captions(plan), **labels, **tensors)

    def captions(self, indices: Iterable[int]) -> list[str]:
        """Those of :meth:`batch`, without drawing anything."""
        return _captions(self.plan(np.fromiter(indices, dtype=np.uint64)))

    def plan(self, index: np.ndarray) -> Plan:
        """Everything random about the clips, one row each."""
        return base_plan(uniform(self.split, self.seed, index), held_out_allowed=self.split == "test")

    def groups(self, plan: Plan) -> list[np.ndarray]:
        """Rows of a plan that are drawn together."""
        return [np.arange(len(plan["tint"]))]

    def scene(self, plan: Plan, seconds: Tensor) -> render.Scene:
        """What there is to draw of a plan (tensors of B rows) at (B, T) seconds."""
        still = torch.zeros(*seconds.shape, 2, device=seconds.device)
        ground = render.background(plan, self.size)[:, None]
        return render.Scene(ground=ground, pose=render.poses(plan, seconds[:, None]), camera=still)

    def drawn(self, plan: Plan, device: str | torch.device = "cpu") -> tuple[render.Scene, render.Layers]:
        """The ``num_frames`` frames of a plan from its ``begin`` on, with all that is known of them."""
        part = {k: torch.from_numpy(v).to(device) for k, v in plan.items()}
        frames = part["begin"][:, None] + torch.arange(self.num_frames, device=device)
        scene = self.scene(part, frames / self.fps)
        return scene, render.composite(scene, part, self.size)

    def _render(self, plan: Plan, device: str | torch.device) -> dict[str, Tensor]:
        scene, layers = self.drawn(plan, device)
        return {
            "frames": layers.frames,
            "motion": layers.motion,
            "background": F.adaptive_avg_pool2d(scene.ground[:, 0], 4).flatten(1),
            "camera": scene.camera,
            "centre": torch.stack([scene.pose["x"], scene.pose["y"]], -1),
            "radius": scene.pose["radius"],
            "in_view": layers.in_view,
            "seen": layers.seen,
            "post": torch.zeros(len(scene.camera), dtype=torch.bool, device=device)
            if scene.post is None
            else scene.post.flatten(1).any(1),
        }


def uniform(split: str, seed: int, index: np.ndarray, draws: int = DRAWS, stream: int = 0) -> np.ndarray:
    """(B, draws) float32 in [0, 1) by counter (splitmix64), so that a clip does not depend on its neighbours.

    ``stream``: another one is independent.
    """
    with np.errstate(over="ignore"):
        start = _mix(np.uint64(seed * 2 + SPLITS.index(split) + 1) * np.uint64(0x9E3779B97F4A7C15))
        start = start + np.uint64(stream) * np.uint64(0xBF58476D1CE4E5B9)
        rows = _mix(index * np.uint64(0xD1342543DE82EF95) + start)
        counter = np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mix(rows[:, None] + counter) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def _mix(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _pick(u: np.ndarray, n: int) -> np.ndarray:
    return np.minimum((u * n).astype(np.int64), n - 1)


def base_plan(u: np.ndarray, held_out_allowed: bool) -> dict[str, np.ndarray]:
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
    noise = u[:, 96:DRAWS]
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


def _captions(plan: Plan) -> list[str]:
    labels: Sequence[np.ndarray] = [plan[k] for k in ("colour", "shape", "motion_label", "speed")]
    rows = zip(*(x.tolist() for x in labels), plan["tint"].tolist(), plan["words"].tolist(), strict=True)
    return [caption(*row) for row in rows]

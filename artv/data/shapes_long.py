"""The second shapes world, made for long clips: what makes a video drift is there, and all of it is known.

    world = LongShapesWorld(split="test", num_frames=48)
    batch = world.batch(range(256))                  # .pans, .occluded, .returns, .post say what is in each clip
    batch = world.batch(range(256), start=1000)      # the same clips, from frame 1000 on

The words are those of the first world. What differs:

- clips have any length: what travels leaves the picture and comes back on the other side, what grows stops growing;
- one clip in five has a camera that moves slowly to and fro (up to 8 pixels from where it began);
- one clip in four has a post before the objects, where they come past; of two objects, the second often stands in
  the way of the first;
- backgrounds have a third, finer texture.

Shape suffixes: B batch, O objects (2), T frames, N pixels of a side, G grid points of a side, H W pixels.
"""

import math

import numpy as np
import torch
from torch import Tensor

from artv.data import shapes_render as render
from artv.data.shapes import DRAWS, Plan, ShapesWorld, base_plan, uniform
from artv.data.shapes_words import MOTIONS

PANS, POSTS = 0.2, 0.25  # shares of the clips
REACH = 8.0  # pixels that a camera goes from where it began
MARGIN = 13.0  # pixels outside of the picture in which no part of a travelling object shows: it turns up elsewhere
FINEST = 28  # grid points a side of the third texture
EXTRA = 24  # draws beside the first world's and the third texture's
TRAVELS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


class LongShapesWorld(ShapesWorld):
    """Draws clips of the second world; the arguments are those of :class:`~artv.data.shapes.ShapesWorld`."""

    def plan(self, index: np.ndarray) -> Plan:
        u = uniform(self.split, self.seed, index, DRAWS + EXTRA + FINEST**2, stream=1)
        plan = base_plan(u[:, :DRAWS], held_out_allowed=self.split == "test")
        return long_plan(plan, u[:, DRAWS : DRAWS + EXTRA], u[:, DRAWS + EXTRA :])

    def groups(self, plan: Plan) -> list[np.ndarray]:
        # a picture that stays as it is, is drawn once a clip; and posts are seldom
        kinds = (plan["reach"] > 0) * 2 + (plan["post_width"] > 0)
        return [(kinds == kind).nonzero()[0] for kind in range(4)]

    def scene(self, plan: Plan, seconds: Tensor) -> render.Scene:
        camera = camera_path(plan, seconds)
        seen_from = camera if bool((plan["reach"] > 0).any()) else camera[:, :1]
        ground, post = _background(plan, seen_from, self.size)
        return render.Scene(ground=ground, pose=long_poses(plan, seconds, camera), camera=camera, post=post)


def long_plan(plan: Plan, u: np.ndarray, finest: np.ndarray) -> Plan:
    """A plan of the first world, with camera, post, ways through the picture, and the third texture."""
    pans = u[:, 0] < PANS
    motion = plan["motion_label"]
    # across the first object's way: 0 for left, right, sways; 1 for up, down, hops
    x_or_y = np.select([motion[:, 0] < 4, motion[:, 0] < 6], [motion[:, 0] // 2, motion[:, 0] - 4], u[:, 1] < 0.5)
    start = _crossing(plan["start"], motion, u[:, 2:5])
    side = np.where(u[:, 5] < 0.5, -1, 1)
    # away from where the first object begins, on the nearer side that is in the picture
    beside = np.take_along_axis(start[:, 0], x_or_y[:, None], 1)[:, 0]
    place = beside + side * (17 + 6 * u[:, 6])
    place = np.where((place < 7) | (place > 57), beside - side * (17 + 6 * u[:, 6]), place)
    return plan | {
        "start": start.astype(np.float32),
        "radius": plan["radius"] - 1,
        "reach": np.where(pans, REACH, 0).astype(np.float32),
        "course": (2 * math.pi * u[:, 7]).astype(np.float32),
        "camera_pace": 1.2 + 2 * u[:, 8],
        "margin": MARGIN + 10 * u[:, 9:11],
        "post_width": np.where(u[:, 11] < POSTS, 8 + 4 * u[:, 12], 0).astype(np.float32),
        "post_axis": x_or_y,
        "post_place": place.astype(np.float32),
        "post_tone": np.where(u[:, 13] < 0.5, 0.16 + 0.1 * u[:, 14], 0.84 - 0.1 * u[:, 14]).astype(np.float32),
        "finest_amount": 0.10 + 0.14 * u[:, 15],
        "finest": finest.reshape(-1, 1, FINEST, FINEST),
    }


def _crossing(start: np.ndarray, motion: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(B, 2, 2): half of the second objects stand in the way of a first that travels, at least 21 pixels from it."""
    step = np.zeros((len(motion), 2), np.float32)
    for name, direction in TRAVELS.items():
        step[motion[:, 0] == MOTIONS.index(name)] = direction
    way = step * (23 + 8 * u[:, 0:1]) + step[:, ::-1] * 6 * (u[:, 1:2] - 0.5)
    ahead, behind = start[:, 0] + way, start[:, 0] - way
    inside = ((ahead > 8) & (ahead < 56)).all(1, keepdims=True)
    second = np.clip(np.where(inside, ahead, behind), 6, 58)
    chosen = (u[:, 2] < 0.5) & (step != 0).any(1) & (motion[:, 1] >= 0)
    return np.stack([start[:, 0], np.where(chosen[:, None], second, start[:, 1])], 1)


def camera_path(plan: Plan, seconds: Tensor) -> Tensor:
    """(B, T, 2): the picture's corner in the world, to and fro along a line; zeros where the camera stands."""
    reach, course = plan["reach"][:, None], plan["course"][:, None]
    along = reach * render.triangle(plan["camera_pace"][:, None] * seconds / (4 * REACH))
    return torch.stack([along * course.cos(), along * course.sin()], -1)


def long_poses(plan: Plan, seconds: Tensor, camera: Tensor) -> dict[str, Tensor]:
    """Does what :func:`~artv.data.shapes_render.poses` does, for any length, and in the picture of a moving camera."""
    pose = render.poses(plan, seconds[:, None])
    travel = render.pace(plan) * seconds[:, None]
    grows = plan["motion_label"] == MOTIONS.index("grows")
    grown = plan["radius"][..., None] * (1 + 0.8 * (1 - torch.exp(-travel / 20)))
    edge = plan["margin"][..., None] + plan["reach"][:, None, None]
    for axis, key in enumerate("xy"):
        # beyond the margin on one side is beyond it on the other
        pose[key] = (pose[key] + edge) % (64 + 2 * edge) - edge - camera[:, None, :, axis]
    return pose | {"radius": torch.where(grows[..., None], grown, pose["radius"])}


def _background(plan: Plan, camera: Tensor, size: int) -> tuple[Tensor, Tensor | None]:
    """The picture without objects (B, T, 3, H, W), and what share of each pixel posts have (B, T, H, W), if any."""
    u, scale = plan["ground"], 64 / size
    line = (torch.arange(size, device=u.device) + 0.5) * scale
    x, y = line + camera[..., 0:1], line + camera[..., 1:2]
    base = torch.tensor(render.TINT_RGB, device=u.device)[plan["tint"]] + 0.12 * (u[:, 0:1] - 0.5)
    coarse, fine, finest = (_texture(plan[key] - 0.5, x, y) for key in ("coarse", "fine", "finest"))
    coarse = 0.7 * coarse.mean(2, keepdim=True) * 1.7 + 0.3 * coarse
    fine = 0.8 * fine.mean(2, keepdim=True) * 1.7 + 0.2 * fine
    noise = 0.40 * coarse + _each(0.12 + 0.22 * u[:, 7]) * fine + _each(plan["finest_amount"]) * finest
    amount = (0.03 + 0.09 * u[:, 4:7])[:, None, :, None, None]
    ground = (base[:, None, :, None, None] + noise + amount * _grating(u, x, y)).clamp(0.08, 0.92)
    return _with_post(ground, plan, x, y, scale) if bool((plan["post_width"] > 0).any()) else (ground, None)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None, None]


def _texture(grid_BCGG: Tensor, x_BTN: Tensor, y_BTN: Tensor) -> Tensor:
    """(B, T, C, N, N): a grid over the world as a continuous picture, Catmull-Rom, looked up at x and y.

    Along each axis a product with the spline's weights, so that it is as sharp wherever the camera stands.
    """
    G = grid_BCGG.shape[-1]
    across, down = (_weights(p, G) for p in (x_BTN, y_BTN))
    return torch.einsum("btyg,bcgk,btxk->btcyx", down, grid_BCGG, across)


def _weights(place_BTN: Tensor, G: int) -> Tensor:
    """(B, T, N, G): the cubic's (Keys 1981, a = −1/2) for grid points one outside of all that a camera can see."""
    at = 1 + (place_BTN + REACH) * ((G - 3) / (64 + 2 * REACH))
    t = (at[..., None] - torch.arange(G, device=at.device)).abs()
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0.0))


def _grating(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(B, T, 1, H, W): parallel waves."""
    angle, wave = math.pi * _each(u[:, 1])[..., 0], 7 + 11 * _each(u[:, 2])[..., 0]
    along = x[:, :, None, :] * angle.cos() + y[..., None] * angle.sin()
    return torch.sin(2 * math.pi * (along / wave + _each(u[:, 3])[..., 0]))[:, :, None]


def _with_post(ground: Tensor, plan: Plan, x: Tensor, y: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The post over the ground, through which some of the texture shows."""
    upright = (plan["post_axis"] == 0)[:, None, None]
    away = (torch.where(upright, x, y) - plan["post_place"][:, None, None]).abs()
    width = plan["post_width"][:, None, None]
    cover = (0.5 + (width / 2 - away) / scale).clamp(0, 1) * (width > 0)
    post = torch.where(upright[..., None], cover[:, :, None, :], cover[..., None])
    post = post.expand(*ground.shape[:2], *ground.shape[-2:])
    tone = 0.3 * ground + 0.7 * _each(plan["post_tone"])
    return torch.lerp(ground, tone, post[:, :, None]), post


WORLDS: dict[int, type[ShapesWorld]] = {1: ShapesWorld, 2: LongShapesWorld}
"""By number: that of the protocol card ``shapes@1``, ``shapes@2``, and of a training run's setting ``world``."""

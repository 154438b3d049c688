"""What a shapes world knows of a clip at every frame, drawn when asked for: nothing grows with the clip's length.

    truth = ShapesTruth(LongShapesWorld("test"), index=3)
    window = truth.window(100, 116)              # .background, .masks, .centre, .radius, .in_view, .seen, .camera

Shape suffixes: O objects (2), T frames, H W pixels.
"""

from dataclasses import dataclass

import numpy as np

from artv.data.shapes import ShapesWorld


@dataclass(frozen=True, kw_only=True)
class TruthWindow:
    """Some frames of a clip, pixels counted in a 64-pixel picture.

    ``frames`` and ``background`` (without objects) uint8 (T, H, W, 3); ``masks`` float32 (O, T, H, W), each object's
    visible share of a pixel; ``motion`` bool (T, H, W); ``centre`` (O, T, 2), x and y; ``radius``, ``in_view`` and
    ``seen`` (O, T); ``camera`` (T, 2). Of an object that the clip does not have: zeros.
    """

    frames: np.ndarray
    background: np.ndarray
    masks: np.ndarray
    motion: np.ndarray
    centre: np.ndarray
    radius: np.ndarray
    in_view: np.ndarray
    seen: np.ndarray
    camera: np.ndarray


@dataclass(frozen=True)
class ShapesTruth:
    """The clip ``index`` of a world."""

    world: ShapesWorld
    index: int

    def window(self, start: int, stop: int) -> TruthWindow:
        """Frames ``start`` to ``stop``; the motion region begins with the second of them."""
        world = self.world.of_length(stop - start)
        plan = world.plan(np.array([self.index], np.uint64)) | {"begin": np.array([start])}
        scene, layers = world.drawn(plan)
        there = (plan["colour"][0] >= 0)[:, None].astype(np.float32)
        ground = (scene.ground[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()
        pose = {key: value[0].numpy() * there for key, value in scene.pose.items()}
        return TruthWindow(
            frames=layers.frames[0].permute(0, 2, 3, 1).numpy(),
            background=np.broadcast_to(ground, (stop - start, *ground.shape[1:])),
            masks=layers.masks[0].numpy(),
            motion=layers.motion[0].numpy(),
            centre=np.stack([pose["x"], pose["y"]], -1),
            radius=pose["radius"],
            in_view=layers.in_view[0].numpy(),
            seen=layers.seen[0].numpy(),
            camera=scene.camera[0].numpy(),
        )

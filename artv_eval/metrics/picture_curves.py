"""Quantities of pictures, for any video: light, colour, sharpness, motion, and how like each other frames are.

Shape suffixes: T frames of a clip, t frames at a time, H W pixels, C colour channels, D features.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from artv_eval.api import ClipRequest, ClipSet
from artv_eval.features.base import TextImageExtractor
from artv_eval.metrics import drift
from artv_eval.metrics.clipsim import cosine_with
from artv_eval.metrics.curves import Measure, Quantity, simple
from artv_eval.metrics.device_pictures import APART, LOOP_GAP, LUMA, MEASURES, SAME, THUMBNAIL
from artv_eval.metrics.frame_features import by_features, features_measure
from artv_eval.metrics.views import View
from artv_eval.metrics.warping import Flow


def _torch(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)[None]


def _apart(some_HWC: np.ndarray, others_HWC: np.ndarray) -> np.ndarray:
    """|difference| as bytes."""
    return np.maximum(some_HWC, others_HWC) - np.minimum(some_HWC, others_HWC)


def _mean_colours(frames_tHWC: np.ndarray) -> np.ndarray:
    """(t, C) float64: exact, and many times as fast along rows as over both sides at once."""
    t, H, W, C = frames_tHWC.shape
    return frames_tHWC.reshape(t, H, W * C).sum(1, dtype=np.uint32).reshape(t, W, C).sum(1) / (H * W)


def _relative(name: str) -> Quantity:
    """One of :data:`artv_eval.metrics.drift.CURVES` relative to frame 0, as ``sharpness_drift`` has it."""
    measure = drift.CURVES[name]

    def of(view: View) -> np.ndarray:
        value = measure(_torch(view.frames))[0].numpy()
        return value / max(float(measure(_torch(view.opening[None]))[0, 0]), 1e-3)

    return simple(name, of)


def change(view: View) -> np.ndarray:
    """Median over pixels of |frame − frame 0|, grey levels: what ``drift`` takes the slope of."""
    return drift.change_from_first(_torch(view.frames), _torch(view.opening[None]))[0].numpy()


def change_mean(view: View) -> np.ndarray:
    """Mean over pixels of |frame − frame 0|, grey levels: also sees what changes in a small place."""
    return _mean_colours(_apart(view.frames, view.opening)).mean(1)


def exposure(view: View) -> np.ndarray:
    """Mean luma (BT.601), grey levels."""
    return _mean_colours(view.frames) @ np.array(LUMA)


def colour(view: View) -> np.ndarray:
    """Distance of the frame's mean colour from frame 0's, grey levels (Euclidean in RGB)."""
    return np.linalg.norm(_mean_colours(view.frames) - _mean_colours(view.opening[None]), axis=1)


def motion(view: View) -> np.ndarray:
    """Mean over pixels of |frame − frame before|, grey levels; 0 in frame 0."""
    x = view.with_before
    return _mean_colours(_apart(x[1:], x[:-1])).mean(1)


def frozen(view: View) -> np.ndarray:
    """1 where a frame is the one before it, within a quarter of a grey level on average; NaN in frame 0."""
    still = (motion(view) < 0.25).astype(np.float64)
    return np.where(np.arange(view.start, view.start + len(still)) == 0, np.nan, still)


def thumbnails(frames: np.ndarray) -> np.ndarray:
    """(t, D) float32: small pictures of the frames, by which whole clips can be remembered."""
    t, H, W, C = frames.shape
    rows, tall = _blocks(frames.reshape(t, H, W * C), H)
    cells, wide = _blocks(rows.reshape(t, THUMBNAIL, W, C).swapaxes(1, 2), W)
    return (cells / (wide[:, None, None] * tall[:, None])).reshape(t, -1).astype(np.float32)


def _blocks(x: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of 16 stretches of axis 1, as equal as whole pixels allow, and how long each is."""
    i = np.arange(THUMBNAIL)
    start, end = i * length // THUMBNAIL, -(-(i + 1) * length // THUMBNAIL)
    if length < THUMBNAIL:  # several stretches end where x does, which is no place in it
        x = np.concatenate([x, np.zeros_like(x[:, :1])], 1)
    places = np.stack([start, end], 1).ravel()[:-1]  # every second sum is of what lies between two stretches
    return np.add.reduceat(x, places, axis=1, dtype=np.uint32)[:, ::2], end - start


def _distances(seen_tD: np.ndarray, now_D: np.ndarray) -> np.ndarray:
    """(t,): mean |difference|, some rows at a time: what it takes does not grow with the clip."""
    some = [np.abs(seen_tD[start : start + 256] - now_D).mean(1) for start in range(0, len(seen_tD), 256)]
    return np.concatenate(some) if some else np.empty(0, np.float32)


def _loops(request: ClipRequest) -> Measure:
    seen = np.empty((request.num_frames, 3 * THUMBNAIL**2), np.float32)

    def measure(view: View) -> np.ndarray:
        found = np.zeros(len(view.frames))
        seen[view.start : view.start + len(found)] = thumbnails(view.frames)
        for k, t in enumerate(range(view.start, view.start + len(found))):
            distance = _distances(seen[:t], seen[t])
            back = np.flatnonzero(distance[: max(t - LOOP_GAP, 0)] < SAME)
            found[k] = len(back) > 0 and distance[back[-1] :].max() > APART
        return found

    return measure


loops = Quantity(name="loops", digest="loops-1", begin=_loops, higher_is_better=False)
"""1 where a frame shows again what was seen at least 8 frames ago, and something else was seen in between."""


def consistency(encoder: TextImageExtractor, distance: int | None = None) -> Quantity:
    """Cosine of every frame's features with those of frame 0, or of ``distance`` frames before (NaN until then)."""

    def similar(requests: Sequence[ClipRequest], image_BTD: torch.Tensor) -> torch.Tensor:
        if distance is None:
            return cosine_with(image_BTD, image_BTD[:, :1])
        known = cosine_with(image_BTD[:, distance:], image_BTD[:, :-distance])
        return torch.nn.functional.pad(known, (min(distance, image_BTD.shape[1]), 0), value=torch.nan)

    def of_set(clips: ClipSet) -> np.ndarray:
        return by_features(encoder, clips, similar)

    name = "consistency" if distance is None else f"consistency_{distance}"
    digest = f"{name}-{encoder.name}-{encoder.digest}-1"
    return Quantity(
        name=name,
        digest=digest,
        of_set=of_set,
        encoder=encoder,
        higher_is_better=True,
        on_device=features_measure(encoder, similar),
    )


FLOWS = 4  # pairs of frames at once


def flow(estimate: Flow, name: str = "flow") -> Quantity:
    """Mean length of the optical flow from the frame before, pixels; NaN in frame 0.

    ``estimate``: :class:`artv_eval.metrics.warping.Raft` or :class:`artv_eval.metrics.lucas_kanade.LucasKanade`.
    """

    def measure(view: View) -> np.ndarray:
        x = _torch(view.with_before)[0].float()
        pairs = zip(x[:-1].split(FLOWS), x[1:].split(FLOWS), strict=True)
        found = [_lengths(estimate(before, after)) for before, after in pairs]
        lengths = torch.cat(found).double().numpy()
        return np.where(np.arange(view.start, view.start + len(lengths)) == 0, np.nan, lengths)

    return Quantity(name=name, digest=f"flow-{getattr(estimate, 'digest', '1')}-1", begin=lambda request: measure)


def _lengths(flow_B2HW: torch.Tensor) -> torch.Tensor:
    return flow_B2HW.norm(dim=1).mean((1, 2))


QUANTITIES = {
    quantity.name: replace(quantity, on_device=MEASURES[quantity.name])
    for quantity in (
        simple("change", change, False),
        simple("change_mean", change_mean, False),
        *(_relative(name) for name in ("sharpness", "contrast", "saturation")),
        simple("exposure", exposure),
        simple("colour", colour, False),
        simple("motion", motion),
        simple("frozen", frozen, False),
        loops,
    )
}

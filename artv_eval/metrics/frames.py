"""Metrics of frames: distance to the ground truth (PSNR, SSIM, LPIPS), FID of frames, and flicker.

Shape suffixes: B clips, T frames, C channels, H W pixels, n clips, D features, N pictures, R resamples.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from artv.errors import UserError, closest
from artv.files import regular
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.features.base import TextImageExtractor
from artv_eval.features.precision import inference
from artv_eval.features.weights import find
from artv_eval.metrics.base import MeanEvaluator, SetEvaluator, mean_over_frames, to_BTCHW
from artv_eval.metrics.device_pictures import MEASURES
from artv_eval.metrics.drift import median_difference
from artv_eval.metrics.frame_features import by_features, features_measure
from artv_eval.metrics.frechet import FrechetResampler, each, frechet_from_features
from artv_eval.metrics.views import Together, by_frame

PSNR_CAP = 100.0  # of equal frames, whose PSNR is infinite

SSIM_WINDOW = 11  # pixels a side, of SSIM

VERSIONS = {"ssim": "2"}
"""Changes whenever a measure gives other values than before: part of the digest."""

Similarity = Callable[[Tensor, Tensor], Tensor]


def psnr(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """(N,) dB of pictures 0 … 255, at most 100."""
    from torchmetrics.functional.image import peak_signal_noise_ratio  # slow to import

    value = peak_signal_noise_ratio(x_NCHW, y_NCHW, data_range=255.0, reduction="none", dim=(1, 2, 3))
    return value.clamp(max=PSNR_CAP)


def ssim(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """(N,) of pictures 0 … 255 (Wang et al. 2004, section III.C; Gaussian window of 11 pixels), mean over channels.

    Over windows that lie inside the picture, as in Wang's program; torchmetrics' mean includes reflected borders.

    Raises:
        UserError: a picture that no window fits into.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure  # slow to import

    if min(x_NCHW.shape[-2:]) < SSIM_WINDOW:
        raise UserError(f"SSIM's window has {SSIM_WINDOW} pixels a side and the pictures {tuple(x_NCHW.shape[-2:])}")
    _, map_NCHW = structural_similarity_index_measure(
        x_NCHW, y_NCHW, data_range=255.0, reduction="none", return_full_image=True
    )
    edge = SSIM_WINDOW // 2
    return map_NCHW[..., edge:-edge, edge:-edge].mean((1, 2, 3))


class Lpips:
    """LPIPS with AlexNet (Zhang et al. 2018) of torchmetrics, on weights that are there: downloads nothing.

    Args:
        weights: torchvision's AlexNet file, by default where ``doctor`` says.
        device: where it runs.
    """

    def __init__(self, weights: str | None = None, device: str = "cpu"):
        path, self.digest = find("lpips-alex", weights)
        from torchmetrics.functional.image.lpips import _NoTrainLpips  # slow to import

        self.network = _NoTrainLpips(net="alex", pnet_rand=True)
        state = torch.load(regular(path), map_location="cpu", weights_only=True)
        places = {"slice1.0": 0, "slice2.3": 3, "slice3.6": 6, "slice4.8": 8, "slice5.10": 10}
        named = {f"{ours}.{p}": state[f"features.{k}.{p}"] for ours, k in places.items() for p in ("weight", "bias")}
        self.network.net.load_state_dict(named)
        self.network.to(device).eval()
        self.device = device

    @inference()
    def __call__(self, x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
        """(N,) of pictures 0 … 255; 0 = equal."""
        x, y = (z.to(self.device).float() / 127.5 - 1 for z in (x_NCHW, y_NCHW))
        return self.network(x, y).flatten().cpu()


HIGHER = {"psnr": True, "ssim": True, "lpips": False}


def similarity(name: str, weights: str | None = None, device: str = "cpu") -> Similarity:
    """``psnr``, ``ssim`` or ``lpips`` as a function of two batches of pictures."""
    if name not in HIGHER:
        raise UserError(f"frame similarity is {name!r}; {closest(name, HIGHER)}")
    return Lpips(weights, device) if name == "lpips" else {"psnr": psnr, "ssim": ssim}[name]


def similarity_curve(measure: Similarity, clips_BTCHW: Tensor, truth_BTCHW: Tensor) -> Tensor:
    """(B, T): similarity of every frame to that of the ground truth."""
    if clips_BTCHW.shape != truth_BTCHW.shape:
        raise UserError(
            f"clips {tuple(clips_BTCHW.shape)} and their ground truth {tuple(truth_BTCHW.shape)} differ in size"
        )
    value_N = measure(clips_BTCHW.flatten(0, 1).float(), truth_BTCHW.flatten(0, 1).float())
    return value_N.unflatten(0, clips_BTCHW.shape[:2])


class FrameSimilarityEvaluator(MeanEvaluator):
    """PSNR, SSIM or LPIPS in the harness; rows are curves over the frame index (n, T).

    The first frame is left out of the mean: where it is given, it is a copy.
    """

    needs = frozenset({"real"})
    in_parts = True

    def __init__(self, name: str = "psnr", measure: Similarity | None = None):
        self.name, self.measure, self.higher_is_better = name, measure or similarity(name), HIGHER.get(name)
        self.digest = f"frames-{name}-{getattr(self.measure, 'digest', VERSIONS.get(name, '1'))}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T): similarity to the ground truth."""
        return by_frame(clips, self._some)

    def _some(self, view: Together) -> Tensor:
        frames, truths = view.frames_BTCHW, [r.real for r in view.requests if r.real is not None]
        if len(truths) < len(view.requests):
            raise self.lacks("the ground truth")
        if (odd := next((len(truth) for truth in truths if len(truth) != view.length), None)) is not None:
            raise UserError(f"clips of {view.length} frames and their ground truth of {odd} differ in size")
        part = slice(view.start, view.start + frames.shape[1])
        return similarity_curve(self.measure, frames, to_BTCHW([truth[part] for truth in truths]))

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): mean over frames after the first."""
        return mean_over_frames(rows[:, 1:])

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T,): mean over clips."""
        return rows.mean(0)


def flicker_curve(clips_BTCHW: Tensor) -> Tensor:
    """(B, T − 1): median over pixels of |frame_t − frame_{t−1}|, grey levels.

    VBench takes the mean over pixels of clips chosen for standing still; the median lets an object move.
    """
    if clips_BTCHW.shape[1] == 1:  # quantile takes nothing empty
        return clips_BTCHW.new_empty(len(clips_BTCHW), 0, dtype=torch.float32)
    return median_difference(clips_BTCHW[:, 1:], clips_BTCHW[:, :-1])


class FlickerEvaluator(MeanEvaluator):
    """Temporal flicker in the harness; rows are curves (n, T − 1)."""

    name, digest, higher_is_better, in_parts = "flicker", "flicker-1", False, True
    on_device = MEASURES["flicker"]

    def __init__(self, device: str = "cpu"):
        self.device = device

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T − 1): change from each frame to the next."""
        return by_frame(clips, lambda view: flicker_curve(view.pairs_BTCHW.to(self.device)), device=self.device)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): mean over time."""
        return mean_over_frames(rows)

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T − 1,): mean over clips."""
        return rows.mean(0)


class FrameFidEvaluator(SetEvaluator):
    """FID of frames (Heusel et al. 2017) in the harness; rows are the features of all frames, (n, T·D).

    Resampling takes whole clips, since frames of one clip are not independent.

    Args:
        encoder: gives features of pictures.
        ddof: 1 divides covariances by n − 1, 0 by n.
    """

    higher_is_better, in_parts = False, True

    def __init__(self, encoder: TextImageExtractor, *, name: str = "frame_fid", ddof: int = 1):
        self.encoder = self.clip = encoder
        self.name, self.ddof = name, ddof
        self.digest = f"frames-{encoder.name}-{encoder.digest}"
        self.on_device = features_measure(encoder, self._some)

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T·D) float32."""
        return by_features(self.encoder, clips, self._some)

    def _some(self, requests: Sequence[ClipRequest], image_BTD: Tensor) -> Tensor:
        return image_BTD.flatten(1)

    def _frames(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, self.encoder.dim)

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int]:
        """The same as of FVD, over frames."""
        return len(self._frames(rows)), "frames", self.encoder.dim

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Fréchet distance over frames."""
        return frechet_from_features(self._frames(rows), self._frames(self.reference(reference)), self.ddof)

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled clips with all their frames."""
        distance = FrechetResampler(self._frames(rows), self._frames(self.reference(reference)), self.ddof)
        T = rows.shape[1] // self.encoder.dim
        return each(distance, [(index[:, None] * T + np.arange(T)).ravel() for index in index_Rn])

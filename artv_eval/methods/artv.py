"""ART-V itself as a method of the harness.

Shape legend: T frames, H W pixels, h w mask cells, B clips, S sampling steps.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

from artv.devices import at_most, cores
from artv.errors import WorkFailed
from artv.masks import some_steps
from artv.presets import DEFAULTS
from artv.requests import MOST_STEPS, check_count
from artv_eval.api import ClipRequest, FailedClip, GeneratedClip, NextFrames
from artv_eval.extras import SettingExtras, optional
from artv_eval.methods import checkpoints


class ArtV:
    """ART-V: ``artv.ArtVPipeline``, loaded once a process for each checkpoint.

    Args:
        checkpoint: a preset (``shapes``), a twin of it (``shapes:no-mask``), a folder or a hub id.
        sampler: how the reverse process is solved.
        steps: sampling steps; None for the preset's.
        guidance: how the conditions are weighed; None for the preset's.
        anchor: which frame is the anchor.
        mask: rule that the predicted mask goes through; None: as predicted. Without a mask there is nothing to change.
        ref_noise: distribution of the noise level put on the reference frames; None for the preset's.
        acceleration: approximation that samples with less work; None: exact.
        use_mask: False turns the mask off in a model trained with it, which is not the twin trained without.
        first_frame: makes the first frame where the protocol gives none; None: the model itself does.
        device: where it runs.
        progress: whether a bar shows the steps of a batch.
    """

    warmed_devices = ("cuda",)
    """Where the first batch is made ahead in small, so that no clip's seconds hold compilers and recorded graphs."""

    def __init__(
        self,
        checkpoint: str = "shapes",
        *,
        sampler: str | Callable[..., Any] = "dpmpp_2s_ancestral",
        steps: int | None = None,
        guidance: Any = None,
        anchor: Any = "first",
        mask: Any = None,
        ref_noise: Any = None,
        acceleration: Any = None,
        use_mask: bool = True,
        first_frame: Callable[..., np.ndarray] | None = None,
        device: str = "cpu",
        progress: bool = False,
    ) -> None:
        check_count("artv.steps", steps, most=MOST_STEPS)
        self.checkpoint, self.device, self.first_frame = checkpoint, device, first_frame
        self.settings = {
            "sampler": sampler,
            "steps": steps,
            "guidance": guidance,
            "anchor": anchor,
            "mask": mask,
            "ref_noise": ref_noise,
            "acceleration": acceleration,
            "use_mask": use_mask,
            "progress": progress,
        }
        self._warm = False

    @staticmethod
    def defaults(preset: str) -> dict[str, Any]:
        """Setting → what None stands for. A guidance rule starts from the scales there; ``joint`` has another one."""
        chosen = DEFAULTS[preset]
        scales = vars(chosen.guidance)
        return {
            "steps": chosen.steps,
            "guidance": {"name": "three_term", **scales},
            "joint": {"scale": scales["text"]},
            "ref_noise": chosen.ref_noise,
        }

    def unavailable(self) -> str | None:
        """Why the weights are not here, or None."""
        return checkpoints.unavailable(self.checkpoint)

    def digest(self) -> str:
        """Digest of the weights and configurations, and of the files that components in the settings read."""
        parts = [optional(part, SettingExtras, "digest")() for part in (self.first_frame, *self.settings.values())]
        return "-".join([checkpoints.digest(self.checkpoint), *filter(None, parts)])

    def preset(self) -> str:
        """``shapes`` or ``paper``, by the size of the model."""
        return checkpoints.preset(self.checkpoint)

    def conditions(self) -> dict[str, Any]:
        """For the speed card."""
        parameters = load_pipeline(self.checkpoint, self.device).model.parameters()
        steps = self.settings["steps"] or DEFAULTS[self.preset()].steps
        return {"precision": str(next(parameters).dtype).removeprefix("torch."), "steps": steps, "given_frames": 1}

    def decoder(self) -> tuple[Any, str]:
        """The autoencoder's."""
        return load_pipeline(self.checkpoint, self.device).autoencoder, "decode"

    def generate(self, requests: Sequence[ClipRequest]) -> list[GeneratedClip | FailedClip]:
        """All requests in one batch; they share the protocol's size and differ in prompt, first frame and seed.

        A clip whose latent does not stay finite is a :class:`FailedClip`; the others are what they would be without it.
        """
        if len(requests) == 1 and self.device == "cpu":
            # a batch of one takes other products, which round otherwise: it would be another clip by a grey level
            return self.generate([*requests, *requests])[:1]
        pipe, images = self._ready(requests)
        started = time.perf_counter()
        try:
            with at_most(self._threads()):
                result = self._make(pipe, requests, images)
        except WorkFailed as error:  # not one came out
            return [FailedClip(str(error))] * len(requests)
        seconds = (time.perf_counter() - started) / len(requests)
        clips: list[GeneratedClip | FailedClip] = []
        masks_BSThw = [None] * len(requests) if result.masks is None else result.masks
        for b, (frames, mask_SThw) in enumerate(zip(result.frames, masks_BSThw, strict=True)):
            if b in result.failures:
                clips.append(FailedClip(result.failures[b]))
                continue
            if mask_SThw is None:
                clips.append(GeneratedClip(frames, seconds=seconds))
                continue
            mask_SThw = mask_SThw[:, -(len(frames) - 1) :]  # without the first frame, where the model made that too
            steps = (mask_SThw[some_steps(len(mask_SThw))] * 255).round().astype(np.uint8)
            clips.append(GeneratedClip(frames, mask_SThw.mean(0, dtype=np.float32), seconds, steps))
        return clips

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames]:
        """The same, frame by frame."""
        twice = len(requests) == 1 and self.device == "cpu"  # as in generate
        made = [*requests, *requests] if twice else list(requests)
        pipe, images = self._ready(made)
        return self._streamed(pipe.stream, made, images, len(requests))

    def _streamed(self, make: Any, made: list[ClipRequest], images: Any, kept: int) -> Iterator[NextFrames]:
        frames = make([request.prompt for request in made], image=images, details=True, **self._call(made))
        while True:
            with at_most(self._threads()):
                frame = next(frames, None)
            if frame is None:
                return
            mask = None if frame.masks is None else frame.masks.mean(1, dtype=np.float32)[:kept, None]
            failed = {b: why for b, why in frame.failures.items() if b < kept}
            yield NextFrames(frame.images[:kept, None], mask, failed)

    def _threads(self) -> int:
        """One on a CPU: how many there are changes how sums are rounded, and executors share the cores in many ways.

        More would gain the small model little; the large one is not made on a CPU for its bits.
        """
        return 1 if self.device == "cpu" and self.preset() == "shapes" else cores()

    def _ready(self, requests: Sequence[ClipRequest]) -> tuple[Any, Any]:
        """The pipeline, which has made something on devices that want it, and the first frames."""
        pipe, images = load_pipeline(self.checkpoint, self.device), self._images(requests)
        if not self._warm and self.device.partition(":")[0] in self.warmed_devices:
            steps = min(self.settings["steps"] or 4, 4)
            with suppress(WorkFailed):  # in earnest it may not
                self._make(pipe, requests, images, num_frames=2, steps=steps, progress=False)
        self._warm = True
        return pipe, images

    def _make(self, pipe: Any, requests: Sequence[ClipRequest], images: Any, **other: Any) -> Any:
        prompts = [request.prompt for request in requests]
        return pipe(prompts, image=images, return_masks=True, **{**self._call(requests), **other})

    def _call(self, requests: Sequence[ClipRequest]) -> dict[str, Any]:
        """What the pipeline is called with beside prompts and pictures."""
        size = requests[0]
        shape = {"num_frames": size.num_frames, "height": size.height, "width": size.width}
        return {**shape, "seed": [request.seed for request in requests], **self.settings}

    def _images(self, requests: Sequence[ClipRequest]) -> list[np.ndarray] | None:
        given = [request.first_frame for request in requests if request.first_frame is not None]
        if len(given) == len(requests):
            return given
        if self.first_frame is None:
            return None
        size, prompts = requests[0], [request.prompt for request in requests]
        return list(self.first_frame(prompts, size.height, size.width, [request.seed for request in requests]))


@lru_cache(maxsize=1)
def load_pipeline(checkpoint: str, device: str) -> Any:
    """The pipeline of a checkpoint; only the last one is kept, for two may not fit in memory."""
    from artv import ArtVPipeline

    return ArtVPipeline.from_pretrained(checkpoint).to(device)

"""The built-in methods: ART-V itself, and trivial ones that show which metric sees which flaw.

Shape legend: T frames, H W pixels, h w mask cells, B clips, S sampling steps.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError, WorkFailed
from artv_eval import checkpoints
from artv_eval.api import ClipRequest, FailedClip, GeneratedClip

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


class Real:
    """The ground-truth clips: perfect in every respect. Its FVD is the floor at this number of clips."""

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The real clip of each request."""
        return (GeneratedClip(_real(request)) for request in requests)


class CopyFirst:
    """The first frame, still: perfect appearance, no motion."""

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The first frame repeated."""
        for request in requests:
            first = request.first_frame if request.first_frame is not None else _real(request)[0]
            yield GeneratedClip(np.repeat(first[None], request.num_frames, axis=0))


class WrongPrompt:
    """Real clips dealt to other captions by a derangement: perfect video, wrong text.

    Neighbours change places, so that a clip does not depend on how many there are; the last of an odd number gets the
    first clip.
    """

    def __init__(self) -> None:
        self._requests: Sequence[ClipRequest] = ()
        self._dealt: dict[int, int] = {}

    def prepare(self, requests: Sequence[ClipRequest]) -> None:
        """Learns all requests of the run."""
        if len(requests) < 2:
            raise UserError("method 'wrong-prompt' needs at least 2 videos to exchange; raise --num-videos")
        self._requests = requests
        others = [i ^ 1 if i ^ 1 < len(requests) else 0 for i in range(len(requests))]
        self._dealt = {request.index: other for request, other in zip(requests, others, strict=True)}

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The real clip of another request."""
        return (GeneratedClip(_real(self._requests[self._dealt[request.index]])) for request in requests)


class Folder:
    """Clips of any model, made elsewhere: ``<index>.mp4``, or the video files of a folder in the order of their names.

    Args:
        path: the folder.
        reader: decodes the files.
    """

    def __init__(self, path: str, *, reader: str | Callable[..., Any] = "decord") -> None:
        self.path, self.reader = Path(path), reader
        if not self.path.is_dir():
            raise UserError(f"folder {path!r} does not exist; give a folder with video files ({', '.join(VIDEOS)})")
        self.files = sorted(file for file in self.path.iterdir() if file.suffix.lower() in VIDEOS and not file.is_dir())
        if not self.files:
            raise UserError(f"folder {path!r} holds no video files ({', '.join(VIDEOS)})")

    def digest(self) -> str:
        """Of the files' names, sizes and times of change."""
        sha = hashlib.sha256()
        for file in self.files:
            sha.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
        return sha.hexdigest()[:16]

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The first T frames of each request's file at the protocol's rate; the size must be the protocol's."""
        return (GeneratedClip(self._read(self._file(request.index), request)) for request in requests)

    def _read(self, file: Path, request: ClipRequest) -> np.ndarray:
        from artv.data.readers import reader_of, resample_indices

        reader = reader_of(file, self.reader) if isinstance(self.reader, str) else self.reader
        try:
            video = reader(file)
            indices = resample_indices(len(video), video.fps, request.fps)[: request.num_frames]
            if len(indices) == request.num_frames:
                return video.frames(indices)
        except Exception as error:
            raise UserError(f"video {file} cannot be read: {' '.join(str(error).split())[:200]}") from None
        raise UserError(
            f"video {file} has {len(indices)} frames at {request.fps:g} fps; the protocol asks for {request.num_frames}"
        )

    def _file(self, index: int) -> Path:
        named = {int(file.stem): file for file in self.files if file.stem.isdecimal()}
        if len(named) == len(self.files):
            if index not in named:
                raise UserError(f"folder {str(self.path)!r} holds no video {index}; lower --num-videos, or add it")
            return named[index]
        if index >= len(self.files):
            raise UserError(
                f"folder {str(self.path)!r} holds {len(self.files)} videos; the protocol asks for more: lower "
                "--num-videos"
            )
        return self.files[index]


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
        if steps is not None and steps < 1:
            raise UserError(f"artv.steps is {steps}; it must be at least 1")
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

    def unavailable(self) -> str | None:
        """Why the weights are not here, or None."""
        return checkpoints.unavailable(self.checkpoint)

    def digest(self) -> str:
        """Of the weights and configurations, and of the files that components in the settings read."""
        parts = [part.digest() for part in (self.first_frame, *self.settings.values()) if hasattr(part, "digest")]
        return "-".join([checkpoints.digest(self.checkpoint), *parts])

    def preset(self) -> str:
        """``shapes`` or ``paper``, by the size of the model."""
        return checkpoints.preset(self.checkpoint)

    def generate(self, requests: Sequence[ClipRequest]) -> list[GeneratedClip | FailedClip]:
        """All requests in one batch; they share the protocol's size and differ in prompt, first frame and seed.

        A clip whose latent does not stay finite is a :class:`FailedClip`; the others are what they would be without it.
        """
        pipe, images = load_pipeline(self.checkpoint, self.device), self._images(requests)
        if not self._warm and self.device.partition(":")[0] in self.warmed_devices:
            steps = min(self.settings["steps"] or 4, 4)
            with suppress(WorkFailed):  # in earnest it may not
                self._make(pipe, requests, images, num_frames=2, steps=steps, progress=False)
        self._warm = True
        started = time.perf_counter()
        try:
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
            mask = None if mask_SThw is None else mask_SThw.mean(0, dtype=np.float32)[-(len(frames) - 1) :]
            clips.append(GeneratedClip(frames, mask, seconds))
        return clips

    def _make(self, pipe: Any, requests: Sequence[ClipRequest], images: Any, **other: Any) -> Any:
        size = requests[0]
        settings = {"num_frames": size.num_frames, "height": size.height, "width": size.width, **self.settings, **other}
        prompts, seeds = [request.prompt for request in requests], [request.seed for request in requests]
        return pipe(prompts, image=images, seed=seeds, return_masks=True, **settings)

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


def _real(request: ClipRequest) -> np.ndarray:
    if request.real is None:
        raise UserError(f"the protocol has no real clip for request {request.index}; leave the real methods out")
    return request.real

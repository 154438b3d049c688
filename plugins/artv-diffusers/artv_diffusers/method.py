"""Any diffusers video pipeline as a method: its call arguments mapped, its clips brought to the protocol's size.

Shape legend: T frames, H W pixels.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from artv.errors import UserError, closest
from artv.progress import progress_bar
from artv_diffusers import weights
from artv_diffusers.chunks import makes_windows, windows
from artv_eval import ClipRequest, GeneratedClip
from artv_eval.api import NextFrames

NAMES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt",),
    "image": ("image",),
    "num_frames": ("num_frames", "video_length", "frames"),
    "height": ("height",),
    "width": ("width",),
    "steps": ("num_inference_steps",),
    "fps": ("target_fps", "frame_rate", "fps"),
    "generator": ("generator",),
    "output_type": ("output_type",),
}
"""What we have → the names that pipelines call it by, the first that is there."""
STRIDES = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio")


class DiffusersVideo:
    """A text-to-video or image-to-video pipeline. Every request is made alone, from its own seed.

    Args:
        source: hub id (whose files must be in the local cache) or folder.
        revision, variant: as diffusers has them.
        dtype: float32, float16 or bfloat16; None: float16 on a GPU, else float32.
        steps: sampling steps; None for the pipeline's default.
        height, width, num_frames: what the pipeline is asked for; None for the protocol's (frames: for as many more as
            its autoencoder insists on). Clips are scaled to the protocol's size, and its first frames are taken.
        arguments: further arguments of the pipeline's call, which win over the mapped ones.
        use_safetensors: False also reads pickled weights, which can run code.
        offload: keeps what is not needed on the CPU: true or ``model``, a network at a time; ``sequential``, a layer
            at a time, which is far slower and takes the least memory.
        vae_slicing, vae_tiling: decodes clip by clip, and in overlapping tiles: less memory, and with tiles other
            pixels.
        first_frame: makes the first frame for image-to-video pipelines where the protocol gives none.
        device: where it runs.
        progress: shows sampling steps, of pipelines that tell them.
    """

    def __init__(
        self,
        source: str,
        *,
        revision: str | None = None,
        variant: str | None = None,
        dtype: str | None = None,
        steps: int | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        arguments: dict[str, Any] | None = None,
        use_safetensors: bool = True,
        offload: bool | str = False,
        vae_slicing: bool = False,
        vae_tiling: bool = False,
        first_frame: Callable[..., np.ndarray] | None = None,
        device: str = "cpu",
        progress: bool = False,
    ) -> None:
        self.source, self.revision, self.arguments = source, revision, dict(arguments or {})
        self.asked = {"height": height, "width": width, "num_frames": num_frames, "steps": steps}
        self.first_frame, self.progress = first_frame, progress
        self._loading = (source, revision, variant, dtype, use_safetensors, offload, device, vae_slicing, vae_tiling)

    def unavailable(self) -> str | None:
        """How to fetch the weights, or None if they are here."""
        reason = weights.unavailable(self.source, self.revision)
        if reason is None:
            weights.class_name(self.source, self.revision)
        return reason

    def digest(self) -> str:
        """Digest of the weights."""
        return weights.digest(self.source, self.revision)

    def conditions(self) -> dict[str, Any]:
        """For the speed card."""
        pipe = weights.load(*self._loading)
        default = inspect.signature(pipe.__call__).parameters.get("num_inference_steps")
        return {
            "precision": str(pipe.dtype).removeprefix("torch."),
            "steps": self.asked["steps"] or (default.default if default else None),
        }

    def decoder(self) -> tuple[Any, str] | None:
        """The autoencoder's, where it has one that decodes at once."""
        vae = getattr(weights.load(*self._loading), "vae", None)
        return None if vae is None else (vae, "decode")

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """One clip a request."""
        pipe = weights.load(*self._loading)
        for request in requests:
            with _own_noise(request.seed), self._steps(pipe, self.call_arguments(pipe, request)) as arguments:
                frames = np.asarray(_called(pipe, arguments).frames[0])
            yield GeneratedClip(fit(to_uint8(frames), request, self.source))

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames] | None:
        """The same window by window, of a pipeline that makes them (``overlap_history``) and one request."""
        if len(requests) > 1:
            return None
        pipe = weights.load(*self._loading)
        arguments = self.call_arguments(pipe, requests[0])
        return self._streamed(pipe, arguments, requests[0]) if makes_windows(pipe, arguments) else None

    def _streamed(self, pipe: Any, arguments: Mapping[str, Any], request: ClipRequest) -> Iterator[NextFrames]:
        left = request.num_frames
        with _own_noise(request.seed):
            for frames in windows(pipe, arguments):
                some = to_uint8(frames[:left])
                left -= len(some)
                if len(some):
                    yield NextFrames(fit(some, replace(request, num_frames=len(some)), self.source)[None])

    @contextmanager
    def _steps(self, pipe: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The arguments, with a callback that shows steps where the pipeline has one."""
        parameters = inspect.signature(pipe.__call__).parameters
        name = next((n for n in ("callback_on_step_end", "callback") if n in parameters), None)
        total = arguments.get("num_inference_steps") or self.conditions()["steps"]
        if not (self.progress and name and total) or name in arguments:
            yield arguments
            return
        with progress_bar(f"steps of {type(pipe).__name__}", total=total) as bar:

            def on_step_end(its: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
                bar.update(step + 1)
                return given

            def callback(step: int, t: Any, latents: Any) -> None:
                bar.update(step + 1)

            yield {**arguments, name: on_step_end if name == "callback_on_step_end" else callback}

    def call_arguments(self, pipe: Any, request: ClipRequest) -> dict[str, Any]:
        """The arguments of the pipeline's call for one request.

        Raises:
            UserError: an argument that the pipeline has not, or one that it needs and nobody gives.
        """
        import torch

        parameters = inspect.signature(pipe.__call__).parameters
        unknown = [name for name in self.arguments if name not in parameters]
        if unknown:
            raise UserError(f"{type(pipe).__name__} has no argument {unknown[0]!r}; {closest(unknown[0], parameters)}")
        have: dict[str, Any] = {
            "prompt": request.prompt,
            "num_frames": self.asked["num_frames"] or enough_frames(pipe, request.num_frames),
            "height": self.asked["height"] or request.height,
            "width": self.asked["width"] or request.width,
            "steps": self.asked["steps"],
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "output_type": "np",
        }
        # the rate is a condition of the model: it is passed only where leaving it out is not possible
        have["fps"] = round(request.fps) if _required(parameters, NAMES["fps"]) else None
        if "image" in parameters:
            have["image"] = self._image(request, have["width"], have["height"])
        mapped = _mapped(have, parameters) | self.arguments
        missing = [
            name
            for name, parameter in parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            and name not in mapped
        ]
        if missing:
            raise UserError(
                f"{type(pipe).__name__} needs the argument {missing[0]!r}; give it with --set "
                f"'diffusers.arguments={{{missing[0]}: …}}'"
            )
        return mapped

    def _image(self, request: ClipRequest, width: int, height: int) -> Image.Image:
        frame = request.first_frame
        if frame is None:
            if self.first_frame is None:
                raise UserError(
                    f"{self.source} starts from an image and the protocol gives none; choose a source of first frames, "
                    "for example --set method.first_frame=sdxl"
                )
            frame = self.first_frame([request.prompt], height, width, [request.seed])[0]
        return Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)


@contextmanager
def _own_noise(seed: int) -> Iterator[None]:
    """I2VGen-XL samples its image latents from the global stream, whatever generator it is given."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _required(parameters: Mapping[str, inspect.Parameter], names: Sequence[str]) -> bool:
    return any(name in parameters and parameters[name].default is inspect.Parameter.empty for name in names)


def _mapped(have: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    mapped = {}
    for ours, names in NAMES.items():
        theirs = next((name for name in names if name in parameters), None)
        if theirs is not None and have.get(ours) is not None:
            mapped[theirs] = have[ours]
    return mapped


def _called(pipe: Any, arguments: Mapping[str, Any]) -> Any:
    """The pipeline's output; UserError for what it refuses, such as a size that is no multiple of 16."""
    try:
        return pipe(**arguments)
    except ValueError as error:
        raise UserError(
            f"{type(pipe).__name__} refuses its arguments: {' '.join(str(error).split())[:300]}; settings such as "
            "height, width, num_frames and arguments change them (artv-eval plugins show diffusers)"
        ) from None


def enough_frames(pipe: Any, wanted: int) -> int:
    """The smallest number of frames, at least ``wanted``, that the pipeline's autoencoder can make.

    A causal one, with ``stride`` frames to a latent but one to the first, makes k · stride + 1; left alone, pipelines
    round to a number below.
    """
    stride = next((getattr(pipe, name) for name in STRIDES if hasattr(pipe, name)), 1)
    return -(-(wanted - 1) // stride) * stride + 1


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) in 0..1 or uint8 → uint8."""
    if frames.dtype == np.uint8:
        return frames
    return (np.nan_to_num(frames) * 255).round().clip(0, 255).astype(np.uint8)


def fit(frames: np.ndarray, request: ClipRequest, source: str) -> np.ndarray:
    """The first T frames, scaled to the protocol's size.

    Raises:
        UserError: fewer frames than the protocol asks for.
    """
    if len(frames) < request.num_frames:
        raise UserError(f"{source} made {len(frames)} frames and the protocol asks for {request.num_frames}; raise "
                        "num_frames, or lower --frames")  # fmt: skip
    frames = frames[: request.num_frames]
    if frames.shape[1:3] == (request.height, request.width):
        return frames
    size = (request.width, request.height)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames])


def modelscope(
    source: str = "ali-vilab/text-to-video-ms-1.7b",
    *,
    height: int = 256,
    width: int = 256,
    steps: int = 50,
    dtype: str | None = None,
    variant: str | None = None,
    arguments: dict[str, Any] | None = None,
    device: str = "cpu",
) -> DiffusersVideo:
    """ModelScope text-to-video (Wang et al. 2023) at the size it was trained at; clips are scaled to the protocol's.

    Args:
        source: hub id or folder of a ``TextToVideoSDPipeline``.
        height, width, steps, dtype, variant, arguments, device: as in ``diffusers:<id>``.
    """
    return DiffusersVideo(
        source,
        height=height,
        width=width,
        steps=steps,
        dtype=dtype,
        variant=variant,
        arguments=arguments,
        device=device,
    )


def i2vgen_xl(
    source: str = "ali-vilab/i2vgen-xl",
    *,
    height: int = 704,
    width: int = 1280,
    steps: int = 50,
    dtype: str | None = None,
    variant: str | None = None,
    arguments: dict[str, Any] | None = None,
    first_frame: Callable[..., np.ndarray] | None = None,
    device: str = "cpu",
) -> DiffusersVideo:
    """I2VGen-XL (Zhang et al. 2023) from the protocol's first frame, at the size it was trained at.

    Args:
        source: hub id or folder of an ``I2VGenXLPipeline``.
        height, width, steps, dtype, variant, arguments, first_frame, device: as in ``diffusers:<id>``.
    """
    return DiffusersVideo(
        source,
        height=height,
        width=width,
        steps=steps,
        dtype=dtype,
        variant=variant,
        arguments=arguments,
        first_frame=first_frame,
        device=device,
    )

"""ART-V as a diffusers pipeline: prompts in, clips out.

    pipe = ArtVPipeline.from_pretrained("shapes")
    clip = pipe("a red circle moves left", num_frames=16, seed=0)   # clip.frames: uint8 (T, H, W, 3)
    for frame in pipe.stream("a red circle moves left", num_frames=1000): ...

Shape suffixes: B samples, T frames, C latent channels, H W pixels, h w latent size, L text tokens, D text width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from torch import Tensor

from artv import presets
from artv.accelerations import Acceleration
from artv.accelerations import acceleration as parse_acceleration
from artv.anchors import AnchorStrategy, UserImage, anchor_strategy
from artv.autoencoder import decode_latents, downscale, encode_frames
from artv.conditioning import Levels, noise_levels
from artv.errors import UserError, WorkFailed
from artv.guidance import Guidance
from artv.guidance import parse as parse_guidance
from artv.images import Picture, load_images
from artv.mask_rules import MaskRule, mask_rule
from artv.networks import ArtVModel, InferenceModel
from artv.networks.openvino.model import OpenVinoModel
from artv.networks.streams import SideStream
from artv.outputs import ArtVFrame, ArtVOutput, failures_of, masks_of
from artv.progress import progress_bar, quiet_loading
from artv.requests import check_count, check_name
from artv.rollout import Frame, Sampling, rollout
from artv.samplers import SAMPLERS
from artv.text_encoder import OpenClipTextEncoder
from artv.weights import check_saved

PARTS = {"model": ArtVModel, "autoencoder": AutoencoderKL, "text_encoder": OpenClipTextEncoder}
Prompt = str | Sequence[str]  # one prompt, or several in a row


class ArtVPipeline(DiffusionPipeline):
    """The model with its autoencoder and text encoder. ``save_pretrained`` / ``from_pretrained`` as in diffusers."""

    model: ArtVModel
    autoencoder: AutoencoderKL
    text_encoder: OpenClipTextEncoder
    model_cpu_offload_seq = "text_encoder->model->autoencoder"
    fast: bool | str = True
    """Sample through :class:`~artv.networks.InferenceModel`: the same up to rounding. False: the model itself.
    ``"openvino"``: through :class:`~artv.networks.openvino.model.OpenVinoModel`, faster for few clips on few cores.
    """

    def __init__(self, model: ArtVModel, autoencoder: AutoencoderKL, text_encoder: OpenClipTextEncoder) -> None:
        super().__init__()
        self.register_modules(model=model, autoencoder=autoencoder, text_encoder=text_encoder)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path = "shapes", **kwargs: Any) -> "ArtVPipeline":
        """Loads packaged weights (``shapes``, ``shapes:no-mask``, …), a folder or a hub id. Never runs remote code.

        Keywords are diffusers' (``torch_dtype``, ``variant``, ``revision``, components by name, …).

        Raises:
            UserError: no such weights (says what there is), pickled ones, or weights of another architecture (names
                the first key that differs and what was expected).
        """
        kwargs |= {"use_safetensors": True, "trust_remote_code": False}
        name = str(pretrained_model_name_or_path)
        presets.check_source(name)
        if presets.is_packaged(name):
            pipe = presets.load_packaged(cls, name, kwargs)
        else:
            if Path(name).is_dir():
                kwargs["local_files_only"] = True  # what is not there is wrong there, and nothing to download
                for part, kind in PARTS.items():
                    if part not in kwargs:
                        check_saved(kind, Path(name) / part, kwargs.get("variant"))
            try:
                with quiet_loading():
                    pipe = super().from_pretrained(name, **kwargs)
            except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
                if getattr(error, "errno", None) is not None:  # of the system, such as a full disk
                    raise
                raise UserError(
                    f"checkpoint {name} cannot be loaded: {(str(error).splitlines() or [repr(error)])[0]}"
                ) from error
        for component in pipe.components.values():
            component.eval()
        return pipe

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, max_shard_size: str = "5GB", **kwargs: Any
    ) -> None:
        """Saves as diffusers does: ``model_index.json`` and safetensors for each component, in shards above 5 GB."""
        super().save_pretrained(save_directory, *args, max_shard_size=max_shard_size, **kwargs)

    @property
    def defaults(self) -> presets.SamplingDefaults:
        """Steps, guidance, size and frame rate that suit these weights."""
        return presets.defaults_for(self.model)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[Prompt],
        *,
        num_frames: int = 16,
        image: Picture | Sequence[Picture] | None = None,
        seed: int | Sequence[int] = 0,
        height: int | None = None,
        width: int | None = None,
        steps: int | None = None,
        sampler: str | Callable[..., Tensor] = "dpmpp_2s_ancestral",
        sampler_options: Mapping[str, Any] | None = None,
        spacing: str = "legacy_ddpm",
        guidance: str | Mapping[str, Any] | Guidance | None = None,
        anchor: str | Mapping[str, Any] | AnchorStrategy = "last-of-prompt",
        ref_noise: str | Mapping[str, Any] | Levels | None = None,
        use_mask: bool = True,
        mask: str | Mapping[str, Any] | MaskRule | None = None,
        acceleration: str | Mapping[str, Any] | Acceleration | None = None,
        return_masks: bool = False,
        progress: bool = False,
    ) -> ArtVOutput:
        """Makes clips.

        Args:
            prompt: one prompt (one clip) or a list (a batch of clips). An item that is itself a list is several
                prompts in a row, ``num_frames`` frames each.
            num_frames: frames a prompt, the first one included; ≥ 1.
            image: first frame(s): file, PIL image or uint8 (H, W, 3); one for all or one a sample. None: the model
                makes it.
            seed: one number (sample i uses seed + i), or one a sample.
            height, width: in pixels; None: the preset's.
            steps: sampling steps of a frame; None: the preset's.
            sampler: a name or function of :mod:`artv.samplers`; ``sampler_options``: its keywords.
            spacing: of the noise levels, see :meth:`artv.schedule.NoiseSchedule.sigmas`.
            guidance: see :func:`artv.guidance.parse`; None: the preset's.
            anchor: see :func:`artv.anchors.anchor_strategy`.
            ref_noise: distribution of the noise level put on the reference frames, such as ``constant:0.05``, see
                :func:`artv.conditioning.noise_levels`; None: the preset's.
            use_mask: False leaves the mask network out.
            mask: rule that the predicted mask goes through, see :func:`artv.mask_rules.mask_rule`; None: as predicted.
            acceleration: approximate, see :func:`artv.accelerations.acceleration`; None: exact.
            return_masks: also return the mask of every sampling step.
            progress: show a bar on stderr.

        Raises:
            UserError: a setting that cannot be. WorkFailed: not one sample came out finite.
        """
        sampling = self._sampling(
            steps=steps,
            sampler=sampler,
            sampler_options=sampler_options,
            spacing=spacing,
            guidance=guidance,
            ref_noise=ref_noise,
            use_mask=use_mask,
            mask=mask,
            acceleration=acceleration,
            return_masks=return_masks,
        )
        made = self._frames(
            prompt,
            sampling,
            anchor,
            num_frames=num_frames,
            image=image,
            seed=seed,
            height=height,
            width=width,
            progress=progress,
        )
        single = isinstance(prompt, str)
        frames, masks = [], []
        failures: dict[int, str] = {}
        samples = 1 if single else len(prompt)
        decoder = SideStream(on=True)  # decodes a frame while the next one is sampled
        for frame in made:
            with decoder.beside(frame.latent_BCHW.device, frame.latent_BCHW):
                frames.append(self._decode(frame))
            if (made_masks := masks_of(frame)) is not None:
                masks.append(made_masks)
            failures |= failures_of(frame)
        if len(failures) == samples:
            raise WorkFailed(f"no sample came out: {failures[0]}")
        decoder.join(*frames)
        clips = torch.stack(frames, dim=1).cpu().numpy()
        stacked = np.stack(masks, axis=2) if masks else None
        if single:
            return ArtVOutput(clips[0], None if stacked is None else stacked[0], failures)
        return ArtVOutput(clips, stacked, failures)

    def stream(
        self,
        prompt: str | Sequence[Prompt],
        *,
        num_frames: int = 16,
        image: Picture | Sequence[Picture] | None = None,
        seed: int | Sequence[int] = 0,
        height: int | None = None,
        width: int | None = None,
        steps: int | None = None,
        sampler: str | Callable[..., Tensor] = "dpmpp_2s_ancestral",
        sampler_options: Mapping[str, Any] | None = None,
        spacing: str = "legacy_ddpm",
        guidance: str | Mapping[str, Any] | Guidance | None = None,
        anchor: str | Mapping[str, Any] | AnchorStrategy = "last-of-prompt",
        ref_noise: str | Mapping[str, Any] | Levels | None = None,
        use_mask: bool = True,
        mask: str | Mapping[str, Any] | MaskRule | None = None,
        acceleration: str | Mapping[str, Any] | Acceleration | None = None,
        progress: bool = False,
        details: bool = False,
    ) -> Iterator[Any]:
        """Yields frames as they are made: uint8 (H, W, 3), or (B, H, W, 3) for a list. Memory does not grow.

        Args: as in a call. ``details``: yields :class:`ArtVFrame` in their place, with masks; samples that fail are
            named there and the others go on.

        Raises:
            UserError: a setting that cannot be. WorkFailed: a latent stopped being finite (names frame and step).
        """
        sampling = self._sampling(
            steps=steps,
            sampler=sampler,
            sampler_options=sampler_options,
            spacing=spacing,
            guidance=guidance,
            ref_noise=ref_noise,
            use_mask=use_mask,
            mask=mask,
            acceleration=acceleration,
            return_masks=details,
        )
        made = self._frames(
            prompt,
            sampling,
            anchor,
            num_frames=num_frames,
            image=image,
            seed=seed,
            height=height,
            width=width,
            progress=progress,
        )
        single = isinstance(prompt, str)
        with torch.no_grad():
            for frame in made:
                failed = failures_of(frame)
                images = self._decode(frame).cpu().numpy()
                if details:
                    yield ArtVFrame(images, masks_of(frame), failed)
                    continue
                for b, why in failed.items():
                    raise WorkFailed(f"sample {b}: {why}")
                yield images[0] if single else images

    def _decode(self, frame: Frame) -> Tensor:
        """uint8 (B, H, W, 3), on the model's device."""
        return decode_latents(self.autoencoder, frame.latent_BCHW).permute(0, 2, 3, 1)

    def _sampling(
        self,
        *,
        steps: int | None,
        sampler: str | Callable[..., Tensor],
        sampler_options: Mapping[str, Any] | None,
        spacing: str,
        guidance: str | Mapping[str, Any] | Guidance | None,
        ref_noise: str | Mapping[str, Any] | Levels | None,
        use_mask: bool,
        mask: str | Mapping[str, Any] | MaskRule | None,
        acceleration: str | Mapping[str, Any] | Acceleration | None,
        return_masks: bool = False,
    ) -> Sampling:
        """How a frame is sampled, of what the caller wrote; what is None is the preset's."""
        check_count("steps", steps)
        return Sampling(
            guidance=self.defaults.guidance if guidance is None else parse_guidance(guidance),
            steps=steps or self.defaults.steps,
            sampler=_sampler(sampler),
            sampler_options=dict(sampler_options or {}),
            spacing=spacing,
            ref_noise=noise_levels(self.defaults.ref_noise if ref_noise is None else ref_noise),
            use_mask=use_mask,
            mask=None if mask is None else mask_rule(mask),
            acceleration=None if acceleration is None else parse_acceleration(acceleration),
            return_masks=return_masks,
        )

    def _frames(
        self,
        prompt: str | Sequence[Prompt],
        sampling: Sampling,
        anchor: str | Mapping[str, Any] | AnchorStrategy,
        *,
        num_frames: int,
        image: Picture | Sequence[Picture] | None,
        seed: int | Sequence[int],
        height: int | None,
        width: int | None,
        progress: bool = False,
    ) -> Iterator[Frame]:
        stories = [[prompt]] if isinstance(prompt, str) else [[p] if isinstance(p, str) else list(p) for p in prompt]
        seeds = self._seeds(stories, num_frames, seed)
        height, width = self._size(height, width)
        device, dtype = self.model.device, self.model.dtype
        texts = [
            self.text_encoder.encode([story[j] for story in stories]).to(device, dtype) for j in range(len(stories[0]))
        ]

        def encode(pictures: Picture | Sequence[Picture]) -> Tensor:
            pixels = torch.from_numpy(load_images(pictures, len(stories), height, width)).permute(0, 3, 1, 2)
            return encode_frames(self.autoencoder, pixels.to(self.autoencoder.device)).to(device, torch.float32)

        first = None if image is None else encode(image)
        strategy = anchor_strategy(anchor)
        strategy = strategy.encoded(encode) if isinstance(strategy, UserImage) else strategy
        cell = downscale(self.autoencoder)
        made = num_frames * len(texts) - (first is not None)
        with progress_bar("frames", total=made * sampling.steps, shown=progress) as bar:
            done = 0

            def on_step() -> None:
                nonlocal done
                done += 1
                bar.update(done)

            yield from rollout(
                self.sampled_model(),
                texts,
                self.text_encoder.encode([""]).to(device, dtype),
                frames_per_prompt=num_frames,
                seeds=seeds,
                shape=(self.model.sizes.dynamic.in_channels, height // cell, width // cell),
                sampling=sampling,
                anchor=strategy,
                first_BCHW=first,
                on_step=on_step,
            )

    def sampled_model(self) -> ArtVModel | InferenceModel:
        """What the rollout calls; made again when the model's weights have changed.

        Raises:
            UserError: :attr:`fast` is unknown, or is ``openvino`` where that cannot be.
        """
        if not self.fast:
            return self.model
        if self.fast not in (True, "openvino"):
            raise UserError(f"fast is {self.fast!r}; it must be True, False or 'openvino'")
        kind = OpenVinoModel if self.fast == "openvino" else InferenceModel
        kept: InferenceModel | None = self.__dict__.get("_inference_model")
        if type(kept) is not kind or not kept.stands_for(self.model):
            kept = self.__dict__["_inference_model"] = kind(self.model)
        return kept

    def _seeds(self, stories: list[list[str]], num_frames: int, seed: int | Sequence[int]) -> list[int]:
        """One a sample, once the request is one that can be."""
        if not stories or not stories[0]:
            raise UserError("no prompt was given; give at least one")
        if len({len(story) for story in stories}) > 1:
            raise UserError("the samples of a batch have different numbers of prompts; make them one by one")
        check_count("frames", num_frames)
        seeds = [seed + i for i in range(len(stories))] if isinstance(seed, int) else list(seed)
        if len(seeds) != len(stories):
            raise UserError(f"{len(seeds)} seeds for {len(stories)} prompts; give one number, or one for each prompt")
        return seeds

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        cell = downscale(self.autoencoder)
        multiple = cell * 2 ** (len(self.model.sizes.dynamic.channels) - 1)
        sizes = height or self.defaults.size, width or self.defaults.size
        for value in sizes:
            if value < multiple or value % multiple:
                near = max(multiple, round(value / multiple) * multiple)
                raise UserError(f"size {sizes[1]}×{sizes[0]}: {value} is not a multiple of {multiple}; try {near}")
        return sizes


def _sampler(sampler: str | Callable[..., Tensor]) -> Callable[..., Tensor]:
    if callable(sampler):
        return sampler
    check_name("sampler", sampler, SAMPLERS)
    return SAMPLERS[sampler]

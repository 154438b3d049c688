"""The loop over frames: the file to start reading in.

For each new frame: the last frames are its references, a strategy names its anchor, and a sampler turns noise into
its latent through guidance and the two composed networks. Frames leave one by one; only the reference frames, the
first frame and the current anchor are kept, so a thousand frames need no more memory than two. Latents are float32,
whatever the networks compute in.

Shape suffixes: B samples, K reference frames, C latent channels, H W latent size, L text tokens, D text width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from artv.accelerations import Acceleration
from artv.anchors import AnchorStrategy, Past
from artv.conditioning import Levels, add_noise, constant
from artv.denoiser import Denoiser
from artv.guidance import Guidance
from artv.mask_rules import MaskRule
from artv.networks import ArtVModel, Conditions, InferenceModel
from artv.noise import FrameNoise
from artv.samplers import sample_dpmpp_2s_ancestral


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How one frame is sampled.

    Args:
        steps: sampling steps (the paper: 50, which is 99 evaluations with its sampler).
        sampler: a function of :mod:`artv.samplers`; ``sampler_options`` are its further keywords.
        guidance: of :mod:`artv.guidance`.
        spacing: of the noise levels, see :meth:`artv.schedule.NoiseSchedule.sigmas`.
        ref_noise: distribution of the noise level put on the references (not on what the mask copies).
        use_mask: False leaves the mask network out.
        acceleration: approximate, of :mod:`artv.accelerations`; None: every evaluation as it is.
        mask: rule of :mod:`artv.mask_rules` that the predicted mask goes through; None: as predicted.
        return_masks: keep the mask of each step.
    """

    guidance: Guidance
    steps: int = 50
    sampler: Callable[..., Tensor] = sample_dpmpp_2s_ancestral
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    spacing: str = "legacy_ddpm"
    ref_noise: Levels = field(default_factory=constant)
    use_mask: bool = True
    acceleration: Acceleration | None = None
    mask: MaskRule | None = None
    return_masks: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of every sample. ``masks``: (steps, B, H, W) in [0, 1], high = copied; None unless asked for.

    ``failed``: sample → step at which its latent stopped being finite; its latent here repeats the frame before.
    """

    index: int
    latent_BCHW: Tensor
    masks: Tensor | None = None
    failed: Mapping[int, int] = field(default_factory=dict)


def rollout(
    model: ArtVModel | InferenceModel,
    prompts: Sequence[Tensor],
    null_text_BLD: Tensor,
    *,
    frames_per_prompt: int,
    seeds: Sequence[int],
    shape: tuple[int, int, int],
    sampling: Sampling,
    anchor: AnchorStrategy,
    first_BCHW: Tensor | None = None,
    on_step: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """Yields the frames of a video in order.

    Args:
        prompts: text embedding (B, L, D) of each prompt in a row; each gets ``frames_per_prompt`` frames.
        null_text_BLD: of the empty prompt, batch 1.
        seeds: one a sample.
        shape: (C, H, W) of a latent.
        first_BCHW: a given first frame; without it the model makes one from the text alone.
        on_step: called after each sampling step.
    """
    history: list[Tensor] = []
    first: Tensor | None = None
    prompt_anchor: Tensor | None = None
    current: Tensor | None = None
    dead: dict[int, int] = {}
    for index in range(frames_per_prompt * len(prompts)):
        text = prompts[index // frames_per_prompt]
        if index == 0 and first_BCHW is not None:
            frame = Frame(index=0, latent_BCHW=first_BCHW)
        else:
            noise = FrameNoise(seeds, index, shape, text.device)
            if first is not None and prompt_anchor is not None:
                past = Past(
                    index=index,
                    prompt=index // frames_per_prompt,
                    first=first,
                    newest=history[-1],
                    prompt_anchor=prompt_anchor,
                    current=current,
                )
                current = anchor(past)
            # a stream of their own: noise on the references leaves the frame's noise as it is
            ref_noise = FrameNoise(seeds, index, shape, text.device, "references")
            conditions = frame_conditions(model, history, current, text, ref_noise, sampling.ref_noise)
            frame = sample_frame(model, conditions, null_text_BLD, noise, sampling, index, dead, on_step)
        history = [*history, frame.latent_BCHW][-model.sizes.num_refs :]
        if index == 0:
            first = prompt_anchor = frame.latent_BCHW
        if (index + 1) % frames_per_prompt == 0:
            prompt_anchor = frame.latent_BCHW
        yield frame


def frame_conditions(
    model: ArtVModel | InferenceModel,
    history: Sequence[Tensor],
    anchor_BCHW: Tensor | None,
    text_BLD: Tensor,
    noise: FrameNoise,
    levels: Levels,
) -> Conditions:
    """Conditions of the next frame; with no history (the first frame) references and anchor are dropped."""
    B, device = text_BLD.shape[0], text_BLD.device
    ones, zeros = torch.ones(B, device=device), torch.zeros(B, device=device)
    if not history:
        blank = noise.zeros()
        return Conditions(blank[:, None].repeat(1, model.sizes.num_refs, 1, 1, 1), blank, blank, zeros, zeros, text_BLD)
    missing = model.sizes.num_refs - len(history)
    refs = torch.stack([history[0]] * missing + list(history), dim=1)
    level = levels(noise.uniform())  # on the CPU: the next line does not wait for a GPU
    if bool((level > 0).any()):
        refs = add_noise(refs, level.to(device), torch.stack([noise.draw() for _ in range(refs.shape[1])], dim=1))
    anchored = ones if anchor_BCHW is not None else zeros
    anchor = anchor_BCHW if anchor_BCHW is not None else torch.zeros_like(history[-1])
    return Conditions(refs, history[-1], anchor, ones, anchored, text_BLD)


def sample_frame(
    model: ArtVModel | InferenceModel,
    conditions: Conditions,
    null_text_BLD: Tensor,
    noise: FrameNoise,
    sampling: Sampling,
    index: int,
    dead: dict[int, int],
    on_step: Callable[[], None] | None = None,
) -> Frame:
    """Denoises one frame of every sample. A sample whose latent stops being finite goes on as its last frame."""
    denoise = Denoiser(
        model,
        model.encode(conditions),
        conditions.text_BLD,
        null_text_BLD,
        guidance=sampling.guidance,
        use_mask=sampling.use_mask,
        mask=sampling.mask,
    )
    never = sampling.steps
    failed_B = torch.full(conditions.keep_ref_B.shape, never, device=conditions.keep_ref_B.device)
    masks: list[Tensor] = []

    def note_failures(step: int, x_BCHW: Tensor) -> None:
        """Keeps the first step of each sample that is not finite, without waiting for a GPU."""
        finite_B = torch.isfinite(x_BCHW).flatten(1).all(1)
        failed_B.copy_(torch.where(finite_B, failed_B, failed_B.clamp(max=step)))

    def watch(step: int, sigma: Tensor, x: Tensor, x0: Tensor) -> None:
        note_failures(step, x0)
        if sampling.return_masks and index > 0 and denoise.mask_B1HW is not None:
            masks.append(denoise.mask_B1HW.squeeze(1))
        if on_step is not None:
            on_step()

    sigmas = model.schedule.sigmas(sampling.steps, sampling.spacing)
    x = noise.draw() * (1 + float(sigmas[0]) ** 2) ** 0.5
    called = denoise if sampling.acceleration is None else sampling.acceleration(denoise)
    latent = sampling.sampler(called, x, sigmas, noise=noise, callback=watch, **sampling.sampler_options)
    note_failures(sampling.steps - 1, latent)
    newly = {b: step for b, step in enumerate(failed_B.tolist()) if step < never and b not in dead}
    dead.update(newly)
    for b in dead:
        latent[b] = conditions.copy_BCHW[b]
    return Frame(index=index, latent_BCHW=latent, masks=torch.stack(masks) if masks else None, failed=newly)

"""What ``artv sample`` does: checks the request before torch is imported, makes the clip, writes it and its masks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artv import presets
from artv.anchors import UserImage, anchor_strategy
from artv.devices import chosen_device
from artv.ending import echo
from artv.errors import UserError
from artv.guidance import parse as parse_guidance
from artv.images import open_image
from artv.requests import (
    MOST_FRAMES,
    MOST_PIXELS,
    MOST_STEPS,
    SAMPLER_NAMES,
    check_count,
    check_name,
    check_openvino,
    check_seed,
    check_suffix,
    check_writable,
)
from artv.video import SUFFIXES, check_rate, write_clip, write_picture

if TYPE_CHECKING:
    from artv.pipeline import ArtVPipeline


def sample_command(
    *,
    prompts: list[str],
    out: Path,
    checkpoint: str,
    revision: str | None,
    device: str | None,
    openvino: bool,
    fps: float | None,
    save_masks: Path | None,
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv sample``."""
    if openvino:
        check_openvino(device)
        device = "cpu"
    _check(out, checkpoint, device, save_masks, fps, made=len(prompts) * settings["num_frames"], **settings)
    warnings.formatwarning = lambda message, *_: f"artv: {message}\n"
    pipe = _load(checkpoint, revision, device)
    pipe.fast = "openvino" if openvino else pipe.fast
    if save_masks is not None and pipe.model.mask_network is None:
        raise UserError(f"--save-masks: checkpoint {checkpoint} has no mask network; use one trained with it")
    rate = pipe.defaults.fps if fps is None else fps
    if save_masks is None:
        # frame by frame into the file: a clip of any length takes the same memory
        made = write_clip(out, (frames[0] for frames in pipe.stream([prompts], progress=True, **settings)), rate)
        echo(f"wrote {out} ({made} frames)")
        return
    result = pipe([prompts], progress=True, return_masks=save_masks is not None, **settings)
    write_clip(out, result.frames[0], rate)
    echo(f"wrote {out} ({len(result.frames[0])} frames)")
    if result.masks is not None:
        from artv.masks import mask_figure

        write_picture(save_masks, mask_figure(result.frames[0], result.masks[0]))
        echo(f"wrote {save_masks}")


def _check(
    out: Path, checkpoint: str, device: str | None, save_masks: Path | None, fps: float | None, *, made: int, **settings
) -> None:
    """Everything that needs no weights."""
    check_count("frames", settings["num_frames"], most=MOST_FRAMES)
    check_count("steps", settings["steps"], most=MOST_STEPS)
    for side in ("height", "width"):
        check_count(side, settings[side], most=MOST_PIXELS)
    for seed in settings["seed"]:
        check_seed(seed)
    check_name("sampler", settings["sampler"], SAMPLER_NAMES)
    anchor = anchor_strategy(settings["anchor"])
    if isinstance(anchor, UserImage):
        open_image(anchor.picture)
    parse_guidance(settings["guidance"])
    if device is not None:
        chosen_device(device)
    presets.check_source(checkpoint)
    if settings["image"] is not None:
        open_image(settings["image"])
    check_suffix("--out", out, *SUFFIXES)
    if fps is not None:
        check_rate(fps, out.suffix.lower())
    check_writable(out)
    if save_masks is not None:
        check_suffix("--save-masks", save_masks, ".png")
        check_writable(save_masks)
        presets.check_has_mask(checkpoint)
        if made < 2:
            raise UserError("--save-masks: a single frame has no reference to copy from; ask for at least 2 frames")


def _load(checkpoint: str, revision: str | None, device: str | None) -> ArtVPipeline:
    from artv.pipeline import ArtVPipeline

    extra = {"revision": revision} if revision else {}
    return ArtVPipeline.from_pretrained(checkpoint, **extra).to(chosen_device(device))

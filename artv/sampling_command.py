"""What ``artv sample`` does: checks the request, makes the clip with a progress bar, writes it and its masks."""

import warnings
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.masks import mask_figure
from artv.pipeline import ArtVPipeline
from artv.video import SUFFIXES, write_clip


def sample_command(
    *,
    prompts: list[str],
    out: Path,
    checkpoint: str,
    revision: str | None,
    device: str | None,
    fps: float | None,
    save_masks: Path | None,
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv sample``. Everything that can be wrong is found before the first step."""
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out is {out}; its name must end in {' or '.join(SUFFIXES)}")
    if save_masks is not None and save_masks.suffix.lower() != ".png":
        raise UserError(f"--save-masks is {save_masks}; its name must end in .png")
    for target in filter(None, (out, save_masks)):
        _check_writable(target)
    warnings.formatwarning = lambda message, *_: f"artv: {message}\n"
    pipe = _load(checkpoint, revision, device)
    if save_masks is not None and pipe.model.mask_network is None:
        raise UserError(f"--save-masks: checkpoint {checkpoint} has no mask network; use one trained with it")
    result = pipe([prompts], progress=True, return_masks=save_masks is not None, **settings)
    write_clip(out, result.frames[0], fps or pipe.defaults.fps)
    print(f"wrote {out} ({len(result.frames[0])} frames)")
    if save_masks is not None:
        if result.masks is None:
            raise UserError("--save-masks: a single frame has no reference to copy from; ask for at least 2 frames")
        mask_figure(result.frames[0], result.masks[0]).save(save_masks)
        print(f"wrote {save_masks}")


def _load(checkpoint: str, revision: str | None, device: str | None) -> ArtVPipeline:
    import torch

    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"device is {name!r}; it must be cuda or cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device is cuda, but no CUDA device is visible; use --device cpu")
    extra = {"revision": revision} if revision else {}
    return ArtVPipeline.from_pretrained(checkpoint, **extra).to(name)


def _check_writable(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = target.with_name(f".{target.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; choose another place") from None

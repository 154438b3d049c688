"""What comes with the package: the shapes weights and the sampling defaults of each preset.

The packaged twins share one autoencoder and one text encoder:

    artv/assets/autoencoder  artv/assets/text_encoder  artv/assets/model  artv/assets/model_no_mask  …
    artv/assets/model_long_1  artv/assets/model_long_1_no_mask  …  of long clips, a pair a training seed
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from artv.errors import UserError, closest
from artv.files import read_object
from artv.guidance import Guidance, ThreeTerm
from artv.requests import check_init

ASSETS = Path(__file__).parent / "assets"
FIRST = "shapes"


@dataclass(frozen=True, kw_only=True)
class SamplingDefaults:
    """Used where a call says nothing."""

    steps: int
    guidance: Guidance
    size: int
    fps: float = 8.0
    ref_noise: str = "constant:0"


PAPER = SamplingDefaults(steps=50, guidance=ThreeTerm(ref=0.25, anchor=0.25, text=6.5), size=320)
SHAPES = SamplingDefaults(steps=8, guidance=ThreeTerm(ref=0.0, anchor=0.0, text=2.0), size=64)

DEFAULTS = {"paper": PAPER, "shapes": SHAPES}
"""By preset."""


def defaults_for(model: Any) -> SamplingDefaults:
    """By the model's size: the small world's has narrow text."""
    return PAPER if model.sizes.dynamic.text_dim >= 512 else SHAPES


def packaged() -> list[str]:
    """Names of the weights in this installation: ``shapes``, ``shapes:no-mask``, …"""
    return list(_packaged(ASSETS, ASSETS.stat().st_mtime_ns))


@lru_cache  # a large plan asks for each of its cells
def _packaged(assets: Path, changed: int) -> list[str]:
    found = sorted(
        p.name.removeprefix("model").lstrip("_") for p in assets.glob("model*") if (p / "config.json").is_file()
    )
    return [f"{FIRST}:{name.replace('_', '-')}" if name else FIRST for name in found]


LONG = "long"


def long_seeds() -> list[int]:
    """Training seeds of the packaged twins of long clips, ``shapes:long-1`` and ``shapes:long-1-no-mask`` and so on."""
    names = set(packaged())
    numbers = (name.removeprefix(f"{FIRST}:{LONG}-") for name in names)
    return sorted(int(n) for n in numbers if n.isdecimal() and f"{FIRST}:{LONG}-{n}-no-mask" in names)


def is_packaged(name: str) -> bool:
    """Whether ``name`` asks for packaged weights (they may still be missing)."""
    return name.split(":")[0] == FIRST and not Path(name).exists()


def load_packaged(pipeline: Any, name: str, kwargs: dict[str, Any]) -> Any:
    """Builds the pipeline of a packaged twin; 16 or 8 bits on disk, float32 in memory unless asked otherwise."""
    import torch

    from artv.progress import quiet_loading

    dtype = kwargs.get("torch_dtype") or torch.float32
    with quiet_loading():
        model = kwargs.get("model") or _load_model(model_folder(name), dtype)
        shared = {key: kwargs.get(key) or module.to(dtype) for key, module in load_components(FIRST).items()}
    return pipeline(model=model, **shared)


def _load_model(folder: Path, dtype: Any) -> Any:
    from artv import int8
    from artv.networks import ArtVModel

    if not (folder / int8.FILE).is_file():
        return ArtVModel.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    model = ArtVModel.from_config(ArtVModel.load_config(folder, local_files_only=True))
    model.load_state_dict(int8.load(folder))
    return model.to(dtype).eval()


def load_components(source: str) -> dict[str, Any]:
    """Autoencoder and text encoder, float32: the packaged ones (``shapes``) or those in a pipeline's folder."""
    import torch
    from diffusers import AutoencoderKL

    from artv.progress import quiet_loading
    from artv.text_encoder import OpenClipTextEncoder
    from artv.weights import check_saved

    folder, found = check_components(source), {}
    for name, kind in (("autoencoder", AutoencoderKL), ("text_encoder", OpenClipTextEncoder)):
        check_saved(kind, folder / name)
        with quiet_loading():
            found[name] = kind.from_pretrained(folder / name, torch_dtype=torch.float32, use_safetensors=True)
    return found


def check_components(source: str) -> Path:
    """The folder that ``source`` stands for. Raises :class:`UserError` when a component is missing there."""
    folder = ASSETS if source == FIRST else Path(source)
    for name in ("autoencoder", "text_encoder"):
        if not (folder / name / "config.json").is_file():
            raise UserError(f"components {source}: {folder / name} is missing; give a folder that holds it, or shapes")
    return folder


def check_source(name: str) -> None:
    """One clear line for a checkpoint that is not one, before diffusers looks at it."""
    path = Path(name)
    if is_packaged(name):
        if name not in packaged():
            raise UserError(f"packaged weights {name!r} do not exist; {closest(name, packaged())}")
        return
    if (path / "pipeline" / "model_index.json").is_file() and not (path / "model_index.json").is_file():
        raise UserError(f"checkpoint {name} is a training run; give the pipeline in it: {path / 'pipeline'}")
    if path.is_dir() and not (path / "model_index.json").is_file():
        raise UserError(f"checkpoint {name} holds no model_index.json; give a folder written by save_pretrained")
    if path.is_dir():
        read_object(path / "model_index.json")
    if not path.is_dir() and (name.count("/") != 1 or name.startswith((".", "/"))):
        raise UserError(
            f"checkpoint {name!r} is no folder, no hub id (owner/name) and not packaged; "
            f"packaged: {', '.join(packaged()) or 'none'}"
        )


def check_start(source: str, preset: str) -> None:
    """What the networks of a training can start from: packaged weights, a folder, or a repository id.

    Raises:
        UserError: it is none of them, or a folder without networks of ours for another preset than ``paper``.
    """
    if is_packaged(source):
        check_source(source)
        return
    check_init(source, known=packaged())
    folder = Path(source).expanduser()
    ours = any((place / "config.json").is_file() for place in (folder, folder / "model"))
    if preset != "paper" and folder.is_dir() and not ours:
        raise UserError(
            f"{source} holds no networks of ours (model/config.json), from which the preset {preset} starts"
        )


def check_has_mask(name: str) -> None:
    """Refuses a checkpoint on this machine whose configuration has no mask network; others are seen when loaded."""
    file = model_folder(name) / "config.json"
    if file.is_file() and read_object(file).get("mask") is None:
        raise UserError(f"--save-masks: checkpoint {name} has no mask network; use one trained with it")


def model_folder(name: str) -> Path:
    """Where the networks of a pipeline are: ``name`` is packaged or a folder."""
    if not is_packaged(name):
        return Path(name) / "model"
    twin = name.partition(":")[2].replace("-", "_")
    return ASSETS / (f"model_{twin}" if twin else "model")

"""Reading weights that others saved: safetensors only, nothing is ever unpickled, and every mismatch is named."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from artv.config import ModelConfig
from artv.errors import UserError
from artv.files import read_object, regular

STEMS = ("diffusion_pytorch_model", "model", "open_clip_model")


def check_fit(sizes: ModelConfig, autoencoder: Any, text_encoder: Any) -> None:
    """Raises :class:`UserError` for networks that do not take what these two give."""
    for part, given, key in (
        ("text encoder", text_encoder.config.width, "text_dim"),
        ("autoencoder", autoencoder.config.latent_channels, "in_channels"),
    ):
        expected = getattr(sizes.dynamic, key)
        if given != expected:
            raise UserError(
                f"the {part} gives {given} channels and the networks have {key} {expected}; they must agree"
            )


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a component's folder."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"{folder} has no config.json; give a folder in the layout that diffusers or transformers saves"
        )
    return read_object(path)


def read_weights(source: Path, variant: str | None = None) -> dict[str, Tensor]:
    """The state dict of a safetensors file, or of a component's folder (one file, or shards with their index).

    Args:
        variant: for instance ``fp16``, where a folder holds ``diffusion_pytorch_model.fp16.safetensors``.

    Raises:
        UserError: nothing to read there, or only pickled weights.
    """
    files = [source] if source.is_file() else _files(source, variant)
    if files[0].suffix != ".safetensors":
        raise UserError(f"{files[0]} is not a safetensors file; convert it first, because pickles can run code")
    state: dict[str, Tensor] = {}
    for file in files:
        state.update(load_file(regular(file)))
    return state


def _files(folder: Path, variant: str | None) -> list[Path]:
    middle = f".{variant}" if variant else ""
    for stem in STEMS:
        single = folder / f"{stem}{middle}.safetensors"
        if single.is_file():
            return [single]
        names = (f"{stem}.safetensors.index{middle}.json", f"{stem}{middle}.safetensors.index.json")
        for index in (folder / name for name in names):
            if index.is_file():
                return _shards(index)
    there = sorted(p.name for p in folder.glob("*") if p.suffix in (".safetensors", ".bin", ".ckpt", ".pt"))
    asked = f" of variant {variant!r}" if variant else ""
    variants = sorted(
        {name.split(".")[1].split("-")[0] for name in there if name.endswith(".safetensors")} - {"safetensors"}
    )
    advice = "convert pickled weights to safetensors first"
    if variants:
        advice = f"name the variant that is there: {' or '.join(variants)} (artv train --variant {variants[0]})"
    raise UserError(f"{folder} has no safetensors weights{asked} (there: {', '.join(there) or 'no weights'}); {advice}")


def _shards(index: Path) -> list[Path]:
    """The files that an index names, all of its own folder."""
    shards = read_object(index).get("weight_map")
    names = list(dict.fromkeys(shards.values())) if isinstance(shards, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UserError(f"{index} is no index of weights (weight_map: name of a weight → file beside it)")
    return [index.parent / name for name in names]


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], what: str, *, assign: bool = False) -> None:
    """Loads ``state`` if it has exactly the module's keys and shapes.

    Raises:
        UserError: naming the first key that is missing, unexpected or of another shape, and what was expected.
    """
    expected = module.state_dict()
    problem = first_mismatch(expected, state)
    if problem:
        raise UserError(f"{what} is another architecture: {problem}")
    module.load_state_dict(state, strict=True, assign=assign)


def check_saved(kind: Any, folder: Path, variant: str | None = None) -> None:
    """Compares keys and shapes in a component's folder with what its configuration says; no weight is read.

    diffusers would tell of a difference in many lines, or leave weights random with a warning.

    Args:
        kind: the component's class, one of diffusers' models.

    Raises:
        UserError: no safetensors there, damaged ones, or another architecture (naming the first key that differs).
    """
    try:
        with torch.device("meta"):
            module = kind.from_config(read_config(folder))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{folder / 'config.json'} is no {kind.__name__}'s: {' '.join(str(error).split())}") from None
    problem = first_mismatch(module.state_dict(), saved_shapes(folder, variant))
    if problem:
        raise UserError(f"{folder} is another architecture than its config.json says: {problem}")


def saved_shapes(folder: Path, variant: str | None = None) -> dict[str, Tensor]:
    """Keys and shapes in a component's folder, on the meta device; no weight is read.

    Raises:
        UserError: no safetensors there, or damaged ones.
    """
    saved: dict[str, Tensor] = {}
    for file in _files(folder, variant):
        try:
            with safe_open(regular(file), "pt") as opened:
                keys: list[str] = opened.keys()
                saved |= {key: torch.empty(opened.get_slice(key).get_shape(), device="meta") for key in keys}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file} cannot be read ({' '.join(str(error).split())}); copy or save it again") from None
    return saved


def first_mismatch(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str | None:
    """The first difference in keys or shapes, in the order of ``expected``; None if there is none."""
    for key, value in expected.items():
        shape = tuple(value.shape)
        if key not in state:
            return f"{key} is missing, expected with shape {shape}"
        if tuple(state[key].shape) != shape:
            return f"{key} has shape {tuple(state[key].shape)}, expected {shape}"
    extra = next((key for key in state if key not in expected), None)
    return None if extra is None else f"{extra} with shape {tuple(state[extra].shape)} is not expected"

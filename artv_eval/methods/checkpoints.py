"""Checkpoints by name: where their files are, which preset they are of, and a digest of everything they hold."""

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from artv import presets
from artv.errors import UserError
from artv.files import open_regular, read_object, read_text

SUFFIXES = (".safetensors", ".json", ".txt")


def unavailable(checkpoint: str) -> str | None:
    """Why the weights cannot be loaded without a download, with the command that fetches them; None if they can.

    Raises:
        UserError: the name cannot be a checkpoint's.
    """
    if presets.is_packaged(checkpoint):
        if checkpoint in presets.packaged():
            return None
        there = ", ".join(presets.packaged()) or "none"
        return f"packaged weights {checkpoint!r} are not in this installation (there: {there})"
    presets.check_source(checkpoint)
    if Path(checkpoint).is_dir() or _snapshot(checkpoint) is not None:
        return None
    return f"the weights of {checkpoint} are not here; fetch them with: hf download {checkpoint}"


def folders(checkpoint: str) -> dict[str, Path]:
    """Component → its folder."""
    if presets.is_packaged(checkpoint):
        twin = checkpoint.partition(":")[2].replace("-", "_")
        model = presets.ASSETS / (f"model_{twin}" if twin else "model")
        return {"model": model, **{key: presets.ASSETS / key for key in ("autoencoder", "text_encoder")}}
    root = Path(checkpoint) if Path(checkpoint).is_dir() else _snapshot(checkpoint)
    if root is None:
        raise UserError(str(unavailable(checkpoint)))
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir()}


@lru_cache
def digest(checkpoint: str) -> str:
    """16 hex digits of the weights and configurations of all components; the same wherever the files are."""
    sha = hashlib.sha256()
    for name, folder in sorted(folders(checkpoint).items()):
        for file in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
            sha.update(f"{name}/{file.relative_to(folder)}".encode())
            with open_regular(file) as stream:
                sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()[:16]


def preset(checkpoint: str) -> str:
    """``shapes`` or ``paper``: the small world's model has narrow text."""
    config = folders(checkpoint).get("model", Path("model")) / "config.json"
    try:
        values = read_object(config)
        width = int(values.get("dynamic", values.get("sizes", {}).get("dynamic", {}))["text_dim"])
    except (UserError, KeyError, AttributeError, TypeError):
        raise UserError(
            f"checkpoint {checkpoint!r} holds no model of ART-V ({config} is missing or of something else)"
        ) from None
    return "paper" if width >= 512 else "shapes"


def _snapshot(repository: str) -> Path | None:
    """The folder of a hub repository in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "model_index.json")
    return Path(found).parent if isinstance(found, str) else None


SHARED = frozenset({"workers", "stream", "autoencoder", "text_encoder", "model.minutes"})
"""Training settings that say how clips are read, when to stop, or are of stages that both twins share."""


def check_partners(one: str, other: str, switch: str) -> None:
    """Refuses two trained checkpoints that differ in more than the ``switch``, as far as their training runs say.

    Raises:
        UserError: another setting differs, such as the data or the seed; with what it was.
    """
    a, b = _trained_with(one), _trained_with(other)
    if a is None or b is None:
        return
    changed = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)} - SHARED - {switch}
    made_a, made_b = _made_from(one), _made_from(other)
    a, b = {**a, **made_a}, {**b, **made_b}
    changed |= {key for key in made_a.keys() & made_b.keys() if made_a[key] != made_b[key]}
    if changed:
        key = min(changed, key=lambda name: (name != "data", name))
        raise UserError(
            f"{one} and {other} are no twins: {key} was {a.get(key)!r} in the training of one and {b.get(key)!r} in "
            f"that of the other, so a difference says nothing of the {switch}; train both alike, or with --train"
        )


def _trained_with(checkpoint: str) -> dict[str, Any] | None:
    """The settings that determine what the training run makes that a pipeline lies in, or None."""
    from artv.training.config import BEFORE, TrainConfig, identity

    file = Path(checkpoint).parent / "config.json"
    if Path(checkpoint).name != "pipeline" or not file.is_file():
        return None
    try:
        settings = json.loads(read_text(file))
    except ValueError:
        return None
    if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
        return None
    with suppress(ValueError):  # of a version that has others
        config = TrainConfig.model_validate(settings)
        settings = identity(config) | config.model_dump(include=set(BEFORE))
    inner = settings.pop("model")
    return {**settings, **{f"model.{key}": value for key, value in inner.items()}}


def _made_from(checkpoint: str) -> dict[str, Any]:
    """What the training run noted beside its settings: its clips and encoders, and the step that the pipeline is of."""
    from artv.training.inputs import FILE

    found: dict[str, Any] = {}
    for file in (Path(checkpoint).parent / FILE, Path(checkpoint) / "step.json"):
        with suppress(UserError):  # older runs have none
            found |= read_object(file)
    return found

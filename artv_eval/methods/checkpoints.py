"""Checkpoints by name: where their files are, which preset they are of, and a digest of everything they hold."""

import hashlib
from functools import lru_cache
from pathlib import Path

from artv import presets
from artv.errors import UserError
from artv.files import read_object

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
            with file.open("rb") as stream:
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

"""Where a pipeline's files are, without a download: a folder, or the hub's cache."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from artv.errors import UserError, closest
from artv.files import read_object

DTYPES = ("float32", "float16", "bfloat16")
OFFLOADS = (False, True, "model", "sequential")


def folder_of(source: str, revision: str | None = None) -> Path | None:
    """The folder with ``model_index.json``, or None if the weights are not here.

    Raises:
        UserError: a folder that holds no pipeline, or a name that is neither a folder nor a hub id.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise UserError(f"folder {source!r} holds no model_index.json; give a folder written by save_pretrained")
        return path
    if source.count("/") != 1 or source.startswith((".", "/")):
        raise UserError(f"{source!r} is no folder and no hub id (owner/name)")
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, "model_index.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def unavailable(source: str, revision: str | None = None) -> str | None:
    """How to fetch the weights, or None if they are here."""
    if folder_of(source, revision) is not None:
        return None
    pinned = f" --revision {revision}" if revision else ""
    return f"the weights of {source} are not here; fetch them with: hf download {source}{pinned}"


@lru_cache
def digest(source: str, revision: str | None = None) -> str:
    """16 hex digits: of the files' contents in a folder, of the commit in the hub's cache."""
    folder = folder_of(source, revision)
    if folder is None:
        raise UserError(str(unavailable(source, revision)))
    sha = hashlib.sha256()
    if folder.parent.name == "snapshots":
        sha.update(folder.name.encode())
        return sha.hexdigest()[:16]
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as stream:
            sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()[:16]


def class_name(source: str, revision: str | None = None) -> str:
    """Name of the pipeline's class.

    Raises:
        UserError: the installed diffusers does not have it.
    """
    import diffusers

    folder = folder_of(source, revision)
    assert folder is not None
    name = str(read_object(folder / "model_index.json").get("_class_name"))
    if not hasattr(diffusers, name):
        raise UserError(
            f"{source} is a {name}, which diffusers {diffusers.__version__} does not have; install a version that has "
            "(deprecated video pipelines: pip install 'diffusers>=0.36,<0.43')"
        )
    return name


@lru_cache(maxsize=1)
def load(
    source: str,
    revision: str | None,
    variant: str | None,
    dtype: str | None,
    safe: bool,
    offload: bool | str,
    device: str,
    slicing: bool = False,
    tiling: bool = False,
) -> Any:
    """The pipeline; only the last one is kept, for two may not fit in memory. Never runs remote code."""
    import torch
    from diffusers import DiffusionPipeline

    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}; {closest(dtype, DTYPES)}")
    if offload not in OFFLOADS:
        raise UserError(f"offload is {offload!r}; it must be true, false, model or sequential")
    if offload == "sequential" and device == "cpu":
        raise UserError(
            "offload is 'sequential' and the device a CPU, where accelerate cannot take layers away (they come back "
            "as plain tensors); leave it out, or take --device cuda"
        )
    chosen = dtype or ("float16" if device.startswith("cuda") else "float32")
    if (reason := unavailable(source, revision)) is not None:
        raise UserError(reason)
    class_name(source, revision)
    try:
        pipe = DiffusionPipeline.from_pretrained(
            source,
            revision=revision,
            variant=variant,
            torch_dtype=getattr(torch, chosen),
            use_safetensors=safe,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"the pipeline {source} cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    pipe.set_progress_bar_config(disable=True)
    keep_text_model(pipe)
    for asked, what in ((slicing, "slicing"), (tiling, "tiling")):
        if asked:
            _enable(pipe, what)
    if offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
        return pipe
    if offload:
        if pipe.model_cpu_offload_seq is None:
            raise UserError(
                f"{type(pipe).__name__} does not say in which order its networks run; take offload: sequential"
            )
        pipe.enable_model_cpu_offload(device=device)
        return pipe
    return pipe.to(device)


def _enable(pipe: Any, what: str) -> None:
    """Decoding in slices or tiles, on the autoencoder itself. Raises UserError where it has no such way."""
    try:
        getattr(pipe.vae, f"enable_{what}")()
    except (AttributeError, NotImplementedError):
        raise UserError(f"{type(pipe).__name__} has no autoencoder with {what}; leave out vae_{what}") from None


def keep_text_model(pipe: Any) -> None:
    """Deprecated pipelines ask for ``text_encoder.text_model``, whose layers transformers 5 holds directly."""
    encoder = getattr(pipe, "text_encoder", None)
    if encoder is not None and not hasattr(encoder, "text_model") and hasattr(encoder, "final_layer_norm"):
        # past nn.Module's own __setattr__: a module that is its own child would have no end
        object.__setattr__(encoder, "text_model", encoder)

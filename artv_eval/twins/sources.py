"""Digests of what a training reads: its clips, and the weights that it starts from."""

from pathlib import Path
from typing import Any

from artv.data.captions import captioned_clips, listing_digest
from artv.data.shard_index import identity, is_shards, read_index
from artv.presets import FIRST, check_components, is_packaged, model_folder
from artv_eval.plugins.digests import digest
from artv_eval.twins.store import folder_digest


def data_digest(data: str) -> str:
    """Digest of a folder (names, sizes and captions of its clips) or of shards (index); ``builtin`` is itself.

    Raises:
        UserError: there is no such data.
    """
    if data == "builtin":
        return data
    if is_shards(data):
        return digest(identity(read_index(data)))[:16]
    return listing_digest(captioned_clips(data))


def start_digest(components: str | None, init: str | None) -> dict[str, Any]:
    """Digest of autoencoder, text encoder and the networks' first weights; a hub's id stands for itself."""
    found: dict[str, Any] = {}
    packaged = init is not None and is_packaged(init)
    components = components or (FIRST if packaged else None)
    if components is not None:
        folder = check_components(components)
        found = {name: folder_digest(folder / name) for name in ("autoencoder", "text_encoder")}
    if init is not None:
        folder = model_folder(init) if packaged else Path(init)
        found["init"] = folder_digest(folder) if folder.is_dir() else init
    return found

"""What a folder of latent shards holds and whether it is whole. Needs no torch, so commands check it at once."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_object, write_text_atomically

INDEX, SUM = "index.json", "sha256"
CLIPS_A_SHARD = 256
NOT_SAID = ""
OLDER = {
    "source": NOT_SAID,
    "precision": "fp32",
    "text": "fp32",
    "device": NOT_SAID,
    "settings": NOT_SAID,
    "contents": NOT_SAID,
}
"""What folders hold whose index was written before it had these fields."""
LATER = ("text", "device", "settings", "contents")
"""Those of them that no digest of an index held."""


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """What a folder of shards holds. ``encoders``: digest of the weights that made the latents and the text.

    ``source``: of a built-in world its name, split and seed; of files a digest of their names, sizes and captions; ""
    where that is not known, in folders of older versions.
    ``precision``: of the autoencoder's weights and maps. ``text``: what the text encoder's matrix products round to.
    ``device``: the kind that encoded, for convolutions in float32 are of TF32 on a GPU. ``settings``: digest of the
    encoders' settings, which their weights do not say. ``contents``: digest of how the files begin and end, which tells
    one that was replaced by another as large. Folders of older versions do not say the last three.
    """

    data: str
    clips: int
    num_frames: int
    size: int
    fps: float
    encoders: str
    clips_a_shard: int = CLIPS_A_SHARD
    source: str = OLDER["source"]
    precision: str = OLDER["precision"]
    text: str = OLDER["text"]
    device: str = OLDER["device"]
    settings: str = OLDER["settings"]
    contents: str = OLDER["contents"]

    def __post_init__(self) -> None:
        for name in ("clips", "num_frames", "size", "clips_a_shard"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 1")
        if not isinstance(self.fps, int | float) or not 0 < self.fps < float("inf"):
            raise ValueError(f"fps is {self.fps!r}; it must be a number above 0")

    @property
    def shards(self) -> int:
        """Number of files."""
        return math.ceil(self.clips / self.clips_a_shard)

    def clips_in(self, shard: int) -> int:
        """Number of clips of one file."""
        return min(self.clips_a_shard, self.clips - shard * self.clips_a_shard)


def identity(index: ShardIndex) -> dict[str, Any]:
    """The fields, for digests that stay the same while fields are added: without those that say what was so before."""
    return {name: value for name, value in asdict(index).items() if name not in LATER or value != OLDER[name]}


def is_shards(folder: str | Path) -> bool:
    """Whether a folder holds shards (perhaps not all of them yet)."""
    return (Path(folder) / INDEX).is_file()


def begun_with(folder: Path) -> dict[str, Any]:
    """What a folder's latents are and how they are made, also where shards are missing; {} where it holds none yet."""
    return OLDER | _stored(folder / INDEX) if is_shards(folder) else {}


def missing_shards(folder: Path, index: ShardIndex) -> int:
    """Number of files that are not there."""
    return sum(not (folder / shard_name(k)).is_file() for k in range(index.shards))


def read_index(folder: str | Path) -> ShardIndex:
    """Raises :class:`UserError` when shards are missing."""
    folder = Path(folder)
    try:
        index = ShardIndex(**_stored(folder / INDEX))
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / INDEX} cannot be read: {str(error).splitlines()[0]}") from None
    if missing := missing_shards(folder, index):
        raise UserError(
            f"{folder}: {missing} of {index.shards} shards are missing; run the command that makes them again"
        )
    return index


def check_shards(folder: str | Path, **ours: Any) -> ShardIndex:
    """Their index. Raises :class:`UserError` where a field of it is not as here."""
    index = read_index(folder)
    for name, value in ours.items():
        theirs = getattr(index, name)
        if theirs != value and not (name in OLDER and theirs == NOT_SAID):
            raise UserError(f"{folder} holds latents with {name} = {theirs}, and the settings say {value}; make others")
    return index


def claim_shards(folder: Path, index: ShardIndex) -> None:
    """Says what the folder is for, before any work; refuses a folder that holds something else."""
    file = folder / INDEX
    if file.exists():
        stored = OLDER | _stored(file)
        for key, ours in asdict(index).items():
            theirs = stored.get(key)
            if theirs != ours and not (key in OLDER and theirs == NOT_SAID):
                remedy = f", or --device {theirs}" if key == "device" else ""
                raise UserError(f"{folder} holds shards with {key} = {theirs}, not {ours}; use another folder{remedy}")
        return
    try:
        fields = asdict(index)
        write_text_atomically(file, json.dumps({**fields, SUM: _checksum(fields)}, indent=1))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None


def _stored(file: Path) -> dict[str, Any]:
    """The fields that were written. Raises UserError for anything else; older versions wrote no checksum."""
    fields = read_object(file)
    if fields.pop(SUM, wanted := _checksum(fields)) != wanted:
        raise UserError(f"{file} is damaged; delete the folder's shards and make them again")
    return fields


def _checksum(fields: Mapping[str, Any]) -> str:
    known = {key: value for key, value in fields.items() if key != SUM}
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def shard_name(shard: int) -> str:
    """Name of a shard's file."""
    return f"{shard:06d}.tar"

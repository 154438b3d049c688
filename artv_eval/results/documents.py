"""JSON documents of a run folder. Each holds the checksum of the rest of it, and is read in an expected form."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from artv.errors import UserError
from artv.files import read_bytes, write_atomically

CHECKSUM = "sha256"


class ManifestCell(TypedDict):
    """A cell as the report needs it; ``status`` says why it has no clips; ``title``: which training of the cell."""

    id: str
    cell: str
    status: str
    title: NotRequired[str]


class Manifest(TypedDict):
    """What is read of ``manifest.json``, of which there is more."""

    command: list[str]
    started: str
    num_videos: int
    versions: dict[str, str]
    machine: dict[str, str]
    cells: list[ManifestCell]
    components: list[dict[str, str]]
    metrics: list[dict[str, Any]]


class GalleryItem(TypedDict):
    """A request whose clips the report shows."""

    index: int
    prompt: str
    seed: int
    fps: float


class Gallery(TypedDict):
    """``gallery.json``; older versions wrote the list alone."""

    requests: list[GalleryItem]


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """``document`` as indented JSON with its checksum; NaN and infinities are errors, as they are in JSON."""
    text = json.dumps({CHECKSUM: _checksum(document), **document}, indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


class _Run(TypedDict):
    protocol: dict[str, Any]
    cells: list[dict[str, Any]]


def read_manifest(run: Path) -> dict[str, Any]:
    """All of a run's ``manifest.json``. Raises UserError as :func:`read_json`, for another document there too."""
    read_json(run / "manifest.json", _Run)
    return read_json(run / "manifest.json")


def read_json(path: Path, form: Any = dict[str, Any]) -> Any:
    """What :func:`write_json` wrote, as the type ``form``. Documents of older versions have no checksum.

    Raises:
        UserError: there is none, it is no JSON, of another form, or not what was written.
    """
    try:
        document = json.loads(read_bytes(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; is {path.parent} the folder of a finished run?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or str(error)) from None
    found = document.pop(CHECKSUM, None) if isinstance(document, dict) else None
    if found is not None and found != _checksum(document):
        raise _damaged(path, "its checksum is another")
    try:
        return in_form(form, document)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def in_form(form: Any, value: Any) -> Any:
    """``value``, as JSON has it, as a typed dictionary or dataclass. Raises ValueError with the first field amiss."""
    from pydantic import ValidationError

    try:
        return _adapter(form).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise ValueError(f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


@cache
def _adapter(form: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(form)


def _checksum(document: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(document))  # whose keys are texts, for one
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged ({why}); delete it and run the sweep again")

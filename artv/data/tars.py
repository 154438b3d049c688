"""Clips in webdataset tars, read as they are: ``NAME.mp4`` beside ``NAME.json`` (field ``caption``) or ``NAME.txt``.

A tar is gone through once, for the places of its members; a clip is copied out of it when it is decoded, because
readers of video files want a file.
"""

import json
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from artv.data.listing import VIDEO_SUFFIXES
from artv.errors import UserError
from artv.files import ends_of, open_regular


@dataclass(frozen=True)
class TarMember:
    """A video within a tar. ``name``: of the member; ``start``, ``size``: bytes."""

    path: Path
    caption: str
    name: str
    start: int
    size: int

    @property
    def shown(self) -> str:
        """What errors call it."""
        return f"{self.path}:{self.name}"

    def ends(self) -> bytes:
        """A digest of how the video begins and ends."""
        return ends_of(self.path, self.start, self.size)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """A file with its bytes, for as long as the block runs."""
        with tempfile.NamedTemporaryFile(prefix="clip-", suffix=Path(self.name).suffix) as copy:
            with open_regular(self.path) as tar:
                tar.seek(self.start)
                copy.write(tar.read(self.size))
            copy.flush()
            yield Path(copy.name)


def tar_clips(folder: Path) -> list[TarMember]:
    """The clips of all ``*.tar`` of a folder, in order.

    Raises:
        UserError: a tar cannot be read, or a clip in it has no caption.
    """
    return [clip for path in sorted(folder.glob("*.tar")) for clip in _members(path)]


def _members(path: Path) -> Iterator[TarMember]:
    videos: dict[str, tarfile.TarInfo] = {}
    captions: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, suffix = member.name.rpartition(".")[::2]
                if member.isdir() or PurePosixPath(member.name).name.startswith("._"):  # macOS's own, beside each
                    continue
                if f".{suffix.lower()}" in VIDEO_SUFFIXES:
                    if key in videos:
                        raise UserError(f"tar {path} holds two clips {key}: each needs a name of its own")
                    videos[key] = member
                elif suffix in ("json", "txt") and (file := tar.extractfile(member)) is not None:
                    caption = _caption(file.read(), suffix, f"tar {path}: {member.name}")
                    captions |= {key: caption} if caption else {}
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"tar {path} cannot be read: {(str(error).splitlines() or [repr(error)])[0]}") from None
    lacking = [member.name for key, member in videos.items() if key not in captions]
    if lacking:
        raise UserError(
            f"tar {path}: {len(lacking)} of {len(videos)} clips have no caption, for example {lacking[0]}; each needs "
            "a .json with the text caption, or a .txt, of its name"
        )
    for key, member in videos.items():
        yield TarMember(path, captions[key], member.name, member.offset_data, member.size)


def _caption(data: bytes, suffix: str, where: str) -> str:
    """The caption in a member; "" where there is none: null or a list is no caption."""
    try:
        text = data.decode("utf-8-sig")
        found = text if suffix == "txt" else json.loads(text).get("caption")
        found = found.strip() if isinstance(found, str) else ""
        found.encode()  # JSON can hold half of a character
    except (ValueError, AttributeError) as error:
        raise UserError(f"{where} holds no caption that can be read: {(str(error).splitlines() or [''])[0]}") from None
    return found

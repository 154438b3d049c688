"""Clips of any model, made elsewhere: a folder of video files as a method."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artv.data.captions import CAPTIONS, read_captions
from artv.data.listing import by_number
from artv.errors import UserError
from artv.files import ends_of, read_bytes
from artv_eval.api import ClipRequest, GeneratedClip

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


class Folder:
    """Clips of any model, made elsewhere: those whose caption in the folder's ``captions.csv`` is the prompt.

    Of several with one caption, each is taken once: ``<index>.mp4`` first, then by their names. Without a
    ``captions.csv`` nothing says whose prompts they are: request i gets ``<i>.mp4``, or, where not all names are
    numbers, the i-th file by name. In names numbers are numbers: ``clip10`` comes after ``clip2``.

    Args:
        path: the folder.
        reader: decodes the files.
    """

    timed = False
    """The seconds that it takes are those of reading a clip, and nobody knows those of making it."""

    def __init__(self, path: str, *, reader: str | Callable[..., Any] = "decord") -> None:
        self.path, self.reader = Path(path), reader
        if not self.path.is_dir():
            raise UserError(f"folder {path!r} does not exist; give a folder with video files ({', '.join(VIDEOS)})")
        files = (file for file in self.path.iterdir() if file.suffix.lower() in VIDEOS and not file.is_dir())
        self.files = sorted(files, key=by_number)
        if not self.files:
            raise UserError(f"folder {path!r} holds no video files ({', '.join(VIDEOS)})")
        table = self.path / CAPTIONS
        self._table = read_bytes(table) if table.is_file() else None
        self._captions = read_captions(table).of(self.files, self.path) if self._table is not None else None
        self._found: dict[int, Path] = {}

    def digest(self) -> str:
        """Digest of the files' names, sizes and times of change, of how they begin and end, and of their captions."""
        sha = hashlib.sha256(b"matched by caption" if self._table is None else self._table)
        for file in sorted(self.files):
            sha.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode() + ends_of(file))
        if self.files != sorted(self.files) and self._by_place():
            sha.update(b"by number")  # they were dealt by their letters once
        return sha.hexdigest()[:16]

    def _by_place(self) -> bool:
        """Whether it may be their order that says which file a request gets."""
        if self._captions is None:
            return not all(file.stem.isdecimal() for file in self.files)
        return len({_words(caption) for caption in self._captions.values()}) < len(self._captions)

    def prepare(self, requests: Sequence[ClipRequest]) -> None:
        """Finds the file of each request of the run. Raises UserError where there is none of its prompt."""
        self._found = self._match(requests)

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The first T frames of each request's file at the protocol's rate; the size must be the protocol's."""
        unknown = [request for request in requests if request.index not in self._found]
        found = {**self._match(unknown), **self._found}
        return (GeneratedClip(self._read(found[request.index], request)) for request in requests)

    def _read(self, file: Path, request: ClipRequest) -> np.ndarray:
        from artv_eval.files.excerpts import Excerpt, read_excerpt

        excerpt = Excerpt(frames=request.num_frames, fps=request.fps, reader=self.reader)  # type: ignore[arg-type]
        return read_excerpt(file, excerpt).shown

    def _match(self, requests: Sequence[ClipRequest]) -> dict[int, Path]:
        """Index → file. More requests than before leave those of the first as they were."""
        if self._captions is None:
            return {request.index: self._file(request.index) for request in requests}
        left: dict[str, list[Path]] = {}
        for file, caption in self._captions.items():
            left.setdefault(_words(caption), []).append(file)
        found, lacking = {}, []
        for request in requests:
            files = left.get(_words(request.prompt), [])
            if not files:
                lacking.append(request)
                continue
            numbered = [file for file in files if file.stem.isdecimal() and int(file.stem) == request.index]
            found[request.index] = (numbered or files)[0]
            files.remove(found[request.index])
        if lacking:
            raise UserError(
                f"folder {str(self.path)!r} holds no clip for {len(lacking)} of {len(requests)} prompts, for example "
                f"{lacking[0].prompt!r}: its {CAPTIONS} has other captions, or each fewer times; make clips of the "
                "protocol's prompts, or lower --num-videos"
            )
        return found

    def _file(self, index: int) -> Path:
        if all(file.stem.isdecimal() for file in self.files):
            named = {int(file.stem): file for file in self.files}
            if len(named) < len(self.files):
                twice = next(file for file in self.files if named[int(file.stem)] != file)
                raise UserError(
                    f"folder {str(self.path)!r} holds several files of one number, {twice.name} and "
                    f"{named[int(twice.stem)].name}; keep one"
                )
            if index not in named:
                raise UserError(f"folder {str(self.path)!r} holds no video {index}; lower --num-videos, or add it")
            return named[index]
        if index >= len(self.files):
            raise UserError(
                f"folder {str(self.path)!r} holds {len(self.files)} videos; the protocol asks for more: lower "
                "--num-videos"
            )
        return self.files[index]


def _words(caption: str) -> str:
    return " ".join(caption.split())

"""Clips of any model, made elsewhere: a folder of video files as a method."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.api import ClipRequest, GeneratedClip

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


class Folder:
    """Clips of any model, made elsewhere: ``<index>.mp4``, or the video files of a folder in the order of their names.

    Args:
        path: the folder.
        reader: decodes the files.
    """

    def __init__(self, path: str, *, reader: str | Callable[..., Any] = "decord") -> None:
        self.path, self.reader = Path(path), reader
        if not self.path.is_dir():
            raise UserError(f"folder {path!r} does not exist; give a folder with video files ({', '.join(VIDEOS)})")
        self.files = sorted(file for file in self.path.iterdir() if file.suffix.lower() in VIDEOS and not file.is_dir())
        if not self.files:
            raise UserError(f"folder {path!r} holds no video files ({', '.join(VIDEOS)})")

    def digest(self) -> str:
        """Of the files' names, sizes and times of change."""
        sha = hashlib.sha256()
        for file in self.files:
            sha.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
        return sha.hexdigest()[:16]

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The first T frames of each request's file at the protocol's rate; the size must be the protocol's."""
        return (GeneratedClip(self._read(self._file(request.index), request)) for request in requests)

    def _read(self, file: Path, request: ClipRequest) -> np.ndarray:
        from artv.data.readers import frames_at, reader_of

        reader = reader_of(file, self.reader) if isinstance(self.reader, str) else self.reader
        try:
            video = reader(file)
            indices = frames_at(video, request.fps)[: request.num_frames]
            if len(indices) == request.num_frames:
                return video.frames(indices)
        except Exception as error:
            raise UserError(f"video {file} cannot be read: {' '.join(str(error).split())[:200]}") from None
        raise UserError(
            f"video {file} has {len(indices)} frames at {request.fps:g} fps; the protocol asks for {request.num_frames}"
        )

    def _file(self, index: int) -> Path:
        named = {int(file.stem): file for file in self.files if file.stem.isdecimal()}
        if len(named) == len(self.files):
            if index not in named:
                raise UserError(f"folder {str(self.path)!r} holds no video {index}; lower --num-videos, or add it")
            return named[index]
        if index >= len(self.files):
            raise UserError(
                f"folder {str(self.path)!r} holds {len(self.files)} videos; the protocol asks for more: lower "
                "--num-videos"
            )
        return self.files[index]

"""A model in an environment of its own: any program that reads requests and writes clips, named in a YAML file.

``docs/any_model.md`` has the fields of the file and the lines that go to and fro.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from weakref import finalize

from PIL import Image
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from artv.errors import UserError
from artv.requests import MOST
from artv.yaml_files import read_yaml
from artv.yaml_models import YamlModel
from artv_eval.api import ClipRequest, FailedClip, GeneratedClip, NextFrames
from artv_eval.errors import explain
from artv_eval.features.weights import sha256_of
from artv_eval.files.decoding import Decoders
from artv_eval.methods.program import Program, ProgramFault
from artv_eval.methods.written_clips import read_clip, read_pictures
from artv_eval.plugins.digests import digest

DEVICE = "ARTV_DEVICE"  # what the program's environment calls the sweep's --device
NO_CLIPS_DEPEND_ON = {"seconds", "start_seconds", "scratch", "streams", "precision", "steps"}
TOLD = 300  # characters of a program's own error

Made = GeneratedClip | FailedClip
Seconds = Field(default=600.0, gt=0, le=1e7)


class CommandFile(YamlModel):
    """The fields of the YAML file; paths begin at its folder.

    Args:
        program: and its arguments. No shell reads them.
        folder: where it works.
        environment: added to ours; null takes a variable away.
        start_seconds: until it is ready.
        seconds: a clip may take.
        batch: requests that are sent at once.
        files: name of each clip's file, of ``index``; with another ending also ``.npy``, without one a folder of PNGs.
        scratch: folder for clips until they are read; null: the system's.
        depends: files and folders that clips depend on; other contents are other clips.
        reader: decodes video files.
        streams: whether it announces frames as they are ready; ``files`` is then a folder of PNGs.
        precision, steps: what it samples with, for the speed card.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    program: tuple[str, ...] = Field(min_length=1)
    folder: Path = Path()
    environment: dict[str, str | None] = {}
    start_seconds: float = Seconds
    seconds: float = Seconds
    batch: int = Field(default=1, ge=1, le=1000)
    files: str = Field(default="{index:06d}.mp4", pattern=r"^[\w-]*\{index(:0\d+d)?\}[\w-]*(\.\w+)?$")
    scratch: Path | None = None
    depends: tuple[Path, ...] = ()
    reader: Literal["decord", "pyav"] = "decord"
    streams: bool = False
    precision: str | None = None
    steps: int | None = Field(default=None, ge=1, le=MOST)

    @field_validator("program", mode="before")
    @classmethod
    def _is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError("it must be a list of the program and its arguments, not a line for a shell")
        return value

    @model_validator(mode="after")
    def _streams_pictures(self) -> "CommandFile":
        if self.streams and "." in self.files:
            raise ValueError("a program that streams writes pictures: give 'files' a name without an ending")
        return self


class Command:
    """Clips of a program with an environment of its own: started once, fed requests, its files read.

    What the program does wrong costs the clip that it was asked for then, with the reason. After a crash, a time-out or
    a line that is no answer it is started anew, and what it had left of a batch is asked for one by one. One that does
    not start costs the cell. A clip's seconds hold the writing of its file, and not the start.

    Args:
        file: the YAML file (:class:`CommandFile`).
        device: told to the program as the environment variable ``ARTV_DEVICE``.
    """

    def __init__(self, file: str, *, device: str = "cpu") -> None:
        self.path, self.device = Path(file).absolute(), device
        try:
            self.settings = CommandFile.model_validate(read_yaml(file, "command file"))
        except ValidationError as error:
            raise UserError(f"command file {file}: {explain(error, CommandFile)}; see docs/any_model.md") from None
        self._program: Program | None = None
        self._broken = ""
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._read: dict[Path, dict[Path, tuple[int, int]]] = {}  # of clips that did not lie in it, as they were
        self._decoders = Decoders(1)
        finalize(self, self._decoders.__exit__)

    def unavailable(self) -> str | None:
        """What the file names and is not here."""
        folder, name = self._at(self.settings.folder), self.settings.program[0]
        if not folder.is_dir():
            return f"{self.path.name}: folder {folder} does not exist"
        if shutil.which(name if "/" not in name else folder / name, path=self._environment().get("PATH")) is None:
            return f"{self.path.name}: program {name!r} is not here; install it, or give its path"
        missing = next((path for path in self.settings.depends if not self._at(path).exists()), None)
        return f"{self.path.name}: {missing}, which it depends on, does not exist" if missing else None

    def digest(self) -> str:
        """Digest of the file's fields that clips depend on, and of what is in ``depends``."""
        values = self.settings.model_dump(mode="json", exclude=NO_CLIPS_DEPEND_ON)
        return digest([values, {str(path): _contents(self._at(path)) for path in self.settings.depends}])[:16]

    def conditions(self) -> dict[str, Any]:
        """What the file says, for the speed card."""
        return {"precision": self.settings.precision, "steps": self.settings.steps}

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames] | None:
        """The clip of one request, as the program announces its frames; None where it does not, and for several."""
        return self._streamed(requests[0]) if self.settings.streams and len(requests) == 1 else None

    def _streamed(self, request: ClipRequest) -> Iterator[NextFrames]:
        program, there, since = self._running(), 0, time.monotonic()
        try:
            program.ask([self._line(request)])
            while there < request.num_frames:
                answer = program.answer(self.settings.seconds, since)
                if answer.get("index") != request.index:
                    raise program.fault(f"answered for index {answer.get('index')!r}, which was not asked for")
                if "error" in answer:
                    raise UserError(f"the program says: {_told(answer['error'])}")
                if not isinstance(ready := answer.get("ready", request.num_frames), int):
                    raise program.fault(f"said that {_told(ready)!r} pictures are ready, where a number is due")
                if (ready := min(ready, request.num_frames)) > there:
                    yield NextFrames(read_pictures(self._out(request), request, there, ready)[None])
                    there = ready
            while "file" not in answer:  # it says so when it is done with the clip
                answer = program.answer(self.settings.seconds, since)
        except ProgramFault as error:
            self._program = None
            raise UserError(str(error)) from None
        except BaseException:  # it is at work on what nobody waits for any more
            self._program = None
            program.fault("was stopped")
            raise
        finally:
            _remove(self._out(request))
            _remove(self._picture(request))

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[Made]:
        """A batch of the program's size after another. Raises UserError where it does not start."""
        for start in range(0, len(requests), self.settings.batch):
            yield from self._made(requests[start : start + self.settings.batch])

    def _made(self, requests: Sequence[ClipRequest]) -> list[Made]:
        answers, seconds, fault = self._asked(requests)
        named = Counter(self._named(answer) for answer in answers.values())
        try:
            return [
                self._clip(request, answers[request.index], seconds, named)
                if request.index in answers
                else self._again(request, fault if len(requests) == 1 else None)
                for request in requests
            ]
        finally:
            for request in requests:
                _remove(self._out(request))
                _remove(self._picture(request))

    def _again(self, request: ClipRequest, fault: str | None) -> Made:
        """A clip that was left when something went wrong: alone it may be made, and alone it is to blame."""
        try:
            return self._made([request])[0] if fault is None else FailedClip(fault)
        except UserError as error:  # the others of its batch are there, and stay
            return FailedClip(str(error))

    def _asked(self, requests: Sequence[ClipRequest]) -> tuple[dict[int, dict[str, Any]], float, str]:
        """Index → answer, as far as there are any; the seconds a clip; and what went wrong, if anything did."""
        program, left = self._running(), {request.index for request in requests}
        asked, allowed = [self._line(request) for request in requests], self.settings.seconds * len(requests)
        answers: dict[int, dict[str, Any]] = {}
        answered = since = time.monotonic()
        fault = ""
        try:
            program.ask(asked)
            while left:
                answer = program.answer(allowed, since)
                if self.settings.streams and "ready" in answer:
                    continue  # the clip is not whole yet
                index, answered = answer.get("index"), time.monotonic()
                if not isinstance(index, int) or index not in left:
                    raise program.fault(f"answered for index {index!r}, of which nothing was left to answer")
                left.remove(index)
                answers[index] = answer
        except ProgramFault as error:
            self._program, fault = None, str(error)
        except BaseException:  # it is at work on what nobody waits for any more
            self._program = None
            program.fault("was stopped")
            raise
        return answers, (answered - since) / max(len(answers), 1), fault

    def _running(self) -> Program:
        """The program, ready. One that did not start is not tried again."""
        if self._program is None:
            try:
                if self._broken:
                    raise ProgramFault(self._broken)
                self._program = self._started()
            except (ProgramFault, OSError) as error:
                self._broken = str(error)
                raise UserError(f"command file {self.path} did not start: {error}") from None
        return self._program

    def _started(self) -> Program:
        program = Program(self.settings.program, self._at(self.settings.folder), self._environment())
        first = program.answer(self.settings.start_seconds)
        if first.get("ready") is not True:
            raise program.fault(f'began with {str(first)[:TOLD]}, where {{"ready": true}} is due')
        return program

    def _line(self, request: ClipRequest) -> dict[str, Any]:
        """The request as the program reads it; nothing lies where its file will."""
        _remove(self._out(request))
        picture = None
        if request.first_frame is not None:
            picture = str(self._picture(request))
            Image.fromarray(request.first_frame).save(picture)
        fields = ("index", "prompt", "seed", "num_frames", "height", "width", "fps")
        asked: Mapping[str, Any] = {field: getattr(request, field) for field in fields}
        return {**asked, "first_frame": picture, "out": str(self._out(request))}

    def _clip(
        self, request: ClipRequest, answer: Mapping[str, Any], seconds: float, named: Mapping[Path | None, int]
    ) -> Made:
        """What the answer says, read; its files are removed. ``named``: how often the batch's answers name a file."""
        if "error" in answer:
            return FailedClip(f"the program says: {_told(answer['error'])}")
        if (file := self._named(answer)) is None:
            return FailedClip("the program's answer has neither 'file' nor 'error'")
        try:
            self._check_own(file, request, named[file])
            return GeneratedClip(read_clip(file, request, self._decoders, self.settings.reader), seconds=seconds)
        except (ValueError, OSError) as error:
            return FailedClip(str(error))
        finally:
            if self._folder() in file.parents:
                _remove(file)

    def _named(self, answer: Mapping[str, Any]) -> Path | None:
        """The file that an answer names, links followed; None where it names none."""
        try:
            return Path(os.path.realpath(self._at(self.settings.folder) / answer["file"]))
        except (KeyError, TypeError, ValueError):
            return None

    def _check_own(self, file: Path, request: ClipRequest, named: int) -> None:
        """Raises UserError where it may be another clip's, which would look as good."""
        if self._folder() in file.parents:
            if file.stem != self._out(request).stem:
                raise UserError(f"the program named {file.name} as the clip's file, where {self._out(request)} was due")
            return
        if named > 1:
            raise UserError(f"the program named {file} for {named} clips of a batch; each is due in its own, its 'out'")
        state = {path: _state(path) for path in _files(file)}
        if state and self._read.get(file) == state:
            raise UserError(f"the program named {file}, which is as it was when an earlier clip was read from it")
        self._read[file] = state

    def _out(self, request: ClipRequest) -> Path:
        return self._folder() / self.settings.files.format(index=request.index)

    def _picture(self, request: ClipRequest) -> Path:
        return self._folder() / f"first-{request.index}.png"

    def _folder(self) -> Path:
        if self._scratch is None:
            place = None if self.settings.scratch is None else self._at(self.settings.scratch)
            self._scratch = tempfile.TemporaryDirectory(prefix="artv-command-", dir=place)
        return Path(os.path.realpath(self._scratch.name))

    def _at(self, path: Path) -> Path:
        return self.path.parent / path

    def _environment(self) -> dict[str, str]:
        values: dict[str, str | None] = {**os.environ, DEVICE: self.device, **self.settings.environment}
        return {name: value for name, value in values.items() if value is not None}


def _told(said: Any) -> str:
    """A program's own words, in characters that every file takes."""
    return str(said).encode("utf-8", "replace").decode()[:TOLD]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _contents(path: Path) -> dict[str, str]:
    """Path in the folder → sha256 of each file; of a file alone its own."""
    return {str(file.relative_to(path)): _sha256(file, *_state(file)) for file in _files(path)}


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _state(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=4096)
def _sha256(file: Path, size: int, changed: int) -> str:
    """Weights are large: each is read once a process, unless it changes."""
    return sha256_of(file)

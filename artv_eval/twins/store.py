"""Where trained twins are kept, under names that say what they are, for every sweep to find.

STORE/<id>/twin.json      what the id is the hash of
STORE/<id>/pipeline/      the checkpoint
STORE/<id>/finished.json  seconds, device, digest of the checkpoint: the training is done
STORE/<id>/spent.json     seconds so far, of a training that was interrupted or failed
STORE/<id>/train.log      what the training said
STORE/<id>/runs/          a note for each run folder with clips of it
STORE/<id>/lock           held by the process that trains
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError, WorkFailed
from artv.files import open_regular, read_object, write_atomically
from artv_eval.plugins.recipe import plain
from artv_eval.results.noted_runs import noted_runs
from artv_eval.twins.training import Training

PATIENCE = 48 * 3600.0  # seconds for which another process may train a twin


class TwinStore:
    """A folder of twins. Nothing is written until one is trained."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise UserError(f"--twins is {str(root)!r}, which is a file; give a folder")

    def folder(self, training: str) -> Path:
        """The folder of a training's id."""
        return self.root / training

    def checkpoint(self, training: str) -> Path:
        """What the method is given."""
        return self.folder(training) / "pipeline"

    def notes(self, training: str) -> Path:
        """Where run folders with clips of it are noted."""
        return self.folder(training) / "runs"

    def unused(self, but: Collection[str] = ()) -> list[Path]:
        """Folders of twins of which every noted run folder is gone. One without notes may be older than these.

        Args:
            but: ids of trainings that are used, whatever is noted.
        """
        found = []
        for folder in sorted(self.root.glob("*/")):
            there, gone = noted_runs(folder / "runs")
            if gone and not there and folder.name not in but:
                found.append(folder)
        return found

    def finished(self, training: str) -> dict[str, Any] | None:
        """What was noted at the end of a training, or None while there is none."""
        try:
            return read_object(self.folder(training) / "finished.json")
        except UserError:
            return None

    def begin(self, training: Training) -> Path:
        """The folder, with what its name is the hash of."""
        folder = self.folder(training.id)
        note = {"trainer": training.trainer.to_dict(), "settings": plain(training.settings), "seed": training.seed}
        write_atomically(folder / "twin.json", (json.dumps(note, indent=1, sort_keys=True) + "\n").encode())
        return folder

    def spend(self, training: str, seconds: float) -> float:
        """Adds to the seconds that a training took before and gives their sum; of a part that was killed none count."""
        note = self.folder(training) / "spent.json"
        with suppress(UserError, KeyError, TypeError, ValueError):
            seconds += float(read_object(note)["seconds"])
        write_atomically(note, (json.dumps({"seconds": seconds}) + "\n").encode())
        return seconds

    def finish(self, training: str, facts: dict[str, Any]) -> None:
        """Notes that the checkpoint is whole."""
        facts = {**facts, "digest": folder_digest(self.checkpoint(training))}
        write_atomically(self.folder(training) / "finished.json", (json.dumps(facts, indent=1) + "\n").encode())
        (self.folder(training) / "spent.json").unlink(missing_ok=True)

    @contextmanager
    def locked(self, training: str, *, wait: bool = True) -> Iterator[bool]:
        """Waits until no other process trains this twin. A process that inherits open files holds the lock too.

        Yields True; without ``wait`` False where another process trains it.

        Raises:
            WorkFailed: another one has held it for ``PATIENCE``.
        """
        folder = self.folder(training)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w", encoding="utf-8") as file:
            os.set_inheritable(file.fileno(), True)
            yield _wait_for(file.fileno(), folder) if wait else _held(file.fileno())

    def free(self) -> int:
        """Bytes that can still be written where the store is, or will be."""
        place = self.root.absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def _held(handle: int) -> bool:
    """Locks an open file, unless another process has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def _wait_for(handle: int, folder: Path) -> bool:
    until, told = time.monotonic() + PATIENCE, False
    while time.monotonic() < until:
        if _held(handle):
            return True
        if not told:
            print(f"another process trains {folder}; waiting for it", file=sys.stderr)
        told = True
        time.sleep(0.5)
    raise WorkFailed(f"another process has trained {folder} for {PATIENCE / 3600:.0f} hours; stop it, or wait for it")


def folder_digest(folder: Path) -> str:
    """16 hex digits of every file below a folder: names and bytes."""
    sha = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(f"{file.relative_to(folder)}\0".encode())
        with open_regular(file) as stream:
            sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()[:16]

"""The store: clips and rows of many sweeps, each kept once under what it is of, for run folders to refer to.

    STORE/store.json                   that this is a store, and of which form
    STORE/clips/<cell id>.<maker>/     as a run folder's clips/<cell id>, which is a link to it
    STORE/features/<group>.<maker>/    likewise; of a cell, or of reference clips
    STORE/made/<cell id>.<maker>.jsonl on what which clips were made, a line a batch
    STORE/runs/<digest>.json           a run folder that refers to something here
    STORE/index.sqlite                 what is known of the clips; made anew from them where it is lost or damaged

A *maker* is 8 digits of all that things can depend on beside their id: code, versions, kind of device, a twin's
weights. Clips of other code or another device are other clips: nothing that was made otherwise is taken for them.

Links are the references: what no link of a run folder leads to, nobody needs. A run folder that was begun without a
store has folders where others have links, and is used as it is.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artv.errors import UserError
from artv.files import writable_folder
from artv_eval.results.clip_index import ClipIndex
from artv_eval.results.documents import read_json, write_json
from artv_eval.results.noted_runs import note_run, noted_places, noted_runs, runs_near

SCHEMA = 1
KINDS = ("clips", "features")
INDEX = "index.sqlite"
TRASH = ".removed-"


class SharedStore:
    """A store.

    Args:
        root: made with the first thing that is kept in it.

    Raises:
        UserError: it is a file, a folder of something else, or was written by a newer version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        note = root / "store.json"
        if note.is_file():
            schema = read_json(note).get("schema")
            if not isinstance(schema, int) or schema > SCHEMA:
                raise UserError(
                    f"the store {root} was written by a newer artv_eval; upgrade artv, or give another with --store"
                )
        elif root.is_dir() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise UserError(f"--store is {str(root)!r}, a folder of something else; give a new one, or a store")
        elif root.exists() and not root.is_dir():
            raise UserError(f"--store is {str(root)!r}, which is a file; give a folder")

    @property
    def notes(self) -> Path:
        """Where run folders that refer to it are noted."""
        return self.root / "runs"

    def begin(self, run: Path) -> None:
        """Makes it, if it is not there, and notes that a run folder will refer to it."""
        writable_folder(self.root, "--store")
        if not (self.root / "store.json").is_file():
            write_json(self.root / "store.json", {"schema": SCHEMA, "what": "clips and rows of artv-eval sweeps"})
        note_run(self.notes, run)

    def place(self, kind: str, name: str, maker: str) -> Path:
        """Where something is kept, or will be."""
        return self.root / kind / f"{name}.{maker}"

    def refer(self, run: Path, kind: str, name: str, maker: str) -> None:
        """Makes ``run/kind/name`` a link to what is kept here, unless the run has something there already.

        A file system without links gets a folder of the run's own.
        """
        link, place = run / kind / name, self.place(kind, name, maker)
        if link.is_symlink() and not link.exists():
            link.unlink()  # what it led to is gone, or the folder was moved without its store
        if link.exists():
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process of this run
            try:
                link.symlink_to(_way(link, place), target_is_directory=True)
            except (PermissionError, NotImplementedError, OSError) as error:
                if isinstance(error, FileExistsError):
                    raise
                link.mkdir()
                return
        place.mkdir(parents=True, exist_ok=True)

    def entries(self) -> dict[str, list[Path]]:
        """``clips`` and ``features`` → the folders kept there."""
        return {kind: sorted((self.root / kind).iterdir()) if (self.root / kind).is_dir() else [] for kind in KINDS}

    def runs(self) -> tuple[list[Path], list[Path]]:
        """The run folders that were noted and are there, and the notes of those that are gone."""
        return noted_runs(self.notes)

    def near(self) -> list[Path]:
        """Run folders that nobody noted where they are, for they were renamed, moved or copied: beside the store,
        beside those that were noted, and a folder deeper.
        """
        there, gone = self.runs()
        noted = [*there, *(place for note in gone for place in noted_places(note))]
        known = {run.resolve() for run in there}
        found = runs_near([self.root.absolute().parent, *(run.parent for run in noted)])
        return [run for run in found if run.resolve() not in known]

    def refers(self, run: Path) -> bool:
        """Whether a run folder refers to something that is here."""
        return any((self.root / kind / name).is_dir() for kind, name in _led_to(run))

    def unnamed(self, more: Sequence[Path] = ()) -> list["Unnamed"]:
        """What no run folder refers to: neither those that were noted, nor those near, nor ``more``."""
        entries = self.entries()  # first: what is made from now on is not among them
        named = self._named(more)
        return [unnamed(path) for kind in KINDS for path in entries[kind] if (kind, path.name) not in named]

    def _named(self, more: Sequence[Path]) -> set[tuple[str, str]]:
        return {name for run in (*self.runs()[0], *self.near(), *more) for name in _led_to(run)}

    def remove(self, items: Sequence["Unnamed"], more: Sequence[Path] = ()) -> list["Unnamed"]:
        """Deletes them: out of sight first, so that nobody finds half of one. Returns what was deleted: what a run
        that began meanwhile refers to by then stays.
        """
        self._empty(more)  # an interrupted removal may have left one of the same name
        for item in items:
            item.path.rename(self.root / f"{TRASH}{item.path.parent.name}.{item.path.name}")
        emptied = self._empty(more)
        removed = [item for item in items if (item.path.parent.name, item.path.name) in emptied]
        ClipIndex(self.root / INDEX).forget([item.path.name for item in removed])
        for note in self.runs()[1]:
            note.unlink()
        return removed

    def _empty(self, more: Sequence[Path]) -> set[tuple[str, str]]:
        """Deletes what was put out of sight; what a run refers to by now comes back. Returns what was deleted."""
        trashes = list(self.root.glob(f"{TRASH}*"))
        named, emptied = self._named(more) if trashes else set(), set()
        for trash in trashes:  # a run links to a place before it looks what is there
            kind, _, name = trash.name.removeprefix(TRASH).partition(".")
            if (kind, name) in named:
                _put_back(trash, self.root / kind / name)
                continue
            shutil.rmtree(trash)
            emptied.add((kind, name))
            if kind in KINDS and not (self.root / kind / name).exists():  # one made anew keeps its notes
                (self.root / ".claims" / name).unlink(missing_ok=True)
                (self.root / "made" / f"{name}.jsonl").unlink(missing_ok=True)
        return emptied


@dataclass(frozen=True, kw_only=True)
class Unnamed:
    """Something in a store that no run folder refers to."""

    path: Path
    files: int
    bytes: int


def unnamed(path: Path) -> Unnamed:
    """A folder with its size."""
    sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    return Unnamed(path=path, files=len(sizes), bytes=sum(sizes))


def _put_back(trash: Path, place: Path) -> None:
    """Where somebody has made the place anew, what is not there yet."""
    with suppress(OSError):
        trash.rename(place)
        return
    for file in trash.iterdir():
        if not (place / file.name).exists():
            file.rename(place / file.name)
    shutil.rmtree(trash)


def _way(link: Path, place: Path) -> Path:
    """From a link to its place: relative where the store lies beside the run folder, so that both can move together."""
    here, there = link.parent.resolve(), place.resolve()
    beside = here.parents[1]  # the folder that holds the run folder
    return Path(os.path.relpath(there, here)) if there.is_relative_to(beside) else there


def _led_to(run: Path) -> Iterator[tuple[str, str]]:
    """Kind and name of what a run folder refers to: its links lead elsewhere where it was moved without the store."""
    for kind in KINDS:
        if (run / kind).is_dir():
            yield from ((kind, path.readlink().name) for path in (run / kind).iterdir() if path.is_symlink())

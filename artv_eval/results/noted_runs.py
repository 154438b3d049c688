"""Which run folders use something that is shared: a note for each, found again when both were moved together.

A note holds the run's id too (``run.id``), so that another run under the same path is not taken for it. One that was
renamed, moved or copied nearby is found by looking: beside what is noted, and a folder deeper.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from artv.files import read_text
from artv_eval.plugins.digests import digest
from artv_eval.results.documents import read_json, write_json

ID = "run.id"
"""File of a run folder by which it is told from others."""


def run_id(run: Path) -> str | None:
    """What tells a run folder from another one under the same path; None where there is none."""
    try:
        return read_text(run / ID)
    except OSError:
        return None


def note_run(notes: Path, run: Path) -> None:
    """Notes a run folder in the folder ``notes``. The note of another one, which was there before, stays."""
    here = run.absolute()
    note = {"run": str(here), "beside": os.path.relpath(here, notes.absolute()), "id": run_id(run)}
    place = notes / f"{digest(str(here))[:16]}.json"
    if place.is_file() and read_json(place).get("id") not in (None, note["id"]):
        place = notes / f"{digest([str(here), note['id']])[:16]}.json"
    write_json(place, note)


def noted_runs(notes: Path) -> tuple[list[Path], list[Path]]:
    """The run folders that are there, and the notes of those that are gone."""
    there: dict[Path, Path] = {}
    gone: list[Path] = []
    for note in sorted(notes.glob("*.json")):
        places, wanted = noted_places(note), read_json(note).get("id")
        place = next((p for p in places if p.is_dir() and (wanted is None or run_id(p) in (None, wanted))), None)
        if place is None:
            gone.append(note)
        else:
            there.setdefault(place.resolve(), place)
    return list(there.values()), gone


def noted_places(note: Path) -> list[Path]:
    """Where the run folder of a note was, and where it is if it was moved together with the note."""
    found = read_json(note)
    return [Path(found["run"]), note.parent / found["beside"]]


def runs_near(places: Iterable[Path]) -> list[Path]:
    """Run folders in these folders and in theirs, whoever noted them."""
    found: dict[Path, Path] = {}
    for place in {path.resolve() for path in places}:
        for folder in _folders(place):
            for run in (folder,) if _is_run(folder) else _folders(folder):
                if _is_run(run):
                    found.setdefault(run.resolve(), run)
    return sorted(found.values())


def _folders(place: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(place) as entries:  # it is gone, or not ours to look into
        yield from [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _is_run(folder: Path) -> bool:
    with suppress(OSError):
        return (folder / "manifest.json").is_file() and (folder / "cells").is_dir()
    return False

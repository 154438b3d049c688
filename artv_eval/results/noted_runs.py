"""Which run folders use something that is shared: a note for each, found again when both were moved together."""

import os
from pathlib import Path

from artv_eval.plugins.digests import digest
from artv_eval.results.documents import read_json, write_json


def note_run(notes: Path, run: Path) -> None:
    """Notes a run folder in the folder ``notes``."""
    here = run.absolute()
    note = {"run": str(here), "beside": os.path.relpath(here, notes.absolute())}
    write_json(notes / f"{digest(str(here))[:16]}.json", note)


def noted_runs(notes: Path) -> tuple[list[Path], list[Path]]:
    """The run folders that are there, and the notes of those that are gone."""
    there: list[Path] = []
    gone: list[Path] = []
    for note in sorted(notes.glob("*.json")):
        found = read_json(note)
        places = [Path(found["run"]), notes / found["beside"]]
        place = next((place for place in places if place.is_dir()), None)
        (gone if place is None else there).append(note if place is None else place)
    return there, gone

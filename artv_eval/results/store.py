"""The run folder: clips, described rows and results, each written whole or not at all.

    clips/<cell id>/                a link into the store (:mod:`artv_eval.results.shared_store`), or a folder
    clips/<cell id>/<index>.npz     frames uint8, exact; mask float32 if the method has one; of which clip (clips.py)
    faults/<id>.txt                 what stopped a cell or a training: one line, then where it was raised
    faults/metrics/<metric>.<id>.txt  likewise of a metric of a cell, at the last scoring
    faults/<cell id>.clips          clips of the batches that it stopped: the others are made all the same
    faults/<cell id>/<index>.txt    why there is no such clip; in older folders clips/<cell id>/<index>.failed
    cells/<cell id>.json            what the cell id is the hash of
    features/<cell id>/<key>.npz    likewise linked: one row a clip, with the fingerprint of the clip it describes
    results/<n>-clips_<metrics>_<digest>.json  what results.json held of other clips, metrics or settings
    run.id                          by which machines know that they see the same folder
    manifest.json results.json results.csv comparisons.csv per_clip.csv report.html gallery.json
    results.part.json               what results.json will hold, while it is being made
    previews/                       of the report: lossy, for looking

Several processes may write to one folder: nobody writes a file that somebody reads half of. Whatever is read is read
whole and checked: damaged clips and rows are made again, damaged documents are named.

Shape legend: T frames, H W pixels, h w mask cells, n clips, d numbers a row.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError, WorkFailed
from artv.files import (
    claim,
    read_bytes,
    read_text,
    remove_leftovers,
    writable_folder,
    write_atomically,
    write_once,
    write_text_atomically,
)
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.results.arrays import OF, Damaged, checksums, cleared
from artv_eval.results.clip_index import ClipIndex, Known
from artv_eval.results.clips import STEPS, ClipWriter, read_clip, read_through, write_clip
from artv_eval.results.documents import read_json, write_json
from artv_eval.results.noted_runs import ID
from artv_eval.results.row_cache import RowCache
from artv_eval.results.rows import Failure
from artv_eval.results.shared_store import INDEX, SharedStore

SCHEMA = 1
SHOWN = 64  # requests whose clips the report can show
FAULTS, METRICS = "faults", "metrics"
SENT = ("clips", FAULTS, "made")
FOLDERS = ("clips", "features", "cells", "results", FAULTS)
TABLES = ("results.csv", "comparisons.csv", "per_clip.csv")
PART = "results.part.json"
FILES = ("manifest.json", "results.json", PART, *TABLES, "report.html", "gallery.json")


class DamagedClip(WorkFailed):
    """A clip that is not what was stored. It was set aside: whoever makes what is missing makes it again.

    ``what``: which file, and what is wrong with it.
    """

    def __init__(self, path: Path, why: str) -> None:
        self.what = f"clip {path} is damaged ({why})"
        super().__init__(f"{self.what}; it was set aside, the rest is kept: run the sweep again and it is made anew")
        self.path, self.why = path, why

    def __reduce__(self) -> tuple[Any, ...]:  # the process that finds it may be another one
        return type(self), (self.path, self.why)


class RunStore:
    """A run folder.

    Args:
        root: made if it does not exist.
        to_read: nothing is written to it, so that it need not be one's own.
        shared: the store that it refers to.
        makers: cell id → maker, for cells that have no link yet.

    Raises:
        UserError: it is a file, cannot be written to, or was written by a newer version.
    """

    def __init__(
        self,
        root: Path,
        *,
        to_read: bool = False,
        shared: SharedStore | None = None,
        makers: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.to_read, self.shared, self.makers = root, to_read, shared, makers or {}
        self._known: dict[str, tuple[str, dict[int, Known]]] = {}
        self._new: dict[str, set[int]] = {}
        if not to_read:
            writable_folder(root, "--out")
        self._check_places()
        manifest = root / "manifest.json"
        if manifest.exists():
            schema = read_json(manifest).get("schema", SCHEMA)
            if not isinstance(schema, int) or schema > SCHEMA:
                raise UserError(
                    f"{root} was written by a newer artv_eval; upgrade artv, or give another folder with --out"
                )

    def _check_places(self) -> None:
        """Finds what stands where something of ours belongs, before any work is done for it."""
        folders = [self.root / name for name in FOLDERS]
        folders += [path for folder in folders[:2] if folder.is_dir() for path in folder.iterdir()]
        for path in folders:
            if path.exists() and not path.is_dir():
                raise UserError(f"{path} is a file where a folder of the run belongs; remove it, or give another --out")
        for path in (self.root / name for name in FILES):
            if path.exists() and not path.is_file():
                raise UserError(f"{path} is no file, where one of the run belongs; remove it, or give another --out")

    def identify(self) -> None:
        """Gives the folder an id, unless it has one."""
        write_once(self.root / ID, uuid.uuid4().hex.encode())

    def packed(self) -> dict[str, bytes]:
        """What was made here, to be sent to another run folder: place → contents."""
        files = [path for name in SENT for path in (self.root / name).rglob("*") if path.is_file()]
        return {path.relative_to(self.root).as_posix(): read_bytes(path) for path in files}

    def unpack(self, files: Mapping[str, bytes]) -> None:
        """Takes what :meth:`packed` gave elsewhere."""
        for name, data in files.items():
            folder, cell, *_ = Path(name).parts
            if folder == "made":
                for line in data.decode().splitlines():
                    note = json.loads(line)
                    self.note_making(Path(cell).stem, note.pop("indices"), note)
            elif folder in SENT and ".." not in Path(name).parts:
                write_atomically(cleared(self.root / name), data)

    def remove_leftovers(self) -> None:
        """Clears away what killed processes left half-written, here and where this run's links lead."""
        for folder in (self.root, *(path for name in FOLDERS[:2] for path in (self.root / name).glob("*"))):
            remove_leftovers(folder.resolve())

    def clip_path(self, cell: str, index: int) -> Path:
        """Where the clip of a cell and an index is."""
        return self.root / "clips" / cell / f"{index:06d}.npz"

    def home(self, cell: str) -> Path:
        """The folder that keeps the clips of a cell: the run's own, or one of the store."""
        own = self.root / "clips" / cell
        if self.shared is not None and cell in self.makers and not own.exists():
            return self.shared.place("clips", cell, self.makers[cell])
        return own.resolve()

    def _index(self, home: Path) -> ClipIndex | None:
        """The index of the store; a run folder by itself has none."""
        return ClipIndex(home.parents[1] / INDEX) if (home.parents[1] / "store.json").is_file() else None

    def save_clip(self, cell: str, index: int, clip: GeneratedClip) -> None:
        """Keeps a clip exactly."""
        write_clip(self.clip_path(cell, index), f"{cell}/{index}", clip)

    def clip_writer(self, cell: str, index: int, shape: Sequence[int]) -> ClipWriter:
        """Keeps a long clip, (T, H, W, 3), as its frames come."""
        return ClipWriter(self.clip_path(cell, index), f"{cell}/{index}", shape)

    def save_failure(self, cell: str, index: int, reason: str) -> None:
        """Keeps why a clip could not be made, for whoever scores the cell."""
        path = self.root / FAULTS / cell / f"{index:06d}.txt"
        write_text_atomically(cleared(path), " ".join(reason.split()))

    def failures(self, cell: str, indices: Iterable[int]) -> dict[int, str]:
        """Index → why, for those of ``indices`` that were tried and are not there."""
        failed = self._failed(cell)
        wanted = set(indices) if failed else set()  # in a large plan nearly none
        return {
            index: _first_line(path)
            for index, path in sorted(failed.items())
            if index in wanted and self.fingerprint(cell, index) is None
        }

    def _failed(self, cell: str) -> dict[int, Path]:
        places = [(self.root / FAULTS / cell, ".txt"), (self.root / "clips" / cell, ".failed")]
        return {
            int(path.stem): path
            for folder, ending in places
            if folder.is_dir() and (ending == ".txt" or not folder.is_symlink())
            for path in folder.glob(f"*{ending}")
            if path.stem.isdecimal() and path.is_file()
        }

    def save_fault(self, name: str, error: str, trace: str = "", *, struck: Iterable[int] | None = None) -> None:
        """Keeps what stopped a cell or a training, under its id.

        Args:
            struck: clips of the batches that it stopped, beside those that are known; None for all that are not there.
        """
        if struck is not None:
            path = self.root / FAULTS / f"{name}.clips"
            with suppress(UserError):
                struck = {*struck, *read_json(path)["indices"]} if path.is_file() else struck
            write_json(cleared(path), {"indices": sorted(struck)})
        write_text_atomically(cleared(self.root / FAULTS / f"{name}.txt"), f"{' '.join(error.split())}\n\n{trace}")

    def struck(self, cell: str, indices: Iterable[int]) -> list[int]:
        """Those of ``indices`` that are not there because a fault of the cell stopped their batch."""
        if self.fault(cell) is None:
            return []
        path = self.root / FAULTS / f"{cell}.clips"
        if not path.is_file():  # of a training, or written by an older version
            return self.missing(cell, indices)
        wanted = {*read_json(path)["indices"]}
        return self.missing(cell, [index for index in indices if index in wanted])

    def take_faults(self, source: "RunStore", names: Iterable[str]) -> None:
        """Keeps the faults of another run folder under these ids, as they were told there."""
        for name in names:
            if (found := source.root / FAULTS / f"{name}.txt").is_file():
                error, _, trace = read_text(found, errors="replace").partition("\n\n")
                clips = source.root / FAULTS / f"{name}.clips"
                struck = read_json(clips)["indices"] if clips.is_file() else None
                self.save_fault(name, error, trace, struck=struck)

    def fault(self, name: str) -> str | None:
        """The line of it; None where nothing did."""
        path = self.root / FAULTS / f"{name}.txt"
        return _first_line(path) if path.is_file() else None

    def save_metric_fault(self, metric: str, cell: str, status: Failure) -> None:
        """Keeps what a metric raised of a cell, until it is scored again."""
        self.save_fault(f"{METRICS}/{metric.replace('/', '-')}.{cell}", status, status.trace)

    def forget_metric_faults(self) -> None:
        """Before a scoring, which asks every metric again."""
        shutil.rmtree(self.root / FAULTS / METRICS, ignore_errors=True)

    def forget_faults(self, names: Iterable[str]) -> None:
        """Lets everything that failed under these ids be tried again."""
        for name in names:
            own = (self.root / FAULTS / f"{name}{end}" for end in (".txt", ".clips"))
            for path in (*own, *self._failed(name).values()):
                path.unlink(missing_ok=True)

    def load_clip(self, cell: str, index: int) -> GeneratedClip:
        """A clip, the frames of a long one read when they are asked for.

        Raises:
            DamagedClip: now or then, when the file is not what was stored; it is set aside, so that it is made again.
        """
        path = self.clip_path(cell, index)
        try:
            return read_clip(path, f"{cell}/{index}", lambda why: self._set_aside(path, why))
        except FileNotFoundError:
            raise WorkFailed(f"clip {path} is gone; run the same command again: it is made anew") from None
        except Damaged as error:
            raise self._set_aside(path, str(error)) from None

    def _set_aside(self, path: Path, why: str) -> DamagedClip:
        with suppress(FileNotFoundError):  # another process may have found it too
            path.replace(path.with_suffix(".damaged"))
        return DamagedClip(path, why)

    def fingerprint(self, cell: str, index: int) -> str | None:
        """Checksums of a clip's arrays as its file's directory has them, or None if there is no whole file.

        The directory stands at the end of the file, so that a truncated one has none. While size and time of a file
        stay what they were, so does its fingerprint.
        """
        place, known = self._cell(cell)
        path = f"{place}/{index:06d}.npz"
        try:
            status = os.stat(path)  # noqa: PTH116 a million of them
        except OSError:
            return None
        kept = known.get(index)
        if kept is not None and kept[:2] == (status.st_size, status.st_mtime_ns):
            return kept[2]
        # the same clip made again takes other seconds
        found = checksums(Path(path), leaving_out=("seconds", STEPS, OF))
        if found is not None:
            known[index] = (status.st_size, status.st_mtime_ns, found)
            self._new.setdefault(cell, set()).add(index)
        return found

    def _cell(self, cell: str) -> tuple[str, dict[int, Known]]:
        """Where its clips are, and what is known of them."""
        if cell not in self._known:
            home = self.home(cell)
            index = self._index(home)
            self._known[cell] = str(home), index.known(home.name) if index else {}
        return self._known[cell]

    def missing(self, cell: str, indices: Iterable[int]) -> list[int]:
        """Those of ``indices`` for which there is no whole clip yet. What is learnt of the others is noted."""
        home = self.home(cell)
        if not home.is_dir():  # in a large plan nearly none is
            return list(indices)
        left = [index for index in indices if self.fingerprint(cell, index) is None]
        if (new := self._new.pop(cell, None)) and not self.to_read and (index := self._index(home)):
            known = self._known[cell][1]
            index.note(home.name, {number: known[number] for number in new})
        return left

    def set_aside_damaged(self, cell: str, indices: Iterable[int]) -> None:
        """Reads the clips of a cell and sets aside whatever is not what was stored."""
        for index in indices:
            with suppress(WorkFailed):
                read_through(self.load_clip(cell, index))

    def note_making(self, cell: str, indices: Sequence[int], where: Mapping[str, Any]) -> None:
        """Notes, before clips are made, on what; a line, so that several processes can."""
        line = json.dumps({"indices": list(indices), **where}) + "\n"
        path = self._making(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line)

    def made_on(self, cell: str) -> dict[int, dict[str, Any]]:
        """Index → what was noted last of it; clips of older folders have no notes."""
        found: dict[int, dict[str, Any]] = {}
        path = self._making(cell)
        for line in read_text(path, errors="replace").splitlines() if path.is_file() else ():
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # cut off by a full disk
                note = json.loads(line)
                found |= dict.fromkeys(note.pop("indices"), note)
        return found

    def _making(self, cell: str) -> Path:
        home = self.home(cell)
        return home.parents[1] / "made" / f"{home.name}.jsonl"

    @contextmanager
    def claimed(self, cell: str, indices: Iterable[int]) -> Iterator[list[int]]:
        """Those of ``indices`` whose clips no other process is making; nobody else makes them until the block ends."""
        home = self.home(cell)
        with claim(home.parents[1] / ".claims" / home.name, indices) as ours:
            yield ours

    def clips(self, cell: str, requests: Sequence[ClipRequest]) -> ClipSet:
        """The finished clips of a cell, read one at a time. A file with a clip of another size is damaged."""

        def load(i: int) -> GeneratedClip:
            request = requests[i]
            clip = self.load_clip(cell, request.index)
            wanted = (request.num_frames, request.height, request.width, 3)
            if clip.frames.shape != wanted:
                path = self.clip_path(cell, request.index)
                raise self._set_aside(path, f"frames {clip.frames.shape}, which should be {wanted}")
            return clip

        return ClipSet(requests, load)

    def save_cell(self, cell: str, identity: Mapping[str, Any]) -> None:
        """Keeps what the id is the hash of, for whoever looks into the folder."""
        path = self.root / "cells" / f"{cell}.json"
        if not path.exists():
            write_json(path, identity)

    def rows(self, group: str) -> RowCache:
        """The kept rows of a cell, or of the reference clips."""
        return RowCache(self.root / "features" / group, group)


def _first_line(path: Path) -> str:
    return (read_bytes(path).decode(errors="replace").splitlines() or [""])[0]


def has_faults(run: Path) -> tuple[bool, bool]:
    """Whether something failed there, and whether it is something that only ``--retry-failed`` tries again."""
    files = [*(run / FAULTS).glob("**/*.txt")]
    return bool(files), any(path.parent.name != METRICS for path in files)

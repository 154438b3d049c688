"""Rows of real clips in one file, to be shipped in the clips' place: whoever has it scores against them.

    SavedReference.of("real/", evaluators, excerpt, "ucf101@lavie").save("ucf.npz")     # artv-eval reference save
    SavedReference.read("ucf.npz").described(excerpt, evaluators)                     # score --real ucf.npz

The file says what its rows are of: a digest of the clips' contents, so that a value has the hash that it would have
with the clips at hand, how clips were cut and scaled, and under which weights. Other conventions are refused.

Shape suffixes: n clips, d numbers a row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.api import Evaluator
from artv_eval.features.base import digest_of
from artv_eval.files.decoding import Excerpt
from artv_eval.files.describe import WORKERS, Described, describe_files, video_files
from artv_eval.results.arrays import Damaged, read_arrays, write_arrays

KIND = "artv-eval reference 1"
SUFFIX = ".npz"


def is_saved(real: str | Path | None) -> bool:
    """Whether the real clips are given as such a file."""
    return real is not None and Path(real).suffix == SUFFIX


@dataclass(frozen=True)
class SavedReference:
    """``rows``: digest of a metric → (n, d). ``card``: what they are of, as JSON has it."""

    rows: dict[str, np.ndarray]
    card: dict[str, Any]

    @classmethod
    def of(
        cls,
        real: str | Path,
        evaluators: Sequence[Evaluator],
        excerpt: Excerpt,
        protocol: str,
        workers: int = WORKERS,
    ) -> "SavedReference":
        """Describes a folder. Raises UserError for files that cannot be read: a reference has all of its clips."""
        found = describe_files(video_files(real), evaluators, excerpt, workers=workers)
        wrong = [*found.bad.values(), *found.failed.values()]
        if wrong:
            raise UserError(f"{real} cannot be saved as a reference: {wrong[0]}")
        metrics = {digest: [e.name for e in evaluators if e.digest == digest] for digest in found.rows}
        card = {
            "protocol": protocol,
            "clips": len(found.files),
            "digest": found.digest,
            "lengths": [min(found.lengths), max(found.lengths)],
            "excerpt": conventions(excerpt),
            "metrics": metrics,
        }
        return cls(found.rows, card)

    @property
    def digest(self) -> str:
        """12 hex digits of the card and of all rows."""
        rows = [self.rows[key].tobytes() for key in sorted(self.rows)]
        return digest_of([json.dumps(self.card, sort_keys=True).encode(), *rows])[:12]

    def save(self, path: str | Path) -> None:
        """Writes the file. Raises UserError for a name of another kind."""
        if not is_saved(path):
            raise UserError(f"a reference is kept in a file *{SUFFIX}; {path} is none")
        arrays = {f"rows-{i}": self.rows[key] for i, key in enumerate(sorted(self.rows))}
        card = np.array(json.dumps({**self.card, "saved": self.digest}))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_arrays(Path(path), KIND, {"card": card, **arrays}, compress=True)

    @classmethod
    def read(cls, path: str | Path) -> "SavedReference":
        """Raises UserError for a file that is not there, not one of these, or not what was written."""
        try:
            arrays = read_arrays(Path(path), KIND)
            card = json.loads(str(arrays["card"]))
            saved = card.pop("saved")
            found = cls({key: arrays[f"rows-{i}"] for i, key in enumerate(sorted(card["metrics"]))}, card)
        except FileNotFoundError:
            raise UserError(f"reference {path} does not exist; make it with artv-eval reference save") from None
        except (Damaged, KeyError, TypeError, ValueError) as error:
            raise UserError(f"reference {path} is damaged or none: {error}") from None
        if found.digest != saved:
            raise UserError(f"reference {path} is damaged: its digest is {found.digest} and should be {saved}")
        return found

    def described(self, path: str | Path, evaluators: Sequence[Evaluator], excerpt: Excerpt) -> Described:
        """The rows in the place of the files'. Raises UserError where clips were cut or scaled otherwise."""
        ours, theirs = conventions(excerpt), self.card["excerpt"]
        other = [name for name in ours if ours[name] != theirs.get(name)]
        if other:
            name = other[0]
            raise UserError(
                f"reference {path} was made with {said(theirs, name)}, and this scoring has {said(ours, name)}: give "
                "the same options and protocol, or the clips themselves"
            )
        there = ", ".join(sorted({name for names in self.card["metrics"].values() for name in names}))
        failed = {
            e.digest: f"absent: {Path(path).name} has no rows for {e.name} under these weights (there: {there})"
            for e in evaluators
            if e.digest not in self.rows
        }
        files = [Path(f"{path}:{i}") for i in range(self.card["clips"])]
        return Described(
            files=files, rows=dict(self.rows), failed=failed, digest=self.card["digest"], lengths=self.card["lengths"]
        )


def said(conventions: Mapping[str, Any], name: str) -> str:
    """One of them in words."""
    value = conventions.get(name)
    return f"{name} {'each' if name == 'frames' and value is None else value}"


def conventions(excerpt: Excerpt) -> dict[str, Any]:
    """What rows depend on of how clips are cut and scaled, as JSON has it; not who reads the files."""
    return {name: value for name, value in json.loads(json.dumps(asdict(excerpt))).items() if name != "reader"}

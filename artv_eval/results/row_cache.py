"""Rows of metrics that are kept: each under the fingerprint of what it describes, one file for each metric.

Shape legend: n rows of d numbers, or of as many as each has.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from artv_eval.results.arrays import Damaged, read_arrays, write_arrays

SAVE_SECONDS = 10.0  # between two writes while rows are made: what a kill costs


def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(n, d); (n,) objects, a row (d,) each, where rows are of several widths."""
    if len({len(row) for row in rows}) <= 1:
        return np.stack(rows)
    found = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        found[i] = row
    return found


class RowCache:
    """A folder of rows. Several processes may write to it: nobody reads half of a file, each keeps others' rows.

    Args:
        folder: None keeps nothing.
        group: what the folder is of, so that a file in a wrong folder is told.
    """

    def __init__(self, folder: Path | None, group: str = "") -> None:
        self.folder, self.group = folder, group
        self._seen: dict[str, tuple[int, int] | None] = {}

    def load(self, key: str) -> dict[str, np.ndarray]:
        """Fingerprint → row (d,), as far as rows were kept. Damage counts as none: rows can be made again."""
        if self.folder is None:
            return {}
        self._seen[key] = self._state(key)
        try:
            kept = read_arrays(self.folder / f"{key}.npz", self._of(key))
            # "keys" of caches of folders before there was one form
            names = kept["fingerprints"] if "fingerprints" in kept else kept["keys"]
            rows = np.split(kept["rows"], np.cumsum(kept["widths"])[:-1]) if "widths" in kept else kept["rows"]
            return dict(zip(names.tolist(), rows, strict=True))
        except (FileNotFoundError, Damaged, KeyError, ValueError):
            return {}

    def save(self, key: str, rows: Mapping[str, np.ndarray]) -> None:
        """Replaces the file in one step, with what others have put there since it was read; no rows are no reason for
        a file.
        """
        if self.folder is not None and rows:
            if self._state(key) != self._seen.get(key):
                rows = {**self.load(key), **rows}
            arrays = {"fingerprints": np.array(list(rows))}
            if (found := stacked(list(rows.values()))).dtype == object:  # one after the other, each of its own width
                arrays |= {"rows": np.concatenate(list(found)), "widths": np.array([len(row) for row in found])}
            else:
                arrays["rows"] = found
            write_arrays(self.folder / f"{key}.npz", self._of(key), arrays)
            self._seen[key] = self._state(key)

    def _state(self, key: str) -> tuple[int, int] | None:
        """Time and number of the file; None where there is none."""
        assert self.folder is not None
        try:
            status = (self.folder / f"{key}.npz").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _of(self, key: str) -> str:
        return f"{self.group}/{key}" if self.group else key

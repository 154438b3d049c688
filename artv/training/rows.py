"""Rows of JSON, as in ``log.jsonl``: each is whole or not there, and a full disk makes them wait and ends nothing."""

import errno
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class RowFile:
    """Appends rows to a file, each at once. Those that find no room wait in memory for it, and come in their order.

    Args:
        file: a line of it that a kill cut off is taken out; None keeps no rows.
    """

    def __init__(self, file: Path | None) -> None:
        self._path = file
        self._file = None if file is None else file.open("ab+", buffering=0)
        self._whole = self._end_of_rows()
        self._waiting, self._told = b"", False

    def write(self, row: Mapping[str, Any]) -> None:
        """One more row, and those that wait."""
        if self._file is None:
            return
        self._waiting += (json.dumps(row) + "\n").encode()
        try:
            written = self._file.write(self._waiting)
            if written != len(self._waiting):  # as much as there was room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._whole += len(self._waiting)
            self._waiting, self._told = b"", False
        except OSError as error:
            self._file.truncate(self._whole)
            self._tell(error)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def _tell(self, error: OSError) -> None:
        if not self._told:
            why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            print(f"artv: cannot write {self._path}: {why}; its rows wait, the work goes on", file=sys.stderr)
        self._told = True

    def _end_of_rows(self) -> int:
        if self._file is None:
            return 0
        self._file.seek(0)
        end = self._file.readall().rfind(b"\n") + 1
        self._file.truncate(end)
        return end

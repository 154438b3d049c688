"""What is known of the clips in a store, so that a million are found without opening one.

A row a clip: size and time of its file and, under these, its fingerprint. It counts while the file has that size and
time. The index only saves work: whatever is wrong with it, the files are asked.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from artv.files import open_regular

Known = tuple[int, int, str]
"""Size in bytes, time of the last change in ns, fingerprint."""

PATIENCE = 2.0  # seconds for another process that writes
PASSING = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
)  # fmt: skip
FORM = 1  # of the table, and of what a fingerprint is
TABLE = """CREATE TABLE IF NOT EXISTS clips (
    folder TEXT, number INTEGER, size INTEGER, changed INTEGER, fingerprint TEXT, checksum INTEGER,
    PRIMARY KEY (folder, number)) WITHOUT ROWID"""


class ClipIndex:
    """An index in a file. Nothing here raises: without an index, or with a damaged one, nothing is known."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, folder: str) -> dict[int, Known]:
        """Number of the clip → what was noted. ``folder``: the name that the clips' folder has in the store."""
        if not self.path.is_file():
            return {}
        try:
            with closing(self._open()) as database:
                rows = database.execute(
                    "SELECT number, size, changed, fingerprint, checksum FROM clips WHERE folder = ?", (folder,)
                ).fetchall()
            return {
                number: (size, changed, fingerprint)
                for number, size, changed, fingerprint, checksum in rows
                if checksum == _checksum(folder, number, size, changed, fingerprint)
            }
        except (sqlite3.Error, TypeError, ValueError) as error:
            self._failed(error)
            return {}

    def note(self, folder: str, clips: Mapping[int, Known]) -> None:
        """Keeps what is known of clips of a folder."""
        rows = [(folder, number, *known, _checksum(folder, number, *known)) for number, known in clips.items()]
        self._write([("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?, ?)", rows)])

    def forget(self, folders: Iterable[str]) -> None:
        """Drops folders that are gone."""
        self._write([("DELETE FROM clips WHERE folder = ?", [(folder,) for folder in folders])])

    def _write(self, statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]], *, again: bool = True) -> None:
        try:
            with closing(self._open()) as database, database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(TABLE)
                for statement, rows in statements:
                    database.executemany(statement, rows)
        except sqlite3.Error as error:
            self._failed(error)
            if again and not self.path.exists():  # it was damaged
                self._write(statements, again=False)

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        database.execute("BEGIN")  # nobody writes between the next two lines
        (form,) = database.execute("PRAGMA user_version").fetchone()
        if self._cut_off():
            raise sqlite3.DatabaseError("the file ends too early")
        database.execute("COMMIT")
        if form not in (0, FORM):
            raise sqlite3.NotSupportedError("of a newer version")
        if form == 0:
            with suppress(sqlite3.OperationalError):
                database.execute(f"PRAGMA user_version = {FORM}")
        return database

    def _cut_off(self) -> bool:
        """Whether the file is shorter than its header says, which SQLite does not always notice."""
        with suppress(OSError), open_regular(self.path) as file:
            header = file.read(32)
            page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
            return self.path.stat().st_size < (65536 if page == 1 else page) * pages
        return False

    def _failed(self, error: Exception) -> None:
        """Removes a damaged index; one that is in use, newer, not ours to write or without room stays."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code not in PASSING and not isinstance(error, sqlite3.NotSupportedError):
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):  # which would be rolled back
                with suppress(OSError):
                    path.unlink()


def _checksum(folder: str, number: int, size: int, changed: int, fingerprint: str) -> int:
    return zlib.crc32(f"{folder}/{number}/{size}/{changed}/{fingerprint}".encode())

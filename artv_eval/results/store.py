"""The run folder: clips, described rows and results, each written whole or not at all.

    clips/<cell id>/<index>.npz     frames uint8, exact; mask float32 if the method has one
    clips/<cell id>/<index>.failed  why there is no such clip, in one line
    cells/<cell id>.json            what the cell id is the hash of
    features/<cell id>/<key>.npz    one row a clip, with the fingerprint of the clip it describes
    manifest.json results.json results.csv report.html

Several processes may write to one folder: nobody writes a file that somebody reads half of.

Shape legend: T frames, H W pixels, h w mask cells, n clips, d numbers a row.
"""

import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError, WorkFailed
from artv.files import write_atomically, write_text_atomically
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip

SCHEMA = 1
DAMAGE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON; NaN and infinities are errors, as they are in JSON."""
    write_text_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises UserError when the file is missing or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; is {path.parent} the folder of a finished run?") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run the sweep again") from None


class RunStore:
    """A run folder.

    Args:
        root: made if it does not exist.

    Raises:
        UserError: it is a file, cannot be written to, or was written by a newer version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=root, prefix=".writable."):
                pass
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"--out is {str(root)!r}, which is a file; give a folder") from None
        except PermissionError as error:
            raise UserError(
                f"--out is {str(root)!r}, which cannot be written to ({error.strerror}); give another folder"
            ) from None
        except OSError as error:
            raise UserError(f"--out is {str(root)!r}: {error.strerror}; give another folder") from None
        manifest = root / "manifest.json"
        if manifest.exists() and read_json(manifest).get("schema", SCHEMA) > SCHEMA:
            raise UserError(f"{root} was written by a newer artv_eval; upgrade artv, or give another folder with --out")

    def clip_path(self, cell: str, index: int) -> Path:
        """Where the clip of a cell and an index is."""
        return self.root / "clips" / cell / f"{index:06d}.npz"

    def save_clip(self, cell: str, index: int, clip: GeneratedClip) -> None:
        """Keeps a clip exactly."""
        arrays = {"frames": clip.frames}
        if clip.mask is not None:
            arrays["mask"] = np.asarray(clip.mask, np.float32)
        if clip.seconds is not None:
            arrays["seconds"] = np.array(clip.seconds)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_atomically(self.clip_path(cell, index), buffer.getvalue())

    def save_failure(self, cell: str, index: int, reason: str) -> None:
        """Keeps why a clip could not be made, for whoever scores the cell; the next run tries again."""
        write_text_atomically(self._failure_path(cell, index), " ".join(reason.split()))

    def failures(self, cell: str, indices: Iterable[int]) -> dict[int, str]:
        """Index → why, for those of ``indices`` that were tried and are not there."""
        paths = {index: self._failure_path(cell, index) for index in indices}
        return {
            index: path.read_text(encoding="utf-8")
            for index, path in paths.items()
            if path.exists() and self.fingerprint(cell, index) is None
        }

    def load_clip(self, cell: str, index: int) -> GeneratedClip:
        """Raises WorkFailed when the file is damaged; it is set aside, so that the next run makes the clip again."""
        path = self.clip_path(cell, index)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                seconds = float(arrays["seconds"]) if "seconds" in arrays else None
                return GeneratedClip(arrays["frames"], arrays.get("mask"), seconds)
        except FileNotFoundError:
            raise WorkFailed(f"clip {path} is gone; run the same command again: it is made anew") from None
        except DAMAGE as error:
            path.replace(path.with_suffix(".damaged"))
            raise WorkFailed(
                f"clip {path} is damaged ({' '.join(str(error).split())}); it was set aside, the rest is "
                "kept: run the same command again and it is made anew"
            ) from None

    def fingerprint(self, cell: str, index: int) -> str | None:
        """Checksums of a clip's arrays as its file's directory has them, or None if there is no whole file.

        The directory stands at the end of the file, so that a truncated one has none.
        """
        try:
            with zipfile.ZipFile(self.clip_path(cell, index)) as archive:
                # the same clip made again takes other seconds
                items = [item for item in archive.infolist() if item.filename != "seconds.npy"]
                return ",".join(f"{item.filename}:{item.CRC:08x}:{item.file_size}" for item in items)
        except (OSError, zipfile.BadZipFile):
            return None

    def missing(self, cell: str, indices: Iterable[int]) -> list[int]:
        """Those of ``indices`` for which there is no whole clip yet."""
        return [index for index in indices if self.fingerprint(cell, index) is None]

    def clips(self, cell: str, requests: Sequence[ClipRequest]) -> ClipSet:
        """The finished clips of a cell, read one at a time."""
        return ClipSet(requests, lambda i: self.load_clip(cell, requests[i].index))

    def save_cell(self, cell: str, identity: Mapping[str, Any]) -> None:
        """Keeps what the id is the hash of, for whoever looks into the folder."""
        path = self.root / "cells" / f"{cell}.json"
        if not path.exists():
            write_json(path, identity)

    def load_rows(self, group: str, key: str) -> dict[str, np.ndarray]:
        """Fingerprint → row, as far as rows were kept; a damaged file counts as none, for rows can be made again."""
        path = self._rows_path(group, key)
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(zip(kept["fingerprints"].tolist(), kept["rows"], strict=True))
        except FileNotFoundError:
            return {}
        except DAMAGE:
            path.unlink(missing_ok=True)
            return {}

    def save_rows(self, group: str, key: str, rows: Mapping[str, np.ndarray]) -> None:
        """Keeps rows by the fingerprints of what they describe."""
        buffer = io.BytesIO()
        np.savez(buffer, fingerprints=np.array(list(rows)), rows=np.stack(list(rows.values())))
        write_atomically(self._rows_path(group, key), buffer.getvalue())

    def _failure_path(self, cell: str, index: int) -> Path:
        return self.clip_path(cell, index).with_suffix(".failed")

    def _rows_path(self, group: str, key: str) -> Path:
        return self.root / "features" / group / f"{key}.npz"

"""Which caption belongs to which video file: by its path, or by its bare name where only one file and line have it."""

import os.path
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from artv.data.captions import read_table
from artv.errors import UserError


@dataclass(frozen=True)
class Captions:
    """Captions by the paths that the table ``source`` gives its files: relative to itself or to their folder."""

    texts: Mapping[str, str]
    source: Path

    def of(self, files: Sequence[Path], folder: Path) -> dict[Path, str]:
        """file → caption, of the ``files`` in ``folder`` that have one; a blank caption is none."""
        bases = (self.source.parent, folder)
        placed = {_normal(base / name): text for base in bases for name, text in self.texts.items()}
        names = Counter(Path(name).name for name in self.texts)
        by_name = {name: text for path, text in self.texts.items() if names[name := Path(path).name] == 1}
        several = Counter(file.name for file in files)
        found = {}
        for file in files:
            fallback = by_name.get(file.name, "") if several[file.name] == 1 else ""
            found[file] = placed.get(_normal(file), fallback)
        return {file: text for file, text in found.items() if text.strip()}

    def check(self, files: Sequence[Path], folder: Path) -> None:
        """Raises UserError unless each of the ``files`` has a caption."""
        having = self.of(files, folder)
        lacking = [file for file in files if file not in having]
        if lacking:
            raise UserError(
                f"{len(lacking)} of {len(files)} files in {folder} have no caption in {self.source}, for example "
                f"{lacking[0].relative_to(folder)}; give each a line file,caption, or leave metrics of captions out"
            )


def read_captions(path: str | Path) -> Captions:
    """``file,caption`` lines (with that header), as ``artv data shapes`` writes them.

    Raises:
        UserError: there is no such file, it is no table of captions, or gives one file two captions.
    """
    path, texts = Path(path), dict[str, str]()
    if not path.is_file():
        raise UserError(f"captions file {path} does not exist; give one with lines file,caption")
    for file, caption in read_table(path):
        if texts.setdefault(os.path.normpath(file), caption) != caption:
            raise UserError(f"captions file {path} gives {file} two captions; keep one line for each file")
    return Captions(texts, path)


def _normal(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 a link is not followed: two to one file may have two captions

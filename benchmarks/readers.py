"""Which frames readers give of files of every container, codec and property, against what was written.

    python benchmarks/readers.py            # prints the table of docs/readers.md
    python benchmarks/readers.py --write    # puts it there

Every frame of a file shows its number (``artv_eval.testing.counting``). A reader is right that has the right number of
frames and gives the right ones when asked for all, for some, for the last and for some in the middle, each time anew.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from artv.data.readers import open_video
from artv.errors import UserError
from artv_eval.testing.counting import CONTAINERS, FILES, Recipe, number, write_all

PAGE = Path(__file__).parents[1] / "docs" / "readers.md"
TRIES = 5  # in some files decord is right at one time and wrong at another
START, END = "<!-- table: python benchmarks/readers.py --write -->", "<!-- end of the table -->"


def asked(length: int) -> Iterator[list[int]]:
    """Frames to ask a file for, each time anew."""
    middle = length // 2
    yield from (list(range(length)), list(range(0, length, 4)), [middle + 2, middle + 3], [length - 1, 0, 7, 7])
    yield from ([i] for i in range(5, length, 19))


def right(open_: Callable[[Path], Any], path: Path, recipe: Recipe) -> bool:
    """Whether a reader gives what was written."""
    expected = recipe.numbers
    if len(open_(path)) != len(expected):
        return False
    for indices in asked(len(expected)):
        shown = [number(recipe.upright(frame)) for frame in open_(path).frames(indices)]
        if shown != [expected[i] for i in indices]:
            return False
    return True


class Bare:
    """decord as it is."""

    def __init__(self, path: Path):
        import decord

        decord.logging.set_level(decord.logging.FATAL)
        self._video = decord.VideoReader(str(path), num_threads=1)

    def __len__(self) -> int:
        return len(self._video)

    def frames(self, indices: list[int]) -> Any:
        return self._video.get_batch(indices).asnumpy()


def outcome(path: Path, recipe: Recipe, bare: bool) -> str:
    """A cell of the table."""
    used = set()
    for reader in ("pyav", "decord"):
        try:
            if not right(lambda path, reader=reader: open_video(path, reader), path, recipe):
                return f"WRONG ({reader})"
            used.add(open_video(path, reader).used)
        except UserError as error:
            return "refused" if "is cut off" in str(error) else f"ERROR ({reader})"
    return "decord" if "decord" in used else "PyAV" if not bare or _bare_is_right(path, recipe) else "**PyAV**"


def _bare_is_right(path: Path, recipe: Recipe) -> bool:
    try:
        return all(right(Bare, path, recipe) for _ in range(TRIES))
    except Exception:  # of several kinds; it may also be missing
        return False


def table(bare: bool = True) -> str:
    """Markdown: a row a codec and property, a column a container; without ``bare``, nothing in bold."""
    cells = {name: dict.fromkeys(CONTAINERS, "") for name in FILES}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_all(Path(folder)):
            cells[name][path.suffix] = outcome(path, FILES[name], bare)
    head = f"| file | {' | '.join(suffix[1:] for suffix in CONTAINERS)} |\n|---|{'---|' * len(CONTAINERS)}\n"
    return head + "".join(f"| {name} | {' | '.join(row.values())} |\n" for name, row in cells.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/readers.md")
    found, versions = table(), f"decord {version('decord')}, PyAV {version('av')}"
    print(f"{found}\n{versions}")
    if parser.parse_args().write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        text = f"{before}{START}\n\n{found}\nMeasured with {versions}.\n\n{END}{rest.partition(END)[2]}"
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Prompts of the user's own: plain text (a line a prompt), CSV or TSV (a column ``prompt``), JSON or JSONL.

    read_prompts("prompts.txt")                  # [Prompt(text="a red circle moves left"), …]
    read_prompts("prompts.csv", "extended")      # … each with what its column "extended" says
    read_prompts("prompts/")                     # a folder: NAME.txt, and NAME.png or .jpg beside where there is one
    read_prompts("lists/", lists=True)           # a folder of such files, by name

In objects ``prompt`` may be called ``prompt_en``, as in VBench's list. Tables and objects may say more of a prompt:
``seed`` (of its clip), ``image`` (the first frame, a path from the file's folder on) and ``id``. Other columns are left
alone; those that say how a clip is to be made are named. Blank lines of a text file are skipped; a blank prompt in a
table is a mistake.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from artv.data.tables import unused
from artv.errors import UserError
from artv.files import read_text
from artv.requests import LAST_SEED

SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
USED = ("prompt", "prompt_en", "id", "image", "seed")
FEW = 10  # prompts by which an order is not judged
LIMIT = 64 << 20  # bytes: a list of prompts is no data set


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text, what the file calls it, the picture that it begins with, if any, and another wording of it, if asked.

    ``list``: the file of a folder of lists. ``seed``: of its clip; None: by its place. ``unused``: what its row
    says of how a clip is to be made that is not used.
    """

    text: str
    id: str = ""
    list: str = ""
    image: Path | None = None
    wording: str = ""
    seed: int | None = None
    unused: tuple[str, ...] = ()


def read_prompts(path: str | Path, wording: str | None = None, *, lists: bool = False) -> list[Prompt]:
    """All prompts of a file in its order, or of a folder by name.

    Args:
        wording: a column of the table, or a file with a text for each prompt, in the same order: what methods are to
            be given in the prompts' place.
        lists: a folder holds files of many prompts, not one of each.

    Raises:
        UserError: there is none, it is no text in UTF-8, too large, has no prompt, or a line that is none (with its
            number); the wording, or the seed of one, is not there for each.
    """
    path = Path(path)
    found = (
        _in_file(path, wording) if not path.is_dir() else _in_folder(path) if not lists else _in_lists(path, wording)
    )
    _check_seeds(path, found)
    if wording is None or all(prompt.wording for prompt in found):
        return found
    if Path(wording).suffix.lower() not in SUFFIXES:
        raise UserError(
            f"wording is {wording!r}; it must be a column of {path} that has a text for each of its {len(found)} "
            f"prompts, or a file of as many ({', '.join(SUFFIXES)})"
        )
    others = _in_file(Path(wording), None)
    if len(others) != len(found):
        raise UserError(
            f"{wording} has {len(others)} texts and {path} {len(found)} prompts; give one for each, in order"
        )
    return [replace(prompt, wording=other.text) for prompt, other in zip(found, others, strict=True)]


def _check_seeds(path: Path, prompts: Sequence[Prompt]) -> None:
    without = [prompt.text for prompt in prompts if prompt.seed is None]
    if 0 < len(without) < len(prompts):
        raise UserError(
            f"prompts file {path} gives {len(prompts) - len(without)} of {len(prompts)} prompts a seed, and none to "
            f"{without[0][:60]!r}; give each its seed, or none"
        )


def order_doubt(prompts: Sequence[Prompt]) -> str | None:
    """That the wordings seem to be in another order than the prompts, in a line; None where nothing says so.

    Most wordings say a long word of their prompt. Prompts count whose long words all occur in some wording: of another
    language there are none.
    """
    pairs = [(_long_words(prompt.text), _long_words(prompt.wording)) for prompt in prompts]
    said_somewhere = set[str]().union(*(wording for _, wording in pairs))
    there = [(text, wording) for text, wording in pairs if text and text <= said_somewhere]
    own = sum(bool(text & wording) for text, wording in there)
    if len(there) < FEW or 2 * own >= len(there):
        return None
    return (
        f"the wordings seem to be of other prompts: of {len(there)} prompts whose words occur in them {own} have one "
        "in their own; are both in the same order?"
    )


def _long_words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.casefold()))


def _in_lists(path: Path, wording: str | None) -> list[Prompt]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise UserError(f"prompts folder {path} holds no list; give it files of {', '.join(SUFFIXES)}")
    return [
        replace(prompt, id=prompt.id or file.stem, list=file.name)
        for file in files
        for prompt in _in_file(file, wording)
    ]


def _in_folder(path: Path) -> list[Prompt]:
    texts = sorted(file for file in path.iterdir() if file.suffix.lower() == ".txt" and file.is_file())
    if not texts:
        raise UserError(f"prompts folder {path} holds no .txt file; give one a prompt, a picture of its name beside it")
    found = []
    for file in texts:
        image = next((p for kind in PICTURES if (p := file.with_suffix(kind)).is_file()), None)
        found.append(replace(_prompt(file, 1, " ".join(_text(file).split()), None), id=file.stem, image=image))
    return found


def _in_file(path: Path, wording: str | None) -> list[Prompt]:
    read = {".csv": _csv, ".tsv": _tsv, ".json": _json, ".jsonl": _jsonl}.get(path.suffix.lower(), _lines)
    found = [_prompt(path, number, item, wording) for number, item in read(path, _text(path))]
    if not found:
        raise UserError(f"prompts file {path} holds no prompt; give it a line for each")
    return found


def _text(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"prompts file {path} ends in {path.suffix!r}; give one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"prompts file {path} does not exist" if not path.exists() else f"{path} is no file")
    try:
        if path.stat().st_size > LIMIT:
            raise UserError(f"prompts file {path} has {path.stat().st_size >> 20} MB, more than {LIMIT >> 20}")
        return read_text(path, "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"prompts file {path} is no text in UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"prompts file {path} cannot be read: {error.strerror}") from None


Items = Iterator[tuple[int, Any]]


def _lines(path: Path, text: str) -> Items:  # str.splitlines would end lines at U+2028 and form feeds, too
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, {"prompt": line}


def _table(path: Path, text: str, delimiter: str) -> Items:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if "prompt" not in (reader.fieldnames or ()):
            raise UserError(f"prompts file {path} has the columns {', '.join(reader.fieldnames or ())}: no 'prompt'")
        names = [name for name in reader.fieldnames or () if name]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"prompts file {path} has two columns {twice[0]!r}; keep one")
        for row in reader:
            if None in row or None in row.values():
                raise UserError(
                    f"prompts file {path}, line {reader.line_num}: {'more' if None in row else 'fewer'} cells than "
                    "columns; put a prompt with a comma in quotes"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"prompts file {path}, line {reader.line_num}: {error}") from None


def _csv(path: Path, text: str) -> Items:
    return _table(path, text, ",")


def _tsv(path: Path, text: str) -> Items:
    return _table(path, text, "\t")


def _jsonl(path: Path, text: str) -> Items:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise UserError(f"prompts file {path}, line {number} is no JSON: {error}") from None


def _json(path: Path, text: str) -> Items:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"prompts file {path} is no JSON: {error}; for an object a line call it .jsonl") from None
    if not isinstance(values, list):
        raise UserError(f"prompts file {path} holds a {type(values).__name__}; it must be a list of prompts")
    yield from enumerate(values, 1)


def _prompt(path: Path, number: int, item: Any, wording: str | None) -> Prompt:
    values: Mapping[str, Any] = {"prompt": item} if isinstance(item, str) else item
    if isinstance(values, Mapping) and "prompt" not in values and "prompt_en" in values:
        values = {**values, "prompt": values["prompt_en"]}
    if not isinstance(values, Mapping) or not isinstance(values.get("prompt"), str):
        raise UserError(f"prompts file {path}, line {number}: give a text, or an object with a text as 'prompt'")
    text = " ".join(values["prompt"].split())
    if not text:
        raise UserError(f"prompts file {path}, line {number}: the prompt is blank")
    image = values.get("image") or None
    if image is not None and not (path.parent / str(image)).is_file():
        raise UserError(f"prompts file {path}, line {number}: image {image} does not exist beside the file")
    name, other = values.get("id"), values.get(wording) if wording else None
    return Prompt(
        text=text,
        id="" if name is None else str(name),
        image=image and path.parent / str(image),
        wording=" ".join(other.split()) if isinstance(other, str) else "",
        seed=_seed(path, number, values.get("seed")),
        unused=tuple(unused((name for name, said in values.items() if said not in (None, "")), (*USED, wording or ""))),
    )


def _seed(path: Path, number: int, value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    seed = int(value) if whole or (isinstance(value, str) and value.strip().isdecimal()) else -1
    if not 0 <= seed <= LAST_SEED:
        raise UserError(
            f"prompts file {path}, line {number}: seed is {value!r}; it must be a whole number of at least 0 and at "
            f"most {LAST_SEED}"
        )
    return seed

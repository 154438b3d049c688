"""Folders of clips of the same prompts, compared clip by clip.

Two clips belong together if they have the same caption, where every file of each folder has one of its own, else if
they have the same name.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from artv.data.captions import Captions
from artv.errors import UserError
from artv_eval.api import Evaluator
from artv_eval.files.describe import Described, video_files
from artv_eval.metrics.statistics import Comparison as Tested
from artv_eval.metrics.statistics import holm, paired_test
from artv_eval.results.rows import Comparison, reason

FOLDERS = "folders"  # stands for the ablation of such rows
TOLD = 60  # characters of a caption


@dataclass(frozen=True)
class Side:
    """A folder with what is to be described of it. ``captions``: of those of its files that have one."""

    folder: Path
    evaluators: Sequence[Evaluator]
    files: Sequence[Path]
    captions: Mapping[Path, str] | None

    @classmethod
    def of(cls, folder: Path, evaluators: Sequence[Evaluator], captions: Captions | None) -> "Side":
        """Raises UserError for all that can be wrong with the folder, before the first decoding."""
        files = video_files(folder)
        if len(files) < 2:
            raise UserError(f"{folder} holds 1 video file, {files[0].name}; a value needs at least 2")
        if captions is not None and any("captions" in evaluator.needs for evaluator in evaluators):
            captions.check(files, folder)
        return cls(folder, evaluators, files, captions.of(files, folder) if captions is not None else None)


def check_pairs(sides: Mapping[str, Side]) -> None:
    """Raises UserError unless all folders hold clips of the same captions or names; says which are missing where."""
    by_caption = _captioned(sides)
    keys = {name: set(_keys(side, side.files, by_caption)) for name, side in sides.items()}
    for name, side in sides.items():
        if len(keys[name]) < len(side.files):
            twice, _ = Counter(_keys(side, side.files, by_caption)).most_common(1)[0]
            raise UserError(
                f"{side.folder} has several files named {twice}, with other endings; keep one, to be paired by"
            )
    first, *others = keys
    for other in others:
        for a, b in ((first, other), (other, first)):
            if missing := sorted(keys[a] - keys[b]):
                what = "caption" if by_caption else "file name without its ending"
                raise UserError(
                    f"{b} lacks {len(missing)} of the clips of {a}, by {what}: {', '.join(missing[:3])}; folders are "
                    "compared on the same prompts: take out what only one has, or give each a captions.csv"
                )
        if not by_caption:
            _check_captions(first, sides[first], other, sides[other])


def _check_captions(a: str, one: Side, b: str, two: Side) -> None:
    """Raises UserError where clips of one name have captions, and not the same one: they are of two prompts."""
    ours, theirs = (
        dict(zip(_keys(side, side.files, False), _texts(side, side.files), strict=True)) for side in (one, two)
    )
    if apart := [key for key, text in ours.items() if text and theirs[key] and text != theirs[key]]:
        named = ", ".join(
            f"{key} is {ours[key][:TOLD]!r} in {a} and {theirs[key][:TOLD]!r} in {b}" for key in apart[:3]
        )
        raise UserError(
            f"{len(apart)} of {len(ours)} pairs, by file name, are of two prompts: {named}; folders are compared on "
            "the same prompts: give every file of each folder a caption that no other has, which then makes the "
            "pairs, or all folders one table with --captions"
        )


def check_lengths(sides: Mapping[str, Side], found: Mapping[str, Described]) -> None:
    """Raises UserError where a clip has another number of frames than the first folder's clip of its prompt."""
    by_caption = _captioned(sides)
    first, *others = (
        dict(zip(_keys(side, found[name].files, by_caption), zip(found[name].files, found[name].lengths, strict=True),
                 strict=True))
        for name, side in sides.items()
    )  # fmt: skip
    for other in others:
        both = [(first[key], other[key]) for key in first if key in other]
        if apart := [pair for pair in both if pair[0][1] != pair[1][1]]:
            named = ", ".join(f"{two} has {m} frames and {one} {n}" for (one, n), (two, m) in apart[:3])
            raise UserError(
                f"{len(apart)} of {len(both)} pairs are of two lengths: {named}; folders are compared on clips of the "
                "same length: take these out, or say with --frames how many frames of each count"
            )


def compare_folders(
    sides: Mapping[str, Side], found: Mapping[str, Described], there: Collection[tuple[str, str]], *, resamples: int
) -> tuple[list[Comparison], list[str]]:
    """The first folder minus each other one, over the clips that both have, corrected over all (Holm 1979).

    Args:
        sides, found: name → the folder and the rows of its files; ``real`` is the reference.
        there: (name, metric) of those that have a value.

    Also a line for each pair that could not be compared.
    """
    fakes = {name: side for name, side in sides.items() if name != "real"}
    by_caption = _captioned(fakes)
    at = {
        name: {key: i for i, key in enumerate(_keys(side, found[name].files, by_caption))}
        for name, side in fakes.items()
    }
    first, *others = fakes
    prompts = {
        name: dict(zip(at[name], of, strict=True)) if (of := prompts_of(side, found[name].files)) else {}
        for name, side in fakes.items()
    }
    tested: list[tuple[str, str, Tested]] = []
    untested = []
    for evaluator, other in product(fakes[first].evaluators, others):
        if not {(first, evaluator.name), (other, evaluator.name)} <= set(there):
            continue
        both = sorted(at[first].keys() & at[other].keys())
        a, b = (found[name].rows[evaluator.digest][[at[name][key] for key in both]] for name in (first, other))
        reference = found["real"].rows.get(evaluator.digest) if "real" in found else None
        try:
            theirs = prompts[first] or prompts[other]
            groups = [theirs[key] for key in both] if theirs else None
            result = paired_test(evaluator, a, b, reference, groups=groups, resamples=resamples)
            tested.append((evaluator.name, other, result))
        except Exception as error:
            untested.append(f"{evaluator.name}: {first} and {other} are not compared: {reason(error)}")
    corrected = holm([result.p_value for _, _, result in tested])
    return [
        Comparison.of(result, ablation=FOLDERS, metric=metric, a=first, b=other, p_holm=p_holm)
        for (metric, other, result), p_holm in zip(tested, corrected, strict=True)
    ], untested


def prompts_of(side: Side, files: Sequence[Path]) -> list[str] | None:
    """The caption of each file: clips of one caption are of one prompt. None where no file has one.

    A file without a caption is of a prompt of its own.
    """
    return [text or str(file) for file, text in zip(files, _texts(side, files), strict=True)] if side.captions else None


def _texts(side: Side, files: Sequence[Path]) -> list[str]:
    """The caption of each file, empty where it has none."""
    return [(side.captions or {}).get(file, "") for file in files]


def _captioned(sides: Mapping[str, Side]) -> bool:
    """Whether every file of every folder has a caption that no other file of its folder has."""
    return all(
        side.captions is not None
        and all(file in side.captions for file in side.files)
        and len({side.captions[file] for file in side.files}) == len(side.files)
        for side in sides.values()
    )


def _keys(side: Side, files: Sequence[Path], by_caption: bool) -> list[str]:
    if by_caption:
        return [(side.captions or {})[file] for file in files]
    return [file.relative_to(side.folder).with_suffix("").as_posix() for file in files]

"""Files that each count whole, however long the others are: what metrics make of them, and which cannot.

Metrics of single clips take each by itself. What compares sets of clips needs them of one length: if they are, it has
its value, and if not, a status that says so. A clip that is shorter than a metric takes is named.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from artv_eval.api import Evaluator
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.files.describe import Described
from artv_eval.files.excerpts import Excerpt
from artv_eval.metrics.each_clip import EachClip, of_sets, several_lengths
from artv_eval.results.rows import reason


def each_whole(
    evaluators: Sequence[Evaluator], found: Mapping[str, Described], excerpt: Excerpt
) -> tuple[list[Evaluator], dict[str, str]]:
    """The evaluators by which whole files are evaluated, and by its name why one cannot be.

    Args:
        found: name → the files of a folder and their rows; ``real`` is the reference. What the evaluators evaluate is
            added to it.
    """
    taken: list[Evaluator] = []
    statuses: dict[str, str] = {}
    for evaluator in evaluators:
        against = "reference" in evaluator.needs
        sides = [side for name, side in found.items() if against or name != "real"]
        counts = {file: excerpt.count(n) for side in sides for file, n in zip(side.files, side.lengths, strict=False)}
        if (why := _too_short(evaluator, counts)) is not None:
            statuses[evaluator.name] = why
        elif len(lengths := sorted(set(counts.values()))) > 1 and of_sets(evaluator):
            statuses[evaluator.name] = several_lengths(lengths)
        elif len(lengths) > 1:
            evaluator = _by_itself(evaluator, sides)
        taken.append(evaluator)
    return taken, statuses


def _too_short(evaluator: Evaluator, counts: Mapping[Path, int]) -> str | None:
    least = optional(evaluator, EvaluatorExtras, "least_frames")
    if not (short := {file: count for file, count in counts.items() if count < least}):
        return None
    file, count = next(iter(short.items()))
    return (
        f"absent: {evaluator.name} takes clips of at least {least} frames, as it is set, and {len(short)} of "
        f"{len(counts)} have fewer ({file}: {count})"
    )


def _by_itself(evaluator: Evaluator, sides: Sequence[Described]) -> Evaluator:
    alone = EachClip(evaluator)
    for side in sides:
        if evaluator.digest in side.failed:
            side.failed[alone.digest] = side.failed[evaluator.digest]
        elif evaluator.digest in side.rows:
            rows, row = side.rows[evaluator.digest], 0
            try:
                for row in range(len(rows)):
                    alone.rows(rows[row : row + 1])
                side.rows[alone.digest] = alone.rows(rows)
            except Exception as error:
                side.failed[alone.digest] = f"{reason(error)} ({side.files[row]})"
    return alone

"""What a run found, in sentences: made of its rows and comparisons, and never stronger than they are.

One finding an ablation. It says what is told apart, with difference, interval and p; then what is not, with the
smallest difference that would have been seen; then what has no value.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import nctdtrinc, stdtrit  # Student's t: what the noncentral one must be centred on; the quantile

from artv.errors import counted
from artv_eval.report.numbers import interval, number, probability
from artv_eval.results.rows import OK, Comparison, Results, Row

LEVEL, POWER = 0.05, 0.8
FEWEST = 6  # pairs: with fewer, a sign-flip test cannot reach p = 0.05


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The sentences of one ablation, ``text``, and what they were made of.

    ``apart``, ``alike``: metrics by whether some comparison of them is told apart; ``about``: ``method`` or
    ``checkpoints`` or None, as in the comparisons. ``more``: what it takes to know more, or nothing.
    """

    ablation: str
    text: str
    apart: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    about: str | None = None
    more: str = ""


def findings_of(results: Results) -> list[Finding]:
    """A finding an ablation, in the order of the rows; a scoring without ablations has none."""
    names = dict.fromkeys(row.ablation for row in results.rows if row.ablation)
    return [_finding(name, results) for name in names]


def plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON has them."""
    return [{**asdict(finding), "apart": [*finding.apart], "alike": [*finding.alike]} for finding in findings]


def told_apart(pair: Comparison) -> bool:
    """Whether the corrected p-value and the interval both say so, with enough pairs for either to."""
    return pair.p_holm < LEVEL and not pair.ci_low <= 0 <= pair.ci_high


def smallest_seen(pair: Comparison, tests: int = 1) -> float | None:
    """The true difference that such a comparison finds in 4 of 5 cases, at the level that Holm's first step takes.

    None where no difference could have been: too few pairs, or no spread to judge by.
    """
    independent = pair.seeds or pair.prompts or pair.n
    if not pair.standard_error or independent < 2 or (pair.seeds is None and independent < FEWEST):
        return None
    freedom = independent - 1
    limit = stdtrit(freedom, 1 - LEVEL / (2 * tests))
    return float(nctdtrinc(freedom, 1 - POWER, limit)) * pair.standard_error


def better(pair: Comparison, rows: Sequence[Row]) -> str:
    """What the difference a − b means for a, in a word."""
    direction = next((row.higher_is_better for row in rows if row.metric == pair.metric), None)
    if direction is None:
        return "higher" if pair.difference > 0 else "lower"
    return "better" if (pair.difference > 0) is direction else "worse"


def _finding(ablation: str, results: Results) -> Finding:
    rows = [row for row in results.rows if row.ablation == ablation]
    pairs = [pair for pair in results.comparisons if pair.ablation == ablation]
    apart = [pair for pair in pairs if told_apart(pair)]
    others = dict.fromkeys(pair.b for pair in pairs)
    about = pairs[0].about if pairs else None
    say = _two_cells if len(others) == 1 else _many_cells
    parts = [*(say(apart, pairs, rows, len(results.comparisons)) if pairs else _one_cell(rows))]
    parts += [*_failed(rows), *_valueless(rows)]
    subject = f"{ablation} (these checkpoints)" if about == "checkpoints" else ablation
    named = dict.fromkeys(pair.metric for pair in apart)
    alike = dict.fromkeys(pair.metric for pair in pairs if pair.metric not in named)
    text = f"{subject}: {' '.join(parts) or 'no value, so nothing was found.'}"
    return Finding(
        ablation=ablation, text=text, apart=(*named,), alike=(*alike,), about=about, more=_more(pairs, alike)
    )


def _more(pairs: Sequence[Comparison], alike: Collection[str]) -> str:
    """What would let a reader know more: trainings where there is one a side, and clips for smaller differences.

    A standard error falls as one over the root of the number, so four times as many show half the difference.
    """
    if not pairs:
        return ""
    seeds, most = pairs[0].seeds, max(pairs, key=lambda pair: pair.prompts or pair.n)
    independent = most.prompts or most.n
    what = "clips" if most.prompts is None else f"prompts of {most.n / most.prompts:.3g} clips"
    if seeds is not None and seeds > 1:
        command = "artv-eval power RUN --difference D --train-minutes M"
        return f"To know more: {command} says how many trainings and clips show a difference of D." if alike else ""
    wanted = []
    if pairs[0].about == "checkpoints":
        wanted.append("several trainings a side (sweep --train), for these are one each")
    if alike:
        wanted.append(
            f"{4 * independent} {what} a cell, which show differences half as large"
            if independent >= FEWEST
            else f"at least {FEWEST} {what} a cell"
        )
    return f"To know more: {'; '.join(wanted)}." if wanted else ""


def _two_cells(apart: Sequence[Comparison], pairs: Sequence[Comparison], rows: Sequence[Row], tests: int) -> list[str]:
    a, b = pairs[0].a, pairs[0].b
    parts = []
    if apart:
        told = "; ".join(f"{pair.metric} {_values(pair, rows)}: {_difference(pair, rows)}" for pair in apart)
        parts.append(f"{told}.")
        words = {better(pair, rows) for pair in apart}
        if {"better", "worse"} <= words:
            parts.append("The metrics contradict each other.")
    else:
        parts.append(f"no metric tells {a} from {b}.")
    return [*parts, *_alike(pairs, tests)]


def _many_cells(apart: Sequence[Comparison], pairs: Sequence[Comparison], rows: Sequence[Row], tests: int) -> list[str]:
    """For each cell that others were compared with: results of several runs, or lengths, have one each."""
    parts: list[str] = []
    for first in dict.fromkeys(pair.a for pair in pairs):
        its = [pair for pair in apart if pair.a == first]
        parts.append(f"{'A' if parts else 'a'}gainst {first},")
        for metric, members in _by_metric(its):
            told = "; ".join(f"{pair.b} {_other(pair, rows)}" for pair in members)
            parts.append(f"{metric} tells apart {told}.")
        if not its:
            parts.append("no metric tells any cell apart.")
        parts += _alike([pair for pair in pairs if pair.a == first], tests)
    return parts


def _by_metric(pairs: Sequence[Comparison]) -> Iterator[tuple[str, list[Comparison]]]:
    for metric in dict.fromkeys(pair.metric for pair in pairs):
        yield metric, [pair for pair in pairs if pair.metric == metric]


def _values(pair: Comparison, rows: Sequence[Row]) -> str:
    """The two values with the cells that they belong to."""
    value = {row.cell: row for row in rows if row.metric == pair.metric}
    a, b = value.get(pair.a), value.get(pair.b)
    if a is None or b is None:
        return f"of {pair.a} and {pair.b}"
    width = (pair.ci_low, pair.ci_high)
    return f"{number(a.value, *width)} with {pair.a} and {number(b.value, *width)} with {pair.b}"


def _difference(pair: Comparison, rows: Sequence[Row]) -> str:
    low, high, p = pair.ci_low, pair.ci_high, probability(pair.p_holm, pair.caveat)
    difference = f"{_signed(pair.difference, low, high)} {interval(low, high)} ({better(pair, rows)})"
    return f"{difference}, {_size(pair)}, p {p if p.startswith('<') else f'= {p}'}"


def _other(pair: Comparison, rows: Sequence[Row]) -> str:
    """The difference as the other cell sees it, b − a."""
    turned = Comparison(**{**asdict(pair), "difference": -pair.difference, "ci_low": -pair.ci_high,
                           "ci_high": -pair.ci_low})  # fmt: skip
    return f"({_difference(turned, rows)})"


def _signed(value: float, low: float, high: float) -> str:
    text = number(value, low, high)
    return f"+{text}" if value > 0 else text


def _size(pair: Comparison) -> str:
    clips = counted(pair.n, "clip")
    return clips if pair.seeds is None else f"{counted(pair.seeds, 'training')} × {clips}"


def _alike(pairs: Sequence[Comparison], tests: int) -> Iterator[str]:
    """What is not told apart, and from which size on it would have been; equal values are said to be equal."""
    quiet = [pair for pair in pairs if not told_apart(pair)]
    named, several = [], len({pair.b for pair in pairs}) > 1
    for metric, members in _by_metric(quiet):
        sizes = [smallest_seen(pair, tests) for pair in members]
        known = [size for size in sizes if size is not None]
        who = f" ({', '.join(pair.b for pair in members)})" if several and len(members) < len(pairs) else ""
        if all(pair.difference == pair.ci_low == pair.ci_high == 0 for pair in members):
            named.append(f"{metric}{who} (the same values)")
        elif len(known) < len(sizes):
            named.append(f"{metric}{who} (no difference could have been at n = {members[0].n})")
        else:
            named.append(f"{metric}{who} (a difference of {number(max(known))} would have been)")
    if named:
        yield f"Not told apart at this size: {', '.join(named)}."


def _one_cell(rows: Sequence[Row]) -> Iterator[str]:
    cells = dict.fromkeys(row.cell for row in rows if not row.sanity)
    there = [row for row in rows if row.status == OK and not row.sanity]
    if len(cells) == 1 and there:
        values = ", ".join(
            f"{row.metric} {number(row.value, row.ci_low, row.ci_high)} {interval(row.ci_low, row.ci_high)}"
            for row in there
        )
        yield f"one cell only, {there[0].cell}, so nothing is compared: {values}."
    elif len(shown := dict.fromkeys(row.cell for row in there)) > 1:
        yield f"{len(shown)} cells, none of them compared with another."


def _failed(rows: Sequence[Row]) -> Iterator[str]:
    """Cells that have not one value."""
    for cell in dict.fromkeys(row.cell for row in rows if not row.sanity):
        its = [row for row in rows if row.cell == cell]
        if all(row.status != OK for row in its):
            yield f"{cell} has no value: {its[0].status}."
        elif lost := max(row.failed for row in its):
            yield f"{cell} lacks {counted(lost, 'clip')} that failed."


def _valueless(rows: Sequence[Row]) -> Iterator[str]:
    """Metrics that have not one value though some cell has others."""
    cells = [row for row in rows if not row.sanity]
    if not any(row.status == OK for row in cells):
        return
    lacking: dict[str, list[str]] = {}
    for metric in dict.fromkeys(row.metric for row in cells):
        its = [row for row in cells if row.metric == metric]
        if all(row.status != OK for row in its):
            lacking.setdefault(its[0].status.partition(":")[0], []).append(metric)
    for kind, metrics in lacking.items():  # the reason stands once, below the table
        yield f"No value of {', '.join(metrics)}: {kind}, as said below."

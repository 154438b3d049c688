"""One row a cell, the metrics as columns: what tables show first, in the terminal, on the page and in LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from artv_eval.report.findings import told_apart
from artv_eval.report.numbers import number
from artv_eval.results.rows import OK, Comparison, Row

BEST, ALIKE = "best", "alike"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A value of the table; ``row`` is None where there is none.

    ``mark``: ``best`` of its column, ``alike``: not told apart from the best, or nothing. ``second``: best but one.
    A value of fewer clips than others of its column have is never marked: those that it lacks may be the hard ones, and
    metrics of a whole set grow with fewer.
    ``differs``: told apart from the first cell. ``caveat``: why the p-value of that may be too small. ``fewer``: of how
    many clips it is, where others of its line have more: truth that is not known of all, say.
    """

    row: Row | None
    mark: str = ""
    differs: bool = False
    caveat: str | None = None
    second: bool = False
    fewer: int | None = None

    @property
    def text(self) -> str:
        """The value with half the width of its interval, as far as it has one."""
        if self.row is None or self.row.status != OK:
            return "–"
        low, high = self.row.ci_low, self.row.ci_high
        value = number(self.row.value, low, high)
        value = value if low is None or high is None else f"{value} ± {number((high - low) / 2, low, high)}"
        return value if self.fewer is None else f"{value} (n {self.fewer})"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A cell's row. ``seeds``: trainings behind its values, if there are several."""

    cell: str
    sanity: bool
    n: int
    seeds: int | None
    entries: Sequence[Entry]


@dataclass(frozen=True, kw_only=True)
class Wide:
    """An ablation's table. ``directions``: of the metrics: higher is better, lower is, or None."""

    metrics: Sequence[str]
    directions: Sequence[bool | None]
    lines: Sequence[Line]

    @property
    def trained(self) -> bool:
        """Whether some value has several trainings behind it."""
        return any(line.seeds for line in self.lines)


def wide(rows: Sequence[Row], pairs: Sequence[Comparison]) -> Wide:
    """The table of the rows of one ablation; sanity cells come last and take part in no marking."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    direction = {row.metric: row.higher_is_better for row in rows}
    at = {(row.cell, row.metric): row for row in rows}
    cells = {row.cell: row.sanity for row in rows}
    marks = {metric: _marks([row for row in rows if row.metric == metric], pairs) for metric in metrics}
    lines = []
    for cell in sorted(cells, key=lambda cell: cells[cell]):  # stable: sanity cells last, else the order of the rows
        its = [at[cell, metric] for metric in metrics if (cell, metric) in at]
        n, seeds = max(row.n for row in its), max((row.seeds or 0 for row in its), default=0) or None
        entries = [_counted(marks[m].get(cell, Entry(row=at.get((cell, m)))), n) for m in metrics]
        lines.append(Line(cell=cell, sanity=cells[cell], n=n, seeds=seeds, entries=entries))
    return Wide(metrics=metrics, directions=[direction[metric] for metric in metrics], lines=lines)


def _counted(entry: Entry, n: int) -> Entry:
    return entry if entry.row is None or entry.row.n == n else replace(entry, fewer=entry.row.n)


def _marks(rows: Sequence[Row], pairs: Sequence[Comparison]) -> dict[str, Entry]:
    """Cell → its entry, for the cells of one metric that take part."""
    there = [row for row in rows if row.status == OK and not row.sanity and row.value is not None]
    against = {pair.b: pair for pair in pairs if there and pair.metric == there[0].metric}
    differs = {cell for cell, pair in against.items() if told_apart(pair)}
    caveats = {cell: pair.caveat for cell, pair in against.items() if cell in differs}
    entries = {row.cell: Entry(row=row, differs=row.cell in differs, caveat=caveats.get(row.cell)) for row in there}
    whole = [row for row in there if row.n == max(row.n for row in there)]
    if len(whole) < 2 or whole[0].higher_is_better is None:
        return entries
    sign = -1 if whole[0].higher_is_better else 1
    ranked = sorted(whole, key=lambda row: sign * (row.value or 0.0))
    best = ranked[0].cell
    for rank, row in enumerate(ranked):
        alike = rank > 0 and not _apart(best, row.cell, against)
        mark = BEST if rank == 0 else ALIKE if alike else ""
        entries[row.cell] = replace(entries[row.cell], mark=mark, second=rank == 1)
    return entries


def _apart(a: str, b: str, against: dict[str, Comparison]) -> bool:
    """Whether two cells are told apart: by their own comparison if one of them is the first cell, else, cautiously, if
    their differences from the first cell have intervals that do not overlap."""
    one, other = against.get(a), against.get(b)
    if one is None or other is None:
        pair = one or other
        return pair is not None and told_apart(pair)
    return one.ci_high < other.ci_low or other.ci_high < one.ci_low

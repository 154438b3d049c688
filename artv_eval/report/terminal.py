"""Results in a terminal, drawn with rich: the finding and one row a cell, or everything in long form."""

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from artv_eval.report.findings import findings_of, told_apart
from artv_eval.report.tables import (
    ARROWS,
    HEAD,
    PAIR_HEAD,
    absences,
    cells_of,
    cells_of_pair,
    flaw_table,
    fronts,
    grouped,
    protocols,
    sights,
)  # fmt: skip
from artv_eval.report.wide import ALIKE, BEST, Entry, Line, Wide, wide
from artv_eval.results.rows import OK, Comparison, Results, Row

NUMBERS = ("value", "difference", "n", "seeds", "p (Holm)", "95 % interval")


def table() -> Callable[[Results], str]:
    """The finding first, then a row a cell with the metrics as columns."""

    def render(results: Results) -> str:
        results = results.printable()
        console = _console()
        _found(console, results)
        for name, rows, pairs in grouped(results):
            for part in _parts(wide(rows, pairs), console.width):
                console.print(_wide(name, part))
            console.print(
                f"{protocols(rows)}; ± half of the 95 % interval; * best, ≈ not told apart from it",
                style="dim", markup=False, highlight=False,
            )  # fmt: skip
        _notes(console, [*sights(results.flaws), *absences(results.rows), *fronts(results), *results.notes])
        return _text(console)

    return render


def long() -> Callable[[Results], str]:
    """A row a value with its interval, and every paired difference."""

    def render(results: Results) -> str:
        results = results.printable()
        console = _console()
        _found(console, results)
        for name, rows, pairs in grouped(results):
            console.print(_long(name, [row for row in rows if row.status == OK]))
            if pairs:
                console.print(_differences(name, pairs))
        if results.flaws:
            head, seen = flaw_table(results.flaws)
            flaws = _table("which metric tells what apart (yes: the intervals do not overlap)", head)
            for cells in seen:
                flaws.add_row(*map(escape, cells))
            console.print(flaws)
        _notes(console, [*absences(results.rows), *fronts(results), *results.notes])
        return _text(console)

    return render


def _wide(name: str, shown: Wide) -> Table:
    heads = [m + ARROWS[d] for m, d in zip(shown.metrics, shown.directions, strict=True)]
    drawn = _table(name, ["cell", *heads, *(["seeds"] if shown.trained else []), "n"], numbers=heads)
    for i, line in enumerate(shown.lines):
        below = shown.lines[i + 1 : i + 2]
        counts = [*([str(line.seeds or "–")] if shown.trained else []), str(line.n)]
        entries = [_entry(entry) for entry in line.entries]
        ends = bool(below and below[0].sanity and not line.sanity)
        drawn.add_row(escape(line.cell), *entries, *counts, end_section=ends, style="dim" if line.sanity else None)
    return drawn


def _entry(entry: Entry) -> str:
    mark = {BEST: " *", ALIKE: " ≈"}.get(entry.mark, "")
    return f"[bold]{escape(entry.text)}[/bold]{mark}" if entry.mark == BEST else escape(entry.text) + mark


def _parts(shown: Wide, width: int) -> Iterator[Wide]:
    """The table in as many pieces as fit beside each other in ``width`` columns."""
    used = max(len(line.cell) for line in shown.lines) + 16
    room, start = width - used, 0
    wants = [max(len(metric) + 2, *(len(line.entries[i].text) + 2 for line in shown.lines)) + 3
             for i, metric in enumerate(shown.metrics)]  # fmt: skip
    while start < len(wants):
        stop = start + 1
        while stop < len(wants) and sum(wants[start : stop + 1]) <= room:
            stop += 1
        lines = [
            Line(cell=at.cell, sanity=at.sanity, n=at.n, seeds=at.seeds, entries=at.entries[start:stop])
            for at in shown.lines
        ]
        yield Wide(metrics=shown.metrics[start:stop], directions=shown.directions[start:stop], lines=lines)
        start = stop


def texts(head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], *, title: str, left: int) -> str:
    """Any table with lines below it, as wide as it needs to be; ``left``: columns of text, which come first."""
    drawn = _table(title, head, numbers=head[left:])
    for cells in rows:
        drawn.add_row(*map(escape, cells))
    console = _console(1_000)
    console.print(drawn)
    _notes(console, notes)
    return _text(console)


def _long(name: str, rows: Sequence[Row]) -> Table:
    drawn = _table(name, HEAD)
    for i, row in enumerate(rows):
        last = i + 1 == len(rows) or rows[i + 1].metric != row.metric
        drawn.add_row(*map(escape, cells_of(row)), end_section=last, style="dim" if row.sanity else None)
    return drawn


def _differences(name: str, pairs: Sequence[Comparison]) -> Table:
    drawn = _table(f"{name}: paired differences, same prompts and seeds", PAIR_HEAD)
    for pair in pairs:
        drawn.add_row(*map(escape, cells_of_pair(pair)), style="bold" if told_apart(pair) else None)
    return drawn


def _table(title: str, head: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    drawn = Table(title=escape(title), title_justify="left", header_style="bold")
    for name in head:
        right = name in NUMBERS or name in numbers
        drawn.add_column(escape(name), justify="right" if right else "left", no_wrap=right or name in HEAD[:2])
    return drawn


def _found(console: Console, results: Results) -> None:
    for finding in findings_of(results):
        console.print(finding.text, style="bold", markup=False, highlight=False)
        if finding.more:
            console.print(finding.more, markup=False, highlight=False)


def _notes(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"· {line}", markup=False, highlight=False)


def _console(least: int = 80) -> Console:
    width = max(least, shutil.get_terminal_size((110, 24)).columns)
    return Console(file=io.StringIO(), width=width, force_terminal=_colour(), record=False)


def _text(console: Console) -> str:
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def _colour() -> bool:
    return sys.__stdout__ is not None and sys.__stdout__.isatty() and "NO_COLOR" not in os.environ

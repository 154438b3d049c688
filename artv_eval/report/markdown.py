"""Results as Markdown."""

from collections.abc import Callable, Sequence

from artv_eval.report.findings import findings_of
from artv_eval.report.tables import ARROWS, PAIR_HEAD, absences, cells_of_pair, fronts, grouped, protocols, sights
from artv_eval.report.wide import ALIKE, BEST, Entry, wide
from artv_eval.results.rows import Comparison, Results, Row


def markdown() -> Callable[[Results], str]:
    """For a README or an issue: the finding, a row a cell, the differences."""

    def render(results: Results) -> str:
        results = results.printable()
        parts = []
        for finding in findings_of(results):
            parts += [f"**{_escaped(finding.text)}**" + (f" {_escaped(finding.more)}" if finding.more else ""), ""]
        for name, rows, pairs in grouped(results):
            parts += [f"### {_escaped(name)}", "", *_wide(rows, pairs), ""]
            if pairs:
                parts += ["Paired differences, same prompts and seeds:", ""]
                parts += [*table(PAIR_HEAD, [cells_of_pair(pair) for pair in pairs]), ""]
        lines = [*sights(results.flaws), *absences(results.rows), *fronts(results), *results.notes]
        return "\n".join([*parts, *(f"- {_escaped(line)}" for line in lines)]).rstrip() + "\n"

    return render


def _wide(rows: list[Row], pairs: list[Comparison]) -> list[str]:
    shown = wide(rows, pairs)
    head = ["cell", *(m + ARROWS[d] for m, d in zip(shown.metrics, shown.directions, strict=True)), "n"]
    lines = [[_escaped(line.cell), *map(_entry, line.entries), str(line.n)] for line in shown.lines]
    note = f"{protocols(rows)}; ± is half of the 95 % interval; bold: best, ≈: not told apart from it"
    return [*table(head, lines, escaped=True), "", _escaped(note)]


def _entry(entry: Entry) -> str:
    text = _escaped(entry.text)
    return f"**{text}**" if entry.mark == BEST else f"{text} ≈" if entry.mark == ALIKE else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, escaped: bool = False) -> list[str]:
    """Lines of a table of texts; ``escaped``: they are Markdown already."""
    cells = rows if escaped else [[_escaped(cell) for cell in row] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in [list(head), ["---"] * len(head), *cells]]


def _escaped(text: str) -> str:
    text = " ".join(text.split())
    for mark in "\\`*_|<>":
        text = text.replace(mark, f"\\{mark}")
    return text

"""Results as LaTeX: a table an ablation that fits a column, one row a cell, the metrics as columns."""

from collections.abc import Callable, Sequence

from artv_eval.report.numbers import number
from artv_eval.report.tables import grouped, protocols
from artv_eval.report.wide import BEST, Entry, Line, Wide, wide
from artv_eval.results.rows import OK, Results

PACKAGES = r"% \usepackage{booktabs,graphicx} and \usepackage[T1]{fontenc}"
HEAD = (
    PACKAGES
    + """
% best in bold, second underlined; subscript: 95 % interval; $^{*}$: told apart from the first row (p < 0.05, Holm)"""
)
ARROWS = {True: r"\,$\uparrow$", False: r"\,$\downarrow$", None: ""}
NARROWED = r"\resizebox{\ifdim\width>\columnwidth\columnwidth\else\width\fi}{!}{%"


def latex() -> Callable[[Results], str]:
    """For a paper, with booktabs; the comments above each table name the packages and the protocol."""

    def render(results: Results) -> str:
        parts = [HEAD]
        for name, rows, pairs in grouped(results):
            shown = wide(rows, pairs)
            caveats = dict.fromkeys(entry.caveat for line in shown.lines for entry in line.entries if entry.caveat)
            parts += [comment(f"{name}; protocol {protocols(rows)}"), *_wide(shown)]
            parts += [comment(rf"$^{{\dagger}}$: {caveat}") for caveat in caveats]
        return "\n".join(parts) + "\n"

    return render


def _wide(shown: Wide) -> list[str]:
    columns = zip(shown.metrics, shown.directions, strict=True)
    head = ["", *(tex(metric) + ARROWS[direction] for metric, direction in columns), "$n$"]
    body = []
    for i, line in enumerate(shown.lines):
        first_of_sanity = line.sanity and i > 0 and not shown.lines[i - 1].sanity
        body += [r"\midrule"] * first_of_sanity + [_row(line)]
    return tabular(head, body)


def tabular(head: Sequence[str], body: Sequence[str], left: int = 1) -> list[str]:
    """Lines of a table that fits a column, of LaTeX: cells of the head, whole lines of the body.

    Args:
        left: columns of text, which come first; the others hold numbers.
    """
    start = rf"\begin{{tabular}}{{{'l' * left}{'r' * (len(head) - left)}}}"
    return [NARROWED, start, r"\toprule", joined(head), r"\midrule", *body, r"\bottomrule", r"\end{tabular}}"]


def _row(line: Line) -> str:
    count = str(line.n) if not line.seeds else rf"${line.seeds} \times {line.n}$"
    return joined([tex(line.cell), *map(_entry, line.entries), count])


def joined(cells: Sequence[str]) -> str:
    """A line of a table, of cells that are LaTeX already."""
    # braces: a cell that begins with [ or * would be taken for an argument of the line break before it
    return " & ".join(f"{{{cell}}}" for cell in cells) + r" \\"


def _entry(entry: Entry) -> str:
    row = entry.row
    if row is None or row.status != OK:
        return "--"
    value = number(row.value, row.ci_low, row.ci_high)
    value = rf"\mathbf{{{value}}}" if entry.mark == BEST else rf"\underline{{{value}}}" if entry.second else value
    star = (r"^{*\dagger}" if entry.caveat else "^{*}") if entry.differs else ""
    clips = "" if entry.fewer is None else f" ($n = {entry.fewer}$)"
    if row.ci_low is None or row.ci_high is None:
        return f"${value}{star}${clips}"
    low, high = (number(limit, row.ci_low, row.ci_high) for limit in (row.ci_low, row.ci_high))
    return rf"${value}{star}_{{\scriptscriptstyle [{low}, {high}]}}${clips}"


def comment(text: str) -> str:
    """A line that is not printed."""
    return "% " + "".join(c if c.isprintable() else " " for c in text)  # a line break would end the comment


ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}", "|": r"\textbar{}",
}  # fmt: skip


def tex(text: str) -> str:
    """Any text as LaTeX prints it; control characters become spaces."""
    return "".join(
        ESCAPES.get(c, f"\\{c}" if c in "&%$#_{}" else c) if c.isprintable() else " " for c in text
    )  # fmt: skip

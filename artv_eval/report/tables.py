"""Results as text: a table for the terminal, JSON, CSV, Markdown, LaTeX. Each is a ``reporters`` component."""

import json
import math
from collections.abc import Callable, Sequence

from artv.errors import UserError
from artv_eval.results.rows import OK, Comparison, Flaw, Results, Row

HEAD = ("metric", "cell", "value", "95 % interval", "n", "protocol")
PAIR_HEAD = ("metric", "a − b", "difference", "95 % interval", "p (Holm)", "n")
HASH = 8  # digits of a protocol's hash shown with a row; results.json has all
ARROWS = {True: " ↑", False: " ↓", None: ""}


def check_protocols(rows: Sequence[Row]) -> None:
    """Raises UserError if two protocols would stand in one column: their values cannot be compared."""
    seen: dict[str, Row] = {}
    for row in rows:
        other = seen.setdefault(row.metric, row)
        if other.protocol_hash != row.protocol_hash:
            raise UserError(
                f"{row.metric} of {other.cell} is by protocol {other.protocol} ({other.protocol_hash}) and that of "
                f"{row.cell} by {row.protocol} ({row.protocol_hash}); report them apart, their values do not compare"
            )


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """``value`` to the digits that its interval makes worth showing (two of the interval's width)."""
    if value is None or not math.isfinite(value):
        return "–"
    width = abs(high - low) if low is not None and high is not None else abs(value)
    digits = 1 - math.floor(math.log10(width)) if width > 0 and math.isfinite(width) else 3
    return f"{value:.{min(max(digits, 0), 6)}f}"


def interval(low: float | None, high: float | None) -> str:
    """``[low, high]``, or a dash."""
    if low is None or high is None:
        return "–"
    return f"[{number(low, low, high)}, {number(high, low, high)}]"


def probability(p: float) -> str:
    """A p-value: never 0."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def cells_of(row: Row) -> tuple[str, ...]:
    """One row of the main table as texts."""
    value = number(row.value, row.ci_low, row.ci_high)
    return (
        row.metric + ARROWS[row.higher_is_better],
        row.cell,
        value,
        interval(row.ci_low, row.ci_high),
        str(row.n),
        f"{row.protocol} {row.protocol_hash[:HASH]}".rstrip(),
    )


def cells_of_pair(pair: Comparison) -> tuple[str, ...]:
    """One row of the table of differences as texts."""
    low, high = pair.ci_low, pair.ci_high
    return (
        pair.metric,
        f"{pair.a} − {pair.b}",
        number(pair.difference, low, high),
        interval(low, high),
        probability(pair.p_holm),
        str(pair.n),
    )


def grouped(results: Results) -> list[tuple[str, list[Row], list[Comparison]]]:
    """(ablation, its rows by metric, its comparisons), in order."""
    check_protocols(results.rows)
    names = list(dict.fromkeys(row.ablation or "scores" for row in results.rows))
    groups = []
    for name in names:
        rows = [row for row in results.rows if (row.ablation or "scores") == name]
        metrics = list(dict.fromkeys(row.metric for row in rows))
        rows.sort(key=lambda row: metrics.index(row.metric))
        groups.append((name, rows, [pair for pair in results.comparisons if pair.ablation == name]))
    return groups


def flaw_table(flaws: Sequence[Flaw]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: per metric, which sanity method it tells from what. ``yes``: the intervals are apart."""
    columns = list(dict.fromkeys((flaw.flaw, flaw.other) for flaw in flaws))
    seen = {(flaw.metric, flaw.flaw, flaw.other): "yes" if flaw.seen else "no" for flaw in flaws}
    head = ["metric", *(f"{flaw} from {other}" for flaw, other in columns)]
    metrics = dict.fromkeys(flaw.metric for flaw in flaws)
    return head, [[metric, *(seen.get((metric, *column), "–") for column in columns)] for metric in metrics]


def absences(rows: Sequence[Row]) -> list[str]:
    """One line for each reason why values are missing, with the cells and metrics it holds for."""
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        if row.status != OK:
            reasons.setdefault(row.status, []).append(row)
    lines = []
    for reason, missing in reasons.items():
        cells = ", ".join(dict.fromkeys(row.cell for row in missing))
        metrics = ", ".join(dict.fromkeys(row.metric for row in missing))
        lines.append(f"{cells} ({metrics}): {reason}")
    return lines


def table() -> Callable[[Results], str]:
    """For a terminal, drawn with rich."""

    def render(results: Results) -> str:
        import io

        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console(file=io.StringIO(), width=_width(), force_terminal=_colour(), record=False)
        for name, rows, pairs in grouped(results):
            main = _table(Table, f"{name}", HEAD)
            shown = [row for row in rows if row.status == OK]
            for i, row in enumerate(shown):
                last = i + 1 == len(shown) or shown[i + 1].metric != row.metric
                main.add_row(*map(escape, cells_of(row)), end_section=last, style="dim" if row.sanity else None)
            console.print(main)
            if pairs:
                differences = _table(Table, f"{name}: paired differences, same prompts and seeds", PAIR_HEAD)
                for pair in pairs:
                    differences.add_row(*map(escape, cells_of_pair(pair)), style="bold" if pair.p_holm < 0.05 else None)
                console.print(differences)
        if results.flaws:
            head, seen = flaw_table(results.flaws)
            flaws = _table(Table, "which metric tells what apart (yes: the intervals do not overlap)", head)
            for cells in seen:
                flaws.add_row(*map(escape, cells))
            console.print(flaws)
        for line in (*absences(results.rows), *fronts(results), *results.notes):
            console.print(f"· {line}", markup=False, highlight=False)
        output = console.file
        assert isinstance(output, io.StringIO)
        return output.getvalue()

    return render


def _table(kind: Callable[..., object], title: str, head: Sequence[str]):  # type: ignore[no-untyped-def]
    drawn = kind(title=title, title_justify="left", header_style="bold")
    for name in head:
        right = name in ("value", "difference", "n", "p (Holm)", "95 % interval")
        drawn.add_column(name, justify="right" if right else "left", no_wrap=name in HEAD[:5] or right)  # type: ignore[attr-defined]
    return drawn


def _width() -> int:
    import shutil

    return max(80, shutil.get_terminal_size((110, 24)).columns)


def _colour() -> bool:
    import os
    import sys

    return sys.__stdout__ is not None and sys.__stdout__.isatty() and "NO_COLOR" not in os.environ


def as_json() -> Callable[[Results], str]:
    """One document: run, rows, comparisons."""
    return lambda results: json.dumps(results.document(), indent=2, allow_nan=False) + "\n"


def as_csv() -> Callable[[Results], str]:
    """The rows, with a header."""
    return lambda results: results.csv()


def markdown() -> Callable[[Results], str]:
    """Tables for a README or an issue."""

    def render(results: Results) -> str:
        parts = []
        for name, rows, pairs in grouped(results):
            parts += [
                f"### {name}",
                "",
                *_markdown_table(HEAD, [cells_of(row) for row in rows if row.status == OK]),
                "",
            ]
            if pairs:
                parts += ["Paired differences, same prompts and seeds:", ""]
                parts += [*_markdown_table(PAIR_HEAD, [cells_of_pair(pair) for pair in pairs]), ""]
        if results.flaws:
            parts += ["Which metric tells what apart (yes: the intervals do not overlap):", ""]
            parts += [*_markdown_table(*flaw_table(results.flaws)), ""]
        lines = [*absences(results.rows), *fronts(results), *results.notes]
        return "\n".join([*parts, *(f"- {_plain_markdown(line)}" for line in lines)]).rstrip() + "\n"

    return render


def fronts(results: Results) -> list[str]:
    """Which cells are worth their seconds, a line a metric."""
    from artv_eval.report.pareto import trades

    return [trade.line() for trade in trades(results)]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(head), ["---"] * len(head), *([_plain_markdown(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _plain_markdown(text: str) -> str:
    for mark in "\\`*_|<>":
        text = text.replace(mark, f"\\{mark}")
    return text


def latex() -> Callable[[Results], str]:
    """A ``tabular`` an ablation, for booktabs: metrics across, cells down, value with its interval."""

    def render(results: Results) -> str:
        parts = []
        for name, rows, _ in grouped(results):
            metrics = list(dict.fromkeys(row.metric for row in rows))
            cells = list(dict.fromkeys(row.cell for row in rows))
            at = {(row.cell, row.metric): row for row in rows}
            protocols = ", ".join(dict.fromkeys(f"{row.protocol} ({row.protocol_hash})" for row in rows))
            body = [
                " & ".join([_tex(cell), *(_tex_value(at.get((cell, m))) for m in metrics)]) + r" \\" for cell in cells
            ]
            head = " & ".join(["", *(_tex_metric(at, cells, m) for m in metrics)]) + r" \\"
            parts += [f"% {name}; protocol {protocols}; n = {max(row.n for row in rows)}"]
            parts += [rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}", r"\toprule", head, r"\midrule", *body]
            parts += [r"\bottomrule", r"\end{tabular}"]
        return "\n".join(parts) + "\n"

    return render


def _tex_metric(at: dict[tuple[str, str], Row], cells: Sequence[str], metric: str) -> str:
    better = next((at[cell, metric].higher_is_better for cell in cells if (cell, metric) in at), None)
    return _tex(metric) + {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}[better]


def _tex_value(row: Row | None) -> str:
    if row is None or row.status != OK:
        return "--"
    value = number(row.value, row.ci_low, row.ci_high)
    if row.ci_low is None:
        return f"${value}$"
    return rf"${value}$ {{\scriptsize ${interval(row.ci_low, row.ci_high)}$}}"


def _tex(text: str) -> str:
    escapes = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(escapes.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)

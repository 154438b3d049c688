"""What tables of results share: heads, rows as texts, groups by ablation, lines about what is missing."""

from collections.abc import Sequence

from artv.errors import UserError
from artv_eval.report.numbers import interval, number, probability
from artv_eval.report.pareto import trades
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
        probability(pair.p_holm, pair.caveat),
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


def fronts(results: Results) -> list[str]:
    """Which cells are worth their seconds, a line a metric."""
    return [trade.line() for trade in trades(results)]


def sights(flaws: Sequence[Flaw]) -> list[str]:
    """One line for each sanity method: which metrics tell it from the real clips, and which do not."""
    lines = []
    for flaw in dict.fromkeys(flaw.flaw for flaw in flaws):
        its = [item for item in flaws if item.flaw == flaw and item.other == "real"]
        seen = ", ".join(item.metric for item in its if item.seen) or "none"
        unseen = ", ".join(item.metric for item in its if not item.seen)
        if its:
            lines.append(f"told from real clips at this n: {flaw} by {seen}" + (f"; not by {unseen}" if unseen else ""))
    return lines


def protocols(rows: Sequence[Row]) -> str:
    """The protocols of the rows of one ablation, with the metrics that have one of their own."""
    of = {(row.protocol, row.protocol_hash[:HASH]): None for row in rows}
    if len(of) == 1:
        return " ".join(next(iter(of))).rstrip()
    named = []
    for name, key in of:
        its = dict.fromkeys(row.metric for row in rows if (row.protocol, row.protocol_hash[:HASH]) == (name, key))
        named.append(f"{f'{name} {key}'.rstrip()} ({', '.join(its)})")
    return ", ".join(named)

"""Quality against cost: which cells no other cell beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from artv_eval.results.rows import OK, Results, Row

FRAME_COST = "frame_seconds"
"""Seconds a frame, as a speed card has them (``speed_cards.py``)."""
COSTS = {"seconds": "seconds a clip", FRAME_COST: "seconds a frame"}
"""Metric → what it is called beside a quality."""


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One ablation under one metric. ``cost`` and ``quality`` are rows of the same cells, in the same order.

    ``front``: names of the cells that are on the Pareto front, cheapest first.
    """

    ablation: str
    metric: str
    cost: Sequence[Row]
    quality: Sequence[Row]
    front: Sequence[str]

    @property
    def cost_title(self) -> str:
        """What the cost is in."""
        return COSTS[self.cost[0].metric]

    def line(self) -> str:
        """One line for a table's notes; it says which of the front the intervals tell from the cheapest cell."""
        text = f"{self.ablation}: Pareto front of {self.metric} against {self.cost_title}: {', '.join(self.front)}"
        if len(self.front) < 2:
            return text
        return f"{text}; intervals tell {', '.join(self.apart()) or 'none'} from {self.front[0]}"

    def apart(self) -> list[str]:
        """Cells of the front whose interval does not overlap that of the cheapest cell."""
        rows = {row.cell: row for row in self.quality}
        first, *others = (rows[name] for name in self.front)
        return [row.cell for row in others if not _overlap(row, first)]


def trades(results: Results) -> list[Trade]:
    """A trade for each metric with a direction and each cost of the ablation that was measured."""
    usable = [row for row in results.rows if row.status == OK and not row.sanity and row.ablation]
    costs = {(row.ablation, row.cell, row.metric): row for row in usable if row.metric in COSTS}
    found = []

    def key(row: Row) -> tuple[str, str]:
        return row.ablation or "", row.metric

    for (ablation, metric), group in groupby(sorted(usable, key=key), key=key):
        of_metric = list(group)
        for name in COSTS:
            rows = [row for row in of_metric if (ablation, row.cell, name) in costs]
            if metric in COSTS or len(rows) < 2 or rows[0].higher_is_better is None:
                continue
            cost = [costs[ablation, row.cell, name] for row in rows]
            found.append(Trade(ablation=ablation, metric=metric, cost=cost, quality=rows, front=_front(cost, rows)))
    return found


def _overlap(a: Row, b: Row) -> bool:
    """Whether the intervals do, or one of the two has none."""
    if a.ci_low is None or a.ci_high is None or b.ci_low is None or b.ci_high is None:
        return True
    return a.ci_low <= b.ci_high and b.ci_low <= a.ci_high


def _front(cost: Sequence[Row], quality: Sequence[Row]) -> list[str]:
    """Cells from cheap to dear, each better than all cheaper ones.

    Point values decide: two cells whose intervals overlap may change places in another run.
    """
    sign = -1 if quality[0].higher_is_better else 1
    points = sorted((c.value or 0.0, sign * (q.value or 0.0), q.cell) for c, q in zip(cost, quality, strict=True))
    names, best = [], float("inf")
    for _, value, name in points:
        if value < best:
            names.append(name)
            best = value
    return names

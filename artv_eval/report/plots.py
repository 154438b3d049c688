"""Pictures as SVG that stands in the page itself: curves over the frame index, and quality against seconds."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from artv_eval.report.pareto import Trade
from artv_eval.results.rows import Curve


def curves_svg(curves: Sequence[Curve]) -> str:
    """A line a cell. The curves are of one metric and one ablation."""
    with _picture() as (axes, svg):
        for curve in curves:
            axes.plot(range(1, len(curve.values) + 1), curve.values, label=curve.cell, linewidth=1.4)
        axes.set_xlabel("frame")
        axes.set_ylabel(curves[0].metric)
        axes.legend(frameon=False, fontsize=8)
    return svg()


def trade_svg(trade: Trade) -> str:
    """A point a cell with its interval, the Pareto front as a line."""
    with _picture() as (axes, svg):
        at = {}
        for cost, quality in zip(trade.cost, trade.quality, strict=True):
            x, y = cost.value or 0.0, quality.value or 0.0
            low, high = quality.ci_low, quality.ci_high
            spread = None if low is None or high is None else [[max(y - low, 0.0)], [max(high - y, 0.0)]]
            colour = "C0" if quality.cell in trade.front else "0.6"
            axes.errorbar([x], [y], yerr=spread, fmt="o", markersize=4, linewidth=1, color=colour)
            axes.annotate(quality.cell, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
            at[quality.cell] = (x, y)
        axes.step(*zip(*(at[name] for name in trade.front), strict=True), where="post", color="C0", linewidth=0.8)
        axes.set_xlabel("seconds a clip")
        axes.set_ylabel(trade.metric)
    return svg()


@contextmanager
def _picture() -> Iterator[tuple[Any, Any]]:
    """Axes to draw on, and a function that gives the SVG when they are done."""
    import matplotlib
    from matplotlib.figure import Figure

    # text as text, and no random ids or dates: the same results give the same page
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "artv", "font.size": 9}):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        yield axes, lambda: buffer.getvalue()[buffer.getvalue().index("<svg") :]
        figure.savefig(buffer, format="svg", metadata={"Date": None})

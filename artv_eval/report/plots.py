"""Pictures of results: differences, curves over the frame index, quality against seconds.

For the page they are SVG whose ink is ``currentColor`` on a clear ground, so that they suit a dark page too; as files
they have black ink. Colours are Okabe and Ito's (2008), which the colour-blind tell apart.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv_eval.report.findings import better, told_apart
from artv_eval.report.pareto import Trade
from artv_eval.report.tables import ARROWS
from artv_eval.results.rows import Comparison, Curve, Row

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#7f7f7f")
STYLES = ("-", "--", ":")
INK = "#010203"  # stands for the page's ink until the picture is done


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture to be made: its size in inches, its panels, and what paints on them, an array of axes."""

    paint: Callable[[Any], None]
    width: float = 5.2
    height: float = 3.0
    down: int = 1
    across: int = 1


def svg(drawing: Drawing) -> str:
    """The picture as it stands in a page."""
    text = picture(drawing, "svg").decode()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def picture(drawing: Drawing, kind: str) -> bytes:
    """The picture as a file: ``svg``, ``png`` or ``pdf``."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # text as text, and no random ids or dates: the same results give the same picture
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "artv", "font.size": 9, "pdf.fonttype": 42}
    settings |= {"text.usetex": False, "text.parse_math": False}  # a name is never mathematics
    settings |= {f"{part}.color": INK for part in ("text", "xtick", "ytick")}
    with matplotlib.rc_context({**settings, "axes.labelcolor": INK, "axes.edgecolor": INK}):
        figure = Figure(figsize=(drawing.width, drawing.height), layout="constrained")
        FigureCanvasAgg(figure)  # whatever backend the user's environment names
        grid = figure.subplots(drawing.down, drawing.across, squeeze=False)
        for axes in grid.flat:
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_facecolor("none")
        drawing.paint(grid)
        buffer = io.BytesIO()
        date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        figure.savefig(buffer, format=kind, metadata=date, transparent=True, dpi=200)
    return buffer.getvalue()


def logarithmic(axis: Any) -> None:
    """Makes the axis of something drawn logarithmic, with plain numbers: powers of ten would come as their TeX."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(
        MaxNLocator(4) if high < 10 * low else LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,))
    )
    axis.set_major_formatter(StrMethodFormatter("{x:.6g}"))
    axis.set_minor_formatter(NullFormatter())


def forest(rows: Sequence[Row], pairs: Sequence[Comparison]) -> Drawing:
    """Differences with their intervals, a panel a metric and a line a pair; filled: told apart."""
    metrics = list(dict.fromkeys(pair.metric for pair in pairs))
    names = list(dict.fromkeys((pair.a, pair.b) for pair in pairs))
    across = min(len(metrics), 3)
    down = -(-len(metrics) // across)
    direction = {row.metric: row.higher_is_better for row in rows}
    label = 0.07 * max(len(short(f"{a} − {b}")) for a, b in names)  # inches

    def paint(grid: Any) -> None:
        for axes in grid.flat[len(metrics) :]:
            axes.set_axis_off()
        for k, (axes, metric) in enumerate(zip(grid.flat, metrics, strict=False)):
            axes.axvline(0, color=INK, linewidth=0.8)
            for pair in (pair for pair in pairs if pair.metric == metric):
                y, told = -names.index((pair.a, pair.b)), told_apart(pair)
                colour = COLOURS[{"better": 0, "worse": 1}.get(better(pair, rows), 7)] if told else COLOURS[7]
                axes.plot([pair.ci_low, pair.ci_high], [y, y], color=colour, linewidth=1.6)
                face = colour if told else "none"
                axes.plot([pair.difference], [y], "o", color=colour, mfc=face, markersize=5)
            axes.set_ylim(-len(names) + 0.4, 0.6)
            lines = [short(f"{a} − {b}") if k % across == 0 else "" for a, b in names]
            axes.set_yticks([-i for i in range(len(names))], lines)
            axes.tick_params(axis="y", length=0)
            axes.set_title(_text(metric) + ARROWS[direction.get(metric)], fontsize=9, loc="left")
            axes.spines["left"].set_visible(False)

    height = (0.6 + 0.26 * len(names)) * down + 0.3
    return Drawing(paint=paint, width=2.5 * across + label, height=height, down=down, across=across)


def curves_over_frames(curves: Sequence[Curve]) -> Drawing:
    """A line a cell with its band. The curves are of one metric and one ablation."""

    def paint(grid: Any) -> None:
        axes = grid[0, 0]
        for k, curve in enumerate(curves):
            line = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k // len(COLOURS) % len(STYLES)]}
            frames = range(1, len(curve.values) + 1)
            values, low, high = (np.array(part, float) for part in (curve.values, curve.low, curve.high))
            alone = "o" if np.isfinite(values).sum() < 2 else None  # no line shows a single value
            axes.plot(frames, values, label=short(curve.cell), linewidth=1.4, marker=alone, markersize=4, **line)
            if len(low) == len(high) == len(values):
                axes.fill_between(frames, low, high, color=line["color"], alpha=0.15, linewidth=0)
        axes.set_xlabel("frame")
        axes.set_ylabel(_text(curves[0].metric))
        axes.legend(frameon=False, fontsize=8)

    return Drawing(paint=paint)


def quality_against_cost(trade: Trade) -> Drawing:
    """A point a cell with its interval, the Pareto front as a line."""

    def paint(grid: Any) -> None:
        axes, at = grid[0, 0], {}
        for cost, quality in zip(trade.cost, trade.quality, strict=True):
            x, y = cost.value or 0.0, quality.value or 0.0
            low, high = quality.ci_low, quality.ci_high
            spread = None if low is None or high is None else [[max(y - low, 0.0)], [max(high - y, 0.0)]]
            front = quality.cell in trade.front
            face = COLOURS[0] if front else "none"
            axes.errorbar([x], [y], yerr=spread, fmt="o", markersize=5, linewidth=1, color=COLOURS[0], mfc=face)
            at[quality.cell] = (x, y)
        axes.step(*zip(*(at[name] for name in trade.front), strict=True), where="post", color=COLOURS[0], linewidth=0.8)
        _label(axes, at)
        axes.set_xlabel(trade.cost_title)
        axes.set_ylabel(_text(trade.metric))

    return Drawing(paint=paint)


def _label(axes: Any, at: dict[str, tuple[float, float]]) -> None:
    """Names beside their points, moved apart where they would overprint."""
    axes.figure.canvas.draw()
    placed: list[tuple[float, float]] = []
    for name, point in sorted(at.items(), key=lambda item: item[1]):
        x, y = axes.transData.transform(point)
        shift = 4.0
        while any(abs(y + shift - other_y) < 9 and abs(x - other_x) < 90 for other_x, other_y in placed):
            shift += 9
        placed.append((x, y + shift))
        axes.annotate(short(name), point, xytext=(5, shift * 0.72), textcoords="offset points", fontsize=7)


def _text(text: str) -> str:
    """A name without what would not print."""
    return "".join(c if c.isprintable() else " " for c in text)


def short(text: str, most: int = 40) -> str:
    """A name that leaves room for the picture."""
    text = _text(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"

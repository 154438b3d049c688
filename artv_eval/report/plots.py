"""Curves over the frame index, as SVG that stands in the page itself."""

import io
from collections.abc import Sequence

from artv_eval.results import Curve


def curves_svg(curves: Sequence[Curve]) -> str:
    """One picture: a line a cell. The curves are of one metric and one ablation."""
    import matplotlib
    from matplotlib.figure import Figure

    # text as text, and no random ids or dates: the same results give the same page
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "artv", "font.size": 9}):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.subplots()
        for curve in curves:
            axes.plot(range(1, len(curve.values) + 1), curve.values, label=curve.cell, linewidth=1.4)
        axes.set_xlabel("frame")
        axes.set_ylabel(curves[0].metric)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

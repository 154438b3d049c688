"""Results made by hand, for tests of what is said of them."""

from artv_eval.results.rows import Comparison, Results, Row


def row(cell, metric, value, *, ablation="mask", better=False, spread=0.1, n=20, seeds=None, status="ok", **other):
    low, high = (None, None) if value is None else (value - spread, value + spread)
    return Row(
        ablation=ablation, cell=cell, method="artv", metric=metric, value=value, ci_low=low, ci_high=high,
        n=n if value is not None else 0, protocol="toy@1", protocol_hash="abc", status=status,
        higher_is_better=better, seeds=seeds, **other,
    )  # fmt: skip


def pair(metric, difference, spread, *, p=None, ablation="mask", a="mask=on", b="mask=off", n=20, error=None, **other):
    p = p if p is not None else (0.001 if abs(difference) > spread else 0.4)
    return Comparison(
        ablation=ablation, metric=metric, a=a, b=b, difference=difference, ci_low=difference - spread,
        ci_high=difference + spread, p_value=p, p_holm=p, n=n,
        standard_error=spread / 2 if error is None else error, **other,
    )  # fmt: skip


def results(rows, pairs=()):
    return Results(run=None, rows=rows, comparisons=pairs)


def painted(drawing):
    """The axes of a drawing, (down, across), on a figure that can be measured in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(drawing.width, drawing.height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(drawing.down, drawing.across, squeeze=False)
    drawing.paint(grid)
    figure.canvas.draw()
    return grid

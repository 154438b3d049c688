"""What pictures of results draw: the numbers themselves, read back from the axes."""

import io
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from made import painted, pair, row
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from artv_eval.report.lengths import lengths_of, value_against_training
from artv_eval.report.pareto import Trade
from artv_eval.report.plots import (
    COLOURS,
    Drawing,
    curves_over_frames,
    forest,
    picture,
    quality_against_cost,
    short,
    svg,
)
from artv_eval.report.training_curves import losses, training_curves
from artv_eval.results.documents import write_json
from artv_eval.results.rows import Curve, Results
from artv_eval.results.store import RunStore


def axes_of(drawing):
    """The axes after painting, row by row."""
    figure = Figure(figsize=(drawing.width, drawing.height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(drawing.down, drawing.across, squeeze=False)
    drawing.paint(grid)
    return list(grid.flat)


def points(line):
    return [list(map(float, part)) for part in line.get_data()]


def test_a_forest_draws_each_difference_with_its_interval():
    rows = [row("on", "fvd", 1.0, better=False), row("on", "clipsim", 1.0, better=True)]
    pairs = [
        pair("fvd", -3.0, 1.0, b="far"),  # lower is better, and told apart
        pair("fvd", 2.0, 0.5, b="near"),
        pair("fvd", 0.1, 1.0, b="same"),
        pair("clipsim", 4.0, 1.0, b="near"),
    ]
    first, second = axes_of(forest(rows, pairs))
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["fvd ↓", "clipsim ↑"]
    intervals = {tuple(line.get_xdata()): line for line in first.lines if len(line.get_xdata()) == 2}
    assert {(-4.0, -2.0), (1.5, 2.5), (-0.9, 1.1)} <= set(intervals)
    colours = [to_hex(intervals[at].get_color()) for at in ((-4.0, -2.0), (1.5, 2.5), (-0.9, 1.1))]
    assert colours == [COLOURS[0], COLOURS[1], COLOURS[7]]  # better, worse, not told apart
    dots = {points(line)[0][0]: line for line in first.lines if line.get_marker() == "o"}
    assert (
        set(dots) == {-3.0, 2.0, 0.1} and dots[0.1].get_markerfacecolor() == "none" != dots[2.0].get_markerfacecolor()
    )
    labels = [label.get_text() for label in first.get_yticklabels()]
    assert labels == ["mask=on − far", "mask=on − near", "mask=on − same"]
    heights = {x: points(line)[1][0] for x, line in dots.items()}
    assert heights == {-3.0: 0, 2.0: -1, 0.1: -2}
    (dot,) = [line for line in second.lines if line.get_marker() == "o"]
    assert points(dot) == [[4.0], [-1]]  # on the line of its pair, though it is the panel's only one


@pytest.mark.parametrize(("metrics", "grid"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (7, (3, 3))])
def test_panels_stand_three_in_a_row_and_empty_ones_show_nothing(metrics, grid):
    drawing = forest([], [pair(f"m{k}", 1.0, 0.5) for k in range(metrics)])
    assert (drawing.down, drawing.across) == grid
    found = axes_of(drawing)
    assert [axes.axison for axes in found] == [True] * metrics + [False] * (len(found) - metrics)


def test_curves_begin_at_frame_one_and_bands_are_their_intervals():
    with_band = Curve(
        ablation="a", cell="on", metric="m", values=(1.0, None, 3.0), low=(0.0, None, 2.0), high=(2, None, 4)
    )
    plain = Curve(ablation="a", cell="off", metric="m", values=(2.0, 2.5, 2.0))
    (axes,) = axes_of(curves_over_frames([with_band, plain]))
    first, second = axes.lines
    assert np.allclose(points(first), [[1, 2, 3], [1, np.nan, 3]], equal_nan=True)
    assert points(second) == [[1, 2, 3], [2, 2.5, 2]]
    (band,) = axes.collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    assert {tuple(corner) for corner in corners} >= {(1.0, 0.0), (1.0, 2.0), (3.0, 2.0), (3.0, 4.0)}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["on", "off"]


def test_a_curve_of_one_value_shows_it():
    curves = [Curve(ablation="a", cell=c, metric="m", values=v) for c, v in (("one", (None, 2.0)), ("two", (1.0, 2.0)))]
    (axes,) = axes_of(curves_over_frames(curves))
    assert [line.get_marker() for line in axes.lines] == ["o", "None"]


def test_cells_beyond_the_colours_have_another_stroke():
    curves = [Curve(ablation="a", cell=f"c{k}", metric="m", values=(k, k)) for k in range(20)]
    (axes,) = axes_of(curves_over_frames(curves))
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 20


def test_quality_stands_over_its_cost_and_the_front_is_a_staircase():
    names = {"slow": (9.0, 1.0), "quick": (1.0, 5.0), "bad": (5.0, 7.0)}
    trade = Trade(
        ablation="a", metric="fvd", front=["quick", "slow"],
        cost=[row(name, "seconds", cost) for name, (cost, _) in names.items()],
        quality=[row(name, "fvd", value, spread=0.5) for name, (_, value) in names.items()],
    )  # fmt: skip
    (axes,) = axes_of(quality_against_cost(trade))
    dots = {tuple(part[0] for part in points(line)): line for line in axes.lines if line.get_marker() == "o"}
    assert set(dots) == set(names.values()) and dots[5.0, 7.0].get_markerfacecolor() == "none"
    stairs = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert [points(line) for line in stairs] == [[[1.0, 9.0], [5.0, 1.0]]]
    assert {text.get_text(): text.xy for text in axes.texts} == names


def test_values_against_training_go_by_length_however_rows_come():
    rows = [
        row("on @400", "fvd", 2.0, train_steps=400), row("on @100", "fvd", 8.0, train_steps=100),
        row("off @100", "fvd", 9.0, train_steps=100), row("off @400", "fvd", None, train_steps=400, status="failed: x"),
        row("on", "kvd", 1.0, train_steps=100), row("on", "psnr", 1.0),
    ]  # fmt: skip
    (found,) = lengths_of(Results(run=None, rows=rows))
    assert (found.ablation, found.metric) == ("mask", "fvd")
    (axes,) = axes_of(value_against_training(found))
    assert [points(line) for line in axes.lines] == [[[100, 400], [8, 2]], [[100], [9]]]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(("low", "scale"), [(0.5, "log"), (0.0, "linear"), (-1.0, "linear")])
def test_an_axis_is_logarithmic_only_where_all_is_positive(low, scale):
    rows = [row(f"on @{n}", "m", low + 0.1, spread=0.1, train_steps=n) for n in (1, 2)]
    (item,) = lengths_of(Results(run=None, rows=rows))
    assert axes_of(value_against_training(item))[0].get_yscale() == scale


@pytest.mark.parametrize("values", [(0.41, 0.4), (26.0, 10.0), (900.0, 2.0), (5e6, 3.0)])
def test_logarithmic_axes_have_plain_numbers(values):
    rows = [
        row(f"on @{n}", "m", value, spread=0.01, train_steps=n) for n, value in zip((3500, 11036), values, strict=True)
    ]
    (item,) = lengths_of(Results(run=None, rows=rows))
    drawn = picture(value_against_training(item), "svg").decode()
    (axes,) = axes_of(value_against_training(item))
    low, high = axes.get_ylim()
    shown = [float(label.get_text()) for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert len(shown) >= 2 and "math" not in drawn and ">3500<" in drawn and ">11036<" in drawn


def test_losses_are_those_noted_of_each_training(tmp_path):
    store = RunStore(tmp_path)
    cells = [
        {"id": "1", "cell": "on"},
        {"id": "2", "cell": "on"},
        {"id": "3", "cell": "off"},
        {"id": "4", "cell": "real"},
    ]
    for key, scale in (("1", 1.0), ("2", 2.0), ("3", 3.0)):
        curves = {"loss": [[1, 8 * scale], [2, 4 * scale]], **({"validation": [[2, scale]]} if key == "1" else {})}
        write_json(tmp_path / "cells" / f"{key}.twin.json", {"curves": curves})
    found = training_curves(store, {"cells": cells})
    assert found["loss"] == {"on": [[[1, 8.0], [2, 4.0]], [[1, 16.0], [2, 8.0]]], "off": [[[1, 24.0], [2, 12.0]]]}
    assert found["validation"] == {"on": [[[2, 1.0]]]} and training_curves(store, {}) == {}
    (axes,) = axes_of(losses("loss", found["loss"]))
    assert len(axes.lines) == 3 and axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["on", "off"]


LINE = Drawing(paint=lambda grid: grid[0, 0].plot([0, 1], [0, 1]), width=2.0, height=1.5)


def test_the_same_picture_comes_twice_and_takes_the_pages_ink():
    text = svg(LINE)
    assert text == svg(LINE) and "currentColor" in text and "#010203" not in text
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and root.attrib["width"] == "144pt"  # 2 inches


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_pictures_are_files_of_their_kind(kind, magic, tmp_path):
    data = picture(LINE, kind)
    assert data.startswith(magic) and data == picture(LINE, kind)
    if kind == "png":
        (tmp_path / "a.png").write_bytes(data)
        assert Image.open(tmp_path / "a.png").size == (400, 300)  # 200 a inch


@pytest.mark.parametrize(
    ("text", "wanted"), [("a", "a"), ("x" * 40, "x" * 40), ("x" * 41, "x" * 39 + "…"), ("a\nb", "a b")]
)
def test_names_leave_room_for_the_picture(text, wanted):
    assert short(text) == wanted


# Okabe and Ito (2008), https://jfly.uni-koeln.de/color/
OKABE_ITO = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
# Linear RGB as people without red or green cones see it: Machado, Oliveira and Fernandes (2009), severity 1
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def test_a_metric_without_a_direction_is_told_apart_without_praise():
    rows = [row(cell, "motion", 1.0, better=None) for cell in "ab"]
    ((axes,),) = painted(forest(rows, [pair("motion", 1.0, 0.1, a="a", b="b")]))
    point = axes.lines[-1]
    assert to_hex(point.get_color()) == COLOURS[7] and point.get_markerfacecolor() != "none"
    assert axes.get_title(loc="left") == "motion"


def crowded(count):
    """Cells with names as long as those of sweeps, many of them at nearly one place."""
    rng = np.random.default_rng(0)
    names = [f"guidance text={i}, steps=8" for i in range(count)]
    cost = [row(name, "seconds", 1 + 0.02 * x) for name, x in zip(names, rng.random(count), strict=True)]
    quality = [row(name, "fvd", 5 + 0.3 * y) for name, y in zip(names, rng.random(count), strict=True)]
    return Trade(ablation="x", metric="fvd", cost=cost, quality=quality, front=[names[0]])


@pytest.mark.parametrize("count", [2, 8])
def test_names_of_cells_at_one_place_do_not_overprint_and_are_not_cut(count):
    ((axes,),) = painted(quality_against_cost(crowded(count)))
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == count
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    whole = axes.figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1 for box in boxes)


def linear(colour):
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* under D65 of linear sRGB (IEC 61966-2-1)."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])  # none of our colours is dark enough for the linear part
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", BLIND)
def test_lines_of_up_to_six_cells_are_told_apart_without_red_or_green(sight):
    assert set(COLOURS[:6]) <= OKABE_ITO
    seen = {colour: lab(np.array(BLIND[sight]) @ linear(colour)) for colour in COLOURS[:6]}
    distances = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(seen, 2)}
    assert min(distances.values()) > 10, distances  # 2.3 is a difference just noticed


def test_a_paper_gets_clear_grounds_and_fonts_that_printers_take():
    drawing = curves_over_frames([Curve(ablation="x", cell="a", metric="drift", values=(1.0, 2.0))])
    image = Image.open(io.BytesIO(picture(drawing, "png")))
    assert image.mode == "RGBA" and image.getpixel((1, 1))[3] == 0
    pdf = picture(drawing, "pdf")
    assert b"/Type3" not in pdf and (b"/CIDFontType2" in pdf or b"/TrueType" in pdf)  # publishers refuse Type 3

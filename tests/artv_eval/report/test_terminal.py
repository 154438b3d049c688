"""Tables in a terminal: every value in its cell, marks, order, width and colour."""

import re

import pytest
from made import pair, results, row
from rich.cells import cell_len

from artv_eval.report import terminal
from artv_eval.report.terminal import long, table, texts
from artv_eval.results.rows import Flaw


@pytest.fixture
def found():
    rows = [row("mask=on", "fvd", 18.6, spread=2.0), row("mask=off", "fvd", 26.4, spread=2.0),
            row("mask=on", "kvd", 0.5), row("mask=off", "kvd", None, status="withheld: 3 files cannot be read"),
            row("real", "fvd", 1.0, sanity=True)]  # fmt: skip
    pairs = [pair("fvd", -7.8, 3.2, p=0.005)]
    seen = Flaw(metric="fvd", flaw="copy-first", other="real", seen=True, text="fvd tells")
    unseen = Flaw(metric="kvd", flaw="copy-first", other="real", seen=False, text="kvd does not")
    return type(results([]))(run=None, rows=rows, comparisons=pairs, flaws=[seen, unseen], notes=["mind this"])


def cells(said):
    """Lines of the tables, their cells without frames."""
    return [[part.strip() for part in line.strip("│┃").split("│")] for line in said.splitlines() if line[:1] == "│"]


def test_every_value_stands_in_its_cell_and_sanity_rows_come_last(found):
    assert cells(table()(found)) == [
        ["mask=on", "18.6 ± 2.0 *", "0.50 ± 0.10", "20"],
        ["mask=off", "26.4 ± 2.0", "–", "20"],
        ["real", "1.0 ± 2.0".replace("2.0", "0.10").replace("1.0", "1.00"), "–", "20"],
    ]


def test_what_is_missing_and_what_metrics_see_is_said_below(found):
    notes = [line for line in table()(found).splitlines() if line.startswith("· ")]
    assert notes == [
        "· told from real clips at this n: copy-first by fvd; not by kvd",
        "· mask=off (kvd): withheld: 3 files cannot be read",
        "· mind this",
    ]


def test_the_long_form_has_every_interval_difference_and_flaw(found):
    said = long()(found)
    lines = cells(said)
    assert ["fvd ↓", "mask=on", "18.6", "[16.6, 20.6]", "20", "toy@1 abc"] in lines
    assert ["fvd", "mask=on − mask=off", "-7.8", "[-11.0, -4.6]", "0.005", "20"] in lines
    assert ["fvd", "yes"] in lines and ["kvd", "no"] in lines
    assert not [line for line in lines if line[:2] == ["kvd ↓", "mask=off"]]  # no value, so no row: a line says why
    assert "withheld: 3 files cannot be read" in said


def test_colours_only_where_a_person_looks(found, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in table()(found)
    monkeypatch.setattr(terminal.sys, "__stdout__", type("Terminal", (), {"isatty": lambda self: True})())
    coloured = table()(found)
    assert "\x1b[1m" in coloured and cells(re.sub(r"\x1b\[[\d;]*m", "", coloured))[0][0] == "mask=on"
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in table()(found)


@pytest.mark.parametrize("columns", [80, 110, 200])
def test_no_line_is_longer_than_the_terminal(found, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [row(f"cell {k}", f"metric {m}", 10.0 * k + m) for m in range(12) for k in range(3)]
    for render in (table(), long()):
        for shown in (found, results(rows)):
            assert max(map(cell_len, render(shown).splitlines())) <= columns


def test_any_table_is_as_wide_as_it_needs():
    wide = "x" * 300
    said = texts(["name", "number"], [[wide, "1"], ["[b]", "22"]], ["a line"], title="t", left=1)
    assert cells(said) == [[wide, "1"], ["[b]", "22"]] and said.endswith("· a line\n")
    one, two = (line for line in said.splitlines() if line[:1] == "│")
    assert one.index("1 │") == two.index("22 │") + 1  # numbers end below each other

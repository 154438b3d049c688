"""One renderer for the efficiency table and the speed card: the same cells in every format, whatever stands in them."""

import csv
import io
import json

import pytest

from artv.errors import UserError
from artv_eval.efficiency.card import CARD
from artv_eval.efficiency.formats import FORMATS, Look, check_format

ROWS = [
    {"method": "a_b & <i>|*", "hardware": "H", "width": 8, "height": 4, "frames": 2, "fps": 8.0, "stalls": {"n": 1},
     "first_frame_s": 0.123456, "status": "ok"},
    {"method": "m", "status": "not available", "hardware": "H"},
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_the_speed_card_has_every_row_in_every_format(format):
    text = CARD.render(ROWS, format)
    assert ("not available" in text and "0.1235" in text) or format in ("json", "csv")
    assert text == text.rstrip("\n") and len(text.splitlines()) >= 3


def test_programs_get_all_that_was_measured_and_exactly():
    assert json.loads(CARD.render(ROWS, "json")) == ROWS
    first, second = csv.DictReader(io.StringIO(CARD.render(ROWS, "csv")))
    assert (first["method"], first["first_frame_s"], first["stalls_n"]) == ("a_b & <i>|*", "0.123456", "1")
    assert (second["status"], second["fps"]) == ("not available", "")


def test_names_that_mean_something_to_a_format_are_text_in_it():
    latex, markdown = CARD.render(ROWS, "latex"), CARD.render(ROWS, "markdown")
    (line,) = [line for line in latex.splitlines() if "a\\_b" in line]
    assert line.startswith(r"{a\_b \& \textless{}i\textgreater{}\textbar{}*} & {8×4} & {2} & ")
    columns = [line.count("|") - line.count(r"\|") for line in markdown.splitlines() if line.startswith("|")]
    assert len(set(columns)) == 1 and r"a\_b & \<i\>\|\*" in markdown


def test_text_stands_left_and_notes_below():
    look = Look(title="t", left=1, grid=lambda rows: [["who", "n"], *([r["who"], r["n"]] for r in rows)],
                notes=lambda rows: [f"{len(rows)} rows"])  # fmt: skip
    rows = [{"who": "a", "n": "1"}, {"who": "long one", "n": "10"}]
    assert r"\begin{tabular}{lr}" in look.render(rows, "latex") and "% 2 rows" in look.render(rows, "latex")
    assert look.render(rows, "markdown").splitlines()[-1] == "- 2 rows"
    shown = look.render(rows, "table")
    assert "2 rows" in shown and shown.index("long one") < shown.index("2 rows")


@pytest.mark.parametrize("format", ["cards", "", "Table"])
def test_a_format_that_is_none_is_told_with_those_there_are(format):
    with pytest.raises(UserError, match=f"format is {format!r}; .*table"):
        check_format(format)

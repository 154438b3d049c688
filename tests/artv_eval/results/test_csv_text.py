"""Tables for spreadsheets, read back by Python's own reader."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from artv_eval.results.csv_text import csv_text, guarded, unguarded

TWINS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1+1"])
def test_a_formula_is_a_text(text):
    assert guarded(text).startswith("'") and guarded(text)[1:].lstrip()[:1] not in ("'", "")


@pytest.mark.parametrize("text", ["a red circle", "mask=on", "3 - 1", "", "'quoted'", "é—ü"])
def test_other_texts_stay_as_they_are(text):
    assert guarded(text) == text == unguarded(guarded(text))


@pytest.mark.parametrize("text", ["=1+1", "  -x", "@a", "plain", "'kept", "it's"])
def test_the_apostrophe_comes_off_again(text):
    assert unguarded(guarded(text)) == text


def test_nothing_in_a_cell_is_obeyed_by_a_terminal_or_breaks_the_line():
    assert guarded("a\nb\x1b[31mc") == r"a\nb\x1b[31mc"


def test_what_is_written_is_read_back():
    rows = [["mask=on", 1.5, None], ['a "quoted", text', -2, "=HYPERLINK(1)"]]
    text = csv_text(["cell", "value", "note"], rows)
    assert text.count("\n") == 3 and "\r" not in text
    read = list(csv.reader(io.StringIO(text)))
    assert read == [["cell", "value", "note"], ["mask=on", "1.5", ""], ['a "quoted", text', "-2", "'=HYPERLINK(1)"]]


def test_numbers_of_numpy_are_numbers_there():
    """Python's writer takes repr() of what is a float, which numpy's is: np.float64(1.5)."""
    text = csv_text(["a", "b", "c"], [[np.float64(1.5), np.float32(0.25), np.int64(3)]])
    assert text == "a,b,c\n1.5,0.25,3\n"


@pytest.mark.parametrize(
    ("folder", "rows"), [("twins-h200", "3500/results.json"), ("twins-shapes2-h200", "results.json")]
)
def test_the_committed_tables_are_of_the_committed_results(folder, rows):
    known = json.loads((TWINS / folder / rows).read_text(encoding="utf-8"))
    for name, key in (("results.csv", "rows"), ("comparisons.csv", "comparisons")):
        with (TWINS / folder / name).open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) == len(known[key])
        for line, row in zip(read, known[key], strict=True):
            numbers = {k: v for k, v in row.items() if isinstance(v, float)}
            assert {k: float(line[k]) for k in numbers} == numbers

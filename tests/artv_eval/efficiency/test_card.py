"""The speed card as text: every format read back by a reader of its own."""

import csv
import io
import json

from artv_eval.efficiency.card import TITLES, grid, note, render

ROWS = [
    {
        "method": "one|two", "hardware": "H200", "width": 832, "height": 480, "frames": 81, "fps": 16.0,
        "precision": "bfloat16", "steps": 10, "batch": 1, "chunks": 3, "first_frame_s": 0.123456, "gap_median_s": 1 / 3,
        "steady_frames_s": 12345.678, "stalls": 0, "memory_gib": None, "status": "ok",
    },
    {"method": "three", "hardware": "H200", "fps": 24.0, "status": "absent: no weights"},
]  # fmt: skip


def test_csv_has_every_field_of_any_row():
    read = list(csv.DictReader(io.StringIO(render(ROWS, "csv"))))
    assert [row["method"] for row in read] == ["one|two", "three"] and set(read[0]) == {*ROWS[0]}
    assert float(read[0]["gap_median_s"]) == 1 / 3 and read[1]["steps"] == ""


def test_json_is_the_rows():
    assert json.loads(render(ROWS, "json")) == ROWS


def test_markdown_has_a_cell_a_column():
    lines = render([ROWS[1], {**ROWS[0], "method": "one"}], "markdown").splitlines()
    assert {line.count("|") for line in lines[:4]} == {len(TITLES) + 1}
    assert "832×480" in lines[3] and lines[-1] == note(ROWS[::-1])


def test_a_table_is_as_wide_in_every_line():
    head, *body = render(ROWS, "table").splitlines()[:3]
    assert {len(line) for line in (head, *body)} == {len(head)}


def test_cells_have_four_digits_and_a_dash_for_what_is_not_known():
    head, first, second = grid(ROWS)
    cells = dict(zip(head, first, strict=True))
    assert (cells["first frame s"], cells["gap s"], cells["frames/s"]) == ("0.1235", "0.3333", "1.235e+04")
    assert cells["stalls"] == "0" and cells["GiB"] == "–" == dict(zip(head, second, strict=True))["size"]


def test_the_conditions_that_differ_are_named_once():
    assert note(ROWS).startswith("On H200; real time is 16, 24 frames a second")

"""Cells of the speed card, and what it says of its conditions."""

from artv_eval.efficiency.card import grid, notes

ROWS = [
    {
        "method": "one|two", "hardware": "H200", "width": 832, "height": 480, "frames": 81, "fps": 16.0,
        "precision": "bfloat16", "steps": 10, "batch": 1, "chunks": 3, "first_frame_s": 0.123456, "gap_median_s": 1 / 3,
        "steady_frames_s": 12345.678, "stalls": 0, "memory_gib": None, "status": "ok",
    },
    {"method": "three", "hardware": "H200", "fps": 24.0, "status": "absent: no weights"},
]  # fmt: skip


def test_cells_have_four_digits_and_a_dash_for_what_is_not_known():
    head, first, second = grid(ROWS)
    cells = dict(zip(head, first, strict=True))
    assert (cells["first frame s"], cells["gap s"], cells["frames/s"]) == ("0.1235", "0.3333", "1.235e+04")
    assert cells["stalls"] == "0" and cells["GiB"] == "–" == dict(zip(head, second, strict=True))["size"]


def test_the_conditions_that_differ_are_named_once():
    said, why = notes(ROWS)
    assert said.startswith("On H200; real time is 16, 24 frames a second")
    assert why == "three: absent: no weights" and [row[-1] for row in grid(ROWS)] == ["status", "ok", "absent"]

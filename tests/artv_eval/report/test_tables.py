"""What tables share: values of two protocols never stand in one column, and everything missing has its line."""

import pytest
from made import pair, row

from artv.errors import UserError
from artv_eval.report.tables import (
    absences,
    cells_of,
    cells_of_pair,
    check_protocols,
    flaw_table,
    grouped,
    protocols,
    sights,
)
from artv_eval.report.terminal import texts
from artv_eval.results.rows import Flaw, Results, Row


def by(protocol, key, cell="on", metric="fvd", ablation="mask"):
    return Row(**{**vars(row(cell, metric, 1.0, ablation=ablation)), "protocol": protocol, "protocol_hash": key})


def test_two_protocols_are_not_put_in_one_column():
    check_protocols([by("a", "1"), by("a", "1", cell="off"), by("b", "2", metric="kvd")])
    with pytest.raises(
        UserError, match=r"fvd of on is by protocol a \(1\) and that of off by b \(2\); report them apart"
    ):
        grouped(Results(run=None, rows=[by("a", "1"), by("b", "2", cell="off")]))


def test_a_row_as_texts_has_the_digits_that_its_interval_allows():
    made = Row(**{**vars(row("on", "fvd", 12.3456, spread=0.5)), "protocol_hash": "0123456789abcdef"})
    assert cells_of(made) == ("fvd ↓", "on", "12.3", "[11.8, 12.8]", "20", "toy@1 01234567")
    assert cells_of(row("on", "fvd", None, status="absent: x"))[2:5] == ("–", "–", "0")
    assert (
        cells_of(row("on", "m", 1.0, better=None))[0] == "m" and cells_of(row("on", "m", 1.0, better=True))[0] == "m ↑"
    )


def test_a_difference_as_texts_shows_the_corrected_p():
    made = pair("fvd", -1.25, 0.25, p=0.0004, caveat="few")
    assert cells_of_pair(made) == ("fvd", "mask=on − mask=off", "-1.25", "[-1.50, -1.00]", "< 0.001†", "20")


def test_ablations_are_apart_with_their_own_differences_by_metric():
    rows = [
        row("on", "fvd", 1.0), row("on", "kvd", 1.0), row("off", "fvd", 1.0), row("four", "fvd", 1.0, ablation="steps"),
        row("all", "fvd", 1.0, ablation=None),
    ]  # fmt: skip
    pairs = [pair("fvd", 1, 2), pair("fvd", 1, 2, ablation="steps")]
    found = grouped(Results(run=None, rows=rows, comparisons=pairs))
    assert [name for name, _, _ in found] == ["mask", "steps", "scores"]
    assert [(item.metric, item.cell) for item in found[0][1]] == [("fvd", "on"), ("fvd", "off"), ("kvd", "on")]
    assert [its for _, _, its in found] == [pairs[:1], pairs[1:], []]


def flaw(metric, name, other, seen):
    return Flaw(metric=metric, flaw=name, other=other, seen=seen, text="")


FLAWS = [
    flaw("fvd", "copy-first", "real", True), flaw("fvd", "copy-first", "on", False),
    flaw("clipsim", "copy-first", "real", False), flaw("clipsim", "wrong-prompt", "real", True),
    flaw("kvd", "copy-first", "real", True),
]  # fmt: skip


def test_which_metric_sees_which_flaw_is_a_table():
    head, rows = flaw_table(FLAWS)
    assert head == ["metric", "copy-first from real", "copy-first from on", "wrong-prompt from real"]
    assert rows == [["fvd", "yes", "no", "–"], ["clipsim", "no", "–", "yes"], ["kvd", "yes", "–", "–"]]


def test_which_metric_sees_which_flaw_is_a_line_each():
    assert sights(FLAWS) == [
        "told from real clips at this n: copy-first by fvd, kvd; not by clipsim",
        "told from real clips at this n: wrong-prompt by clipsim",
    ]
    assert sights([flaw("fvd", "copy-first", "real", False)]) == [
        "told from real clips at this n: copy-first by none; not by fvd"
    ]
    assert sights([flaw("fvd", "copy-first", "on", True)]) == []


def test_a_reason_is_said_once_with_all_that_it_holds_for():
    rows = [
        row(cell, metric, None, status=status)
        for status in ("absent: no mask", "failed: x")
        for cell in ("a", "b")
        for metric in ("m", "n")
    ]
    assert absences([*rows, row("c", "m", 1.0)]) == ["a, b (m, n): absent: no mask", "a, b (m, n): failed: x"]


def test_metrics_with_a_protocol_of_their_own_are_named():
    assert protocols([by("a", "12345678ff"), by("a", "12345678ff", metric="kvd")]) == "a 12345678"
    mixed = [by("a", "1"), by("a", "1", metric="kvd"), by("b", "2", metric="psnr")]
    assert protocols(mixed) == "a 1 (fvd, kvd), b 2 (psnr)"
    assert protocols([by("a", "1"), by("speed card", "", metric="rate")]) == "a 1 (fvd), speed card (rate)"


def test_any_table_is_as_wide_as_it_must_be_and_obeys_no_markup():
    cells = ["[bold]x[/bold]", "y" * 150, "1"]
    text = texts(["name", "more", "n"], [cells], ["a note of [red]its own[/red]"], title="title", left=2)
    assert all(cell in text for cell in cells) and "· a note of [red]its own[/red]" in text

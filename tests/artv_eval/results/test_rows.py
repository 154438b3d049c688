"""Rows and comparisons on their way to files and back: nothing lost, nothing that JSON or a terminal cannot have."""

import csv
import io
import json
from dataclasses import fields

import pytest
from made import pair, row

from artv.errors import UserError, WorkFailed
from artv_eval.results.rows import (
    BadFile,
    ClipValues,
    Comparison,
    Curve,
    Flaw,
    Results,
    Row,
    caveat_lines,
    features_lines,
    is_number,
    noted,
    plain_row,
    prompts_lines,
    reason,
)

NAN, INF = float("nan"), float("inf")


def whole(run="run"):
    """Results with something of everything."""
    return Results(
        run=run,
        rows=[row("on", "fvd", 2.5, seeds=3, prompts=5, features="i3d 01234567"), row("off", "fvd", None, status="x")],
        comparisons=[pair("fvd", 1.5, 0.5, p_checkpoints=0.25, caveat="few")],
        flaws=[Flaw(metric="fvd", flaw="copy-first", other="real", seen=True, text="seen")],
        curves=[Curve(ablation=None, cell="on", metric="fvd", values=(1.0, None), low=(0.5, None), high=(2.0, None))],
        notes=["a note"],
        bad_files=[BadFile(side="fake", file="a.mp4", reason="cut off")],
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(1, True), (0.0, True), (-2.5, True), (NAN, False), (INF, False), (-INF, False), ("1", False), (None, False)],
)
def test_a_number_is_finite(value, wanted):
    assert is_number(value) is wanted


def test_what_is_written_is_read_back():
    document = json.loads(json.dumps(whole().to_dict(), allow_nan=False))
    assert Results.from_dict(document) == whole()


def test_what_json_has_no_word_for_becomes_null():
    curve = plain_row(Curve(ablation="a", cell="c", metric="m", values=(1.0, NAN, INF)))
    assert curve["values"] == [1.0, None, None]
    assert plain_row(pair("fvd", 1.0, INF))["ci_high"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [{"cell": "on"}]}, "rows.0"),
        ({"rows": 3}, "rows"),
        ({"comparisons": [{"a": 1}]}, "comparisons.0"),
    ],
)
def test_a_document_of_another_form_is_one_line(change, words):
    with pytest.raises(UserError, match=f"results.json is not what this version writes .{words}"):
        Results.from_dict({**whole().to_dict(), **change})


@pytest.mark.parametrize(("kind", "text"), [(Row, whole().csv()), (Comparison, whole().comparisons_csv())])
def test_a_table_has_every_field_of_every_item(kind, text):
    head, *lines = csv.reader(io.StringIO(text))
    items = whole().rows if kind is Row else whole().comparisons
    assert head == [f.name for f in fields(kind)] and len(lines) == len(items)
    for line, item in zip(lines, items, strict=True):
        assert line == ["" if (v := getattr(item, name)) is None else str(v) for name in head]


def test_text_for_eyes_moves_no_cursor_and_the_rest_stays():
    bad = whole("run\x1b[2J")
    shown = Results(**{**vars(bad), "rows": [row("o\rn\x1b]0;x\x07", "fvd", 2.5)], "notes": ["two\nlines"]}).printable()
    texts = [shown.run, shown.rows[0].cell, *shown.notes]
    assert all(text.isprintable() for text in texts) and shown.rows[0].value == 2.5
    assert whole().printable() == whole()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("give a\n  FILE"), "absent: give a FILE"),
        (ValueError("no\nframes"), "failed: ValueError: no"),
        (ZeroDivisionError(), "failed: ZeroDivisionError"),
    ],
)
def test_a_status_tells_a_users_mistake_from_a_failure(error, status):
    found = reason(error)
    assert found.startswith(status) and "\n" not in found


def test_what_stands_beside_a_value_costs_itself_alone():
    lines = []
    with noted(lines, "fvd: no curve"):
        raise ValueError("of one frame")
    assert lines == ["fvd: no curve: failed: ValueError: of one frame"]
    for error in (WorkFailed("gone"), OSError("full")):  # of the run folder: the sweep stops
        with pytest.raises(type(error)), noted(lines, "fvd"):
            raise error
    assert len(lines) == 1


def test_extractors_are_said_once_with_their_metrics():
    rows = [
        row("on", "fvd", 1.0, features="i3d 01"), row("off", "fvd", 1.0, features="i3d 01"),
        row("on", "kvd", 1.0, features="i3d 01"), row("on", "clipsim", 1.0, features="clip 02"),
        row("on", "psnr", 1.0), row("on", "jedi", None, features="vjepa2 03", status="absent: x"),
    ]  # fmt: skip
    assert features_lines(rows) == ["features: fvd, kvd by i3d 01; clipsim by clip 02"]
    assert features_lines(rows[4:]) == []


def test_prompts_and_caveats_are_said_where_there_are_some():
    rows = [row("on", "fvd", 1.0, n=20, prompts=5), row("off", "fvd", 1.0, n=12, prompts=4), row("a", "b", 1.0)]
    assert prompts_lines(rows)[0].endswith("each with all of its clips: 5 prompts of 20 clips, 4 prompts of 12 clips")
    assert prompts_lines(rows[2:]) == []
    few = [pair(metric, 1, 2, caveat="few pairs") for metric in ("psnr", "ssim", "psnr")]
    assert caveat_lines([*few, pair("fvd", 1, 2), pair("lpips", 1, 2, caveat="skewed")]) == [
        "† psnr, ssim: few pairs", "† lpips: skewed"
    ]  # fmt: skip


def test_a_clip_without_a_prompt_has_one_of_its_own():
    values = ClipValues(ablation=None, cell="c", metric="m", values={0: 1.0, 1: 2.0, 2: 3.0}, prompts={0: 1, 2: 1})
    prompts = [values.prompt(index) for index in values.values]
    assert prompts[0] == prompts[2] != prompts[1]

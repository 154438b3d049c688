"""Several runs in one table: what is the same is there once, what is not is never taken for it."""

from dataclasses import replace

import pytest
from made import pair, row

from artv_eval.results.merged import merged
from artv_eval.results.rows import BadFile, ClipValues, Curve, Flaw, Results


def run(value=2.5, name="one", cells=("mask=on", "mask=off"), metric="fvd", **other):
    return Results(
        run=name,
        rows=[row(cell, metric, value, **other) for cell in cells],
        comparisons=[pair(metric, 0.5, 0.1, a=cells[0], b=cell) for cell in cells[1:]],
        flaws=[Flaw(metric=metric, flaw="copy-first", other=cells[0], seen=True, text=f"{metric} sees {cells[0]}")],
        curves=[Curve(ablation="mask", cell=cell, metric=metric, values=(value,)) for cell in cells],
        per_clip=[
            ClipValues(ablation="mask", cell=f"{cell}, seed 1", metric=metric, values={0: value}) for cell in cells
        ],
    )


def cells(found):
    return [found_row.cell for found_row in found.rows]


def test_cells_of_one_name_and_other_values_are_two():
    found = merged({"a": run(2.5), "b": run(3.5)})
    names = ["a: mask=on", "a: mask=off", "b: mask=on", "b: mask=off"]
    assert cells(found) == [c.cell for c in found.curves] == names
    assert [clip.cell for clip in found.per_clip] == [f"{name}, seed 1" for name in names]
    assert [(p.a, p.b) for p in found.comparisons] == [tuple(names[:2]), tuple(names[2:])]
    assert [(flaw.other, flaw.text) for flaw in found.flaws] == [(n, f"fvd sees {n}") for n in (names[0], names[2])]
    assert [c.values[0] for c in found.per_clip] == [2.5, 2.5, 3.5, 3.5]


@pytest.mark.parametrize("metric", ["fvd", "kvd"])
def test_lengths_of_training_tell_cells_apart(metric):
    found = merged({"a": run(2.5, train_steps=4), "b": run(3.5, metric=metric, train_steps=8)})
    assert cells(found) == ["mask=on @4", "mask=off @4", "mask=on @8", "mask=off @8"]


def test_of_one_length_they_go_by_run():
    runs = {"a": run(2.5, train_steps=4), "b": run(3.5, train_steps=8), "c": run(4.5, train_steps=8)}
    assert cells(merged(runs))[::2] == ["a: mask=on", "b: mask=on", "c: mask=on"]


def test_equal_cells_and_other_metrics_of_them_keep_their_names():
    found = merged({"a": run(2.5), "b": replace(run(2.5), run="two"), "c": run(0.9, metric="clipsim")})
    assert cells(found) == ["mask=on", "mask=off"] * 2 and found.run == "one, two, one"
    assert [r.metric for r in found.rows] == ["fvd", "fvd", "clipsim", "clipsim"]


def test_what_runs_share_is_there_once():
    a, more = run(), {"notes": ["a note"], "bad_files": [BadFile(side="fake", file="a.mp4", reason="cut off")]}
    joined = merged({"a": replace(a, **more), "b": replace(a, **more, rows=[a.rows[0], row("third", "fvd", 3.0)])})
    assert cells(joined) == ["mask=on", "mask=off", "third"] and len(joined.curves) == 2
    assert len(joined.comparisons) == len(joined.notes) == len(joined.flaws) == len(joined.bad_files) == 1
    assert merged({"a": a}) is a


def test_rounding_makes_no_second_cell():
    a, b = (
        run(0.11900404905088155),
        run(0.11900404885141354),
    )  # one metric of the same clips, described in other batches
    found = merged({"a": a, "b": b})
    assert cells(found) == ["mask=on", "mask=off"] and found.rows == a.rows


def test_a_note_of_one_run_says_whose_it_is():
    a, b = (replace(run(), notes=["by one card", f"fvd ± {value}"]) for value in (1.2, 0.2))
    assert merged({"a": a, "b": b}).notes == ["by one card", "a: fvd ± 1.2", "b: fvd ± 0.2"]


@pytest.mark.parametrize("order", [(0.01, 0.04), (0.04, 0.01)])
def test_a_test_of_two_runs_is_there_once_as_corrected_over_more(order):
    one, other = (replace(run(), comparisons=[replace(run().comparisons[0], p_holm=p)]) for p in order)
    assert [found.p_holm for found in merged({"a": one, "b": other}).comparisons] == [0.04]


@pytest.mark.parametrize("older", ["a", "b"])
def test_results_that_do_not_say_each_trainings_value_are_of_the_same_cell(older):
    runs = {name: run(by_seed=None if name == older else ((1, 2.0), (2, 3.0))) for name in ("a", "b")}
    found = merged(runs)
    assert cells(found) == ["mask=on", "mask=off"]
    assert [found_row.by_seed for found_row in found.rows] == [((1, 2.0), (2, 3.0))] * 2

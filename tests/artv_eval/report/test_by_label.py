"""Results by a label of the clips: the mean over those that have it."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval.protocols.cards import load
from artv_eval.report.by_label import as_csv, read_csv, split_by
from artv_eval.results.rows import ClipValues, Results, Row

VALUES = {0: 1.0, 1: 2.0, 2: 4.0, 3: 6.0, 4: float("nan")}
LABELS = {0: {"pans": "yes"}, 1: {"pans": "no"}, 2: {"pans": "yes"}, 3: {"pans": "no"}, 4: {"pans": "yes"}}


def results(cell="mask=on", values=(("mask=on", VALUES),)):
    row = Row(
        ablation="mask", cell=cell, method="artv", metric="drift", value=3.0, ci_low=2.0, ci_high=4.0, n=4,
        protocol="shapes@2",
    )  # fmt: skip
    per_clip = [ClipValues(ablation="mask", cell=name, metric="drift", values=dict(found)) for name, found in values]
    return Results(run="run", rows=[row], comparisons=(), per_clip=per_clip)


def test_rows_are_means_over_the_clips_with_the_label():
    no, yes = split_by(results(), LABELS, "pans").rows
    assert (yes.cell, yes.value, yes.n) == ("mask=on · pans=yes", 2.5, 2)
    assert (no.cell, no.value, no.n) == ("mask=on · pans=no", 4.0, 2)
    assert no.ci_low <= 4.0 <= no.ci_high


def test_trainings_of_a_cell_are_averaged_clip_by_clip():
    other = {index: value + 2 for index, value in VALUES.items()}
    several = results(values=(("mask=on, seed 1", VALUES), ("mask=on, seed 2", other), ("mask=on-else", {0: 99.0})))
    assert [row.value for row in split_by(several, LABELS, "pans").rows] == [5.0, 3.5]


def test_too_few_clips_are_said():
    few = {**LABELS, 2: {"pans": "no"}}
    yes = split_by(results(), few, "pans").rows[1]
    assert yes.value is None and "1 value of clips with pans=yes" in yes.status


def test_labels_of_the_long_world_read_back(tmp_path):
    requests = load("shapes@2").requests(num=12, frames=20)
    (tmp_path / "labels.csv").write_text(as_csv(requests), encoding="utf-8")
    found = read_csv(tmp_path / "labels.csv")
    assert [found[i]["pans"] == "yes" for i in range(12)] == [r.labels["pans"] for r in requests]
    assert set(found[0]) == {"pans", "post", "occluded", "returns"}
    assert np.isin(list(found), range(12)).all()


@pytest.mark.parametrize(("labels", "reason"), [(LABELS, "did you mean pans"), ({}, "this run has none")])
def test_an_unknown_label_is_named(labels, reason):
    with pytest.raises(UserError, match=reason):
        split_by(results(), labels, "pan")


@pytest.mark.parametrize("text", ["pans\nyes\n", "index,pans\nx,yes\n", "index,pans,post\n3,yes\n", "index,pans\n3"])
def test_a_damaged_file_of_labels_is_one_line(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"labels.csv is damaged .*; delete it and run the sweep again"):
        read_csv(tmp_path / "labels.csv")
    assert read_csv(tmp_path / "none.csv") == {}

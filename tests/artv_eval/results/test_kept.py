"""Earlier results stay beside the newest; the same results made again are no others."""

from dataclasses import replace

import pytest
from made import row

from artv_eval.results.documents import read_json, write_json
from artv_eval.results.kept import keep_before, kept, name_of
from artv_eval.results.noted_runs import note_run, noted_runs
from artv_eval.results.rows import Results


def results(n=20, value=2.5, cells=("on", "off"), metric="fvd", **other):
    return Results(run="run", rows=[row(cell, metric, value, n=n, **other) for cell in cells])


def write(folder, made, of=None):
    """What a sweep does."""
    document = made.to_dict() | ({} if of is None else {"of": of})
    keep_before(folder, document)
    write_json(folder / "results.json", document)
    (folder / "per_clip.csv").write_text(f"of {made.rows[0].n}", encoding="utf-8")


def test_results_of_other_clips_are_kept_with_their_values(tmp_path):
    write(tmp_path, results(20))
    write(tmp_path, results(40))
    (before,) = kept(tmp_path)
    assert before.name.startswith("20-clips_fvd_") and Results.from_dict(read_json(before)).rows == results(20).rows
    assert before.with_suffix(".csv").read_text(encoding="utf-8") == "of 20"
    assert Results.from_dict(read_json(tmp_path / "results.json")).rows == results(40).rows


def test_what_is_made_again_replaces_itself(tmp_path):
    write(tmp_path, results(20))
    write(tmp_path, results(20, value=2.6))  # other digits of the same
    assert kept(tmp_path) == []


def test_other_settings_under_the_same_names_stand_beside(tmp_path):
    for of, value in (("a", 2.5), ("b", 2.6), ("a", 2.7)):
        write(tmp_path, results(20, value=value), of)
    (before,) = kept(tmp_path)
    assert read_json(before)["rows"][0]["value"] == 2.6


def test_what_an_older_version_wrote_of_the_same_is_replaced(tmp_path):
    write(tmp_path, results(20))
    write(tmp_path, results(20), "a")
    assert kept(tmp_path) == []


def test_going_back_leaves_one_of_each(tmp_path):
    for n in (20, 40, 20, 40, 20):
        write(tmp_path, results(n))
    assert [path.name[:2] for path in kept(tmp_path)] == ["40"]
    assert read_json(tmp_path / "results.json")["rows"][0]["n"] == 20


@pytest.mark.parametrize(
    "other",
    [
        results(21), results(metric="kvd"), results(cells=("on",)), results(features="i3d 1"), results(seeds=3),
        results(train_steps=5), Results(run="run", rows=[replace(r, protocol_hash="x") for r in results().rows]),
    ],
)  # fmt: skip
def test_what_rows_are_values_of_is_in_their_name(other):
    assert name_of(other.to_dict()) != name_of(results().to_dict()) == name_of(results(value=9.0).to_dict())


def test_the_name_is_one_of_a_file(tmp_path):
    many = Results(run="run", rows=[row("on", f"curve/{k}/delta", 1.0) for k in range(40)])
    name = name_of(many.to_dict())
    assert "/" not in name and len(name) < 100


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"rows": 3}', '{"rows": [{"n": 1}]}'])
def test_without_anything_that_can_be_read_nothing_is_kept(tmp_path, text):
    if text is not None:
        (tmp_path / "results.json").write_text(text, encoding="utf-8")
    keep_before(tmp_path, results().to_dict())
    assert kept(tmp_path) == []


def test_runs_are_found_where_they_are_or_moved_together_with_the_notes(tmp_path):
    runs = [tmp_path / "work" / name for name in ("one", "two", "gone")]
    notes = tmp_path / "work" / "store" / "runs"
    for run in runs:
        run.mkdir(parents=True)
        note_run(notes, run)
        note_run(notes, run)  # once each
    runs[2].rmdir()
    assert sorted(noted_runs(notes)[0]) == sorted(runs[:2]) and len(noted_runs(notes)[1]) == 1
    (tmp_path / "work").rename(tmp_path / "moved")
    there, gone = noted_runs(tmp_path / "moved" / "store" / "runs")
    assert {path.resolve() for path in there} == {tmp_path / "moved" / name for name in ("one", "two")}
    assert len(gone) == 1 and gone[0].is_file()

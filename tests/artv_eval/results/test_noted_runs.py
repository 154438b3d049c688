"""Notes of run folders that use what is shared: found where they were, or beside it after both were moved."""

import shutil

from artv_eval.results.noted_runs import note_run, noted_runs, runs_near


def test_a_run_is_found_until_it_is_gone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        note_run(tmp_path / "store" / "runs", tmp_path / name)
        note_run(tmp_path / "store" / "runs", tmp_path / name)  # again is the same note
    there, gone = noted_runs(tmp_path / "store" / "runs")
    assert sorted(there) == [tmp_path / "one", tmp_path / "two"] and gone == []
    shutil.rmtree(tmp_path / "one")
    there, (note,) = noted_runs(tmp_path / "store" / "runs")
    assert there == [tmp_path / "two"] and str(tmp_path / "one") in note.read_text(encoding="utf-8")


def test_moved_together_they_are_found_beside_it(tmp_path, monkeypatch):
    (tmp_path / "here" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    note_run(tmp_path / "here" / "store", tmp_path / "here" / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").rename(tmp_path / "there")
    (found,), gone = noted_runs(tmp_path / "there" / "store")
    assert found.resolve() == tmp_path / "there" / "run" and gone == []


def test_another_run_under_the_same_path_is_not_the_one_that_was_noted(tmp_path):
    run, notes = tmp_path / "run", tmp_path / "store" / "runs"
    for number in ("1", "2"):
        run.mkdir()
        (run / "run.id").write_text(number, encoding="utf-8")
        note_run(notes, run)
        assert noted_runs(notes)[0] == [run]
        if number == "1":
            run.rename(tmp_path / "moved")
    (note,) = noted_runs(notes)[1]
    assert '"id": "1"' in note.read_text(encoding="utf-8")


def test_run_folders_are_found_beside_and_a_folder_deeper(tmp_path):
    for place in ("one", "archive/two", "archive/deep/three", "photos"):
        (tmp_path / place / "cells").mkdir(parents=True)
        if place != "photos":
            (tmp_path / place / "manifest.json").touch()
    found = runs_near([tmp_path, tmp_path / "archive", tmp_path / "nowhere"])
    assert found == sorted(tmp_path / place for place in ("one", "archive/two", "archive/deep/three"))
    assert tmp_path / "archive/deep/three" not in runs_near([tmp_path])


def test_no_notes_are_no_runs(tmp_path):
    assert noted_runs(tmp_path / "nowhere") == ([], [])

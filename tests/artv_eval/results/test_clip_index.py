"""The index of a store: it says what was noted; whatever is wrong with it, nothing is known and nothing raised."""

import sqlite3

import pytest

from artv_eval.results.clip_index import FORM, ClipIndex

CLIPS = {0: (100, 1_700_000_000_000_000_001, "frames.npy:0badcafe:99"), 7: (101, 5, "x"), 10**6: (2**40, 2**60, "")}


@pytest.fixture
def index(tmp_path):
    made = ClipIndex(tmp_path / "index.sqlite")
    made.note("cell.aa", CLIPS)
    made.note("cell.bb", {1: (1, 1, "other")})
    return made


def rows(index):
    with sqlite3.connect(index.path) as database:
        return database.execute("SELECT folder, number FROM clips ORDER BY folder, number").fetchall()


def test_what_was_noted_is_known_and_the_last_note_counts(index):
    assert index.known("cell.aa") == CLIPS and index.known("cell.cc") == {}
    index.note("cell.aa", {7: (102, 6, "y")})
    assert index.known("cell.aa") == {**CLIPS, 7: (102, 6, "y")}
    assert rows(index) == [("cell.aa", 0), ("cell.aa", 7), ("cell.aa", 10**6), ("cell.bb", 1)]


def test_folders_that_are_gone_are_forgotten(index):
    index.forget(["cell.aa", "cell.cc"])
    assert index.known("cell.aa") == {} and index.known("cell.bb") == {1: (1, 1, "other")}


def test_where_there_is_none_nothing_is_known_and_none_is_made(tmp_path):
    assert ClipIndex(tmp_path / "none.sqlite").known("cell.aa") == {} and not list(tmp_path.iterdir())


@pytest.mark.parametrize("column, value", [("size", 99), ("changed", 4), ("fingerprint", "z"), ("number", 8)])
def test_a_row_that_was_changed_is_not_believed_and_the_others_are(index, column, value):
    with sqlite3.connect(index.path) as database:
        database.execute(f"UPDATE clips SET {column} = ? WHERE folder = 'cell.aa' AND number = 7", (value,))
    assert index.known("cell.aa") == {number: clip for number, clip in CLIPS.items() if number != 7}


@pytest.mark.parametrize("harm", ["rubbish", "cut off", "empty", "another table"])
def test_a_damaged_index_is_made_anew_by_the_next_note(index, harm):
    whole = index.path.read_bytes()
    if harm == "another table":
        with sqlite3.connect(index.path) as database:
            database.execute("DROP TABLE clips")
            database.execute("CREATE TABLE clips (folder TEXT)")
    else:
        index.path.write_bytes(
            {"rubbish": b"no database" * 999, "cut off": whole[: len(whole) // 2], "empty": b""}[harm]
        )
    assert index.known("cell.aa") == {}
    index.note("cell.aa", CLIPS)
    assert index.known("cell.aa") == CLIPS and index.known("cell.bb") == {}


def test_one_of_a_newer_version_is_left_alone(index):
    with sqlite3.connect(index.path) as database:
        database.execute(f"PRAGMA user_version = {FORM + 1}")
    before = index.path.read_bytes()
    index.note("cell.aa", {3: (3, 3, "three")})
    assert index.known("cell.aa") == {} and index.path.read_bytes() == before


def test_one_that_another_process_writes_to_stays(index, monkeypatch):
    monkeypatch.setattr("artv_eval.results.clip_index.PATIENCE", 0.05)
    with sqlite3.connect(index.path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        index.note("cell.aa", {3: (3, 3, "three")})
        assert index.known("cell.aa") == {}
        other.execute("ROLLBACK")
    assert index.known("cell.aa") == CLIPS


def test_a_folder_in_its_place_is_no_error(tmp_path):
    (tmp_path / "index.sqlite").mkdir()
    index = ClipIndex(tmp_path / "index.sqlite")
    index.note("cell.aa", CLIPS)
    assert index.known("cell.aa") == {} and index.path.is_dir()

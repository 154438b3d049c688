"""Kept rows: exact, told from those of another place, and none where they cannot be read."""

import numpy as np

from artv_eval.results.arrays import write_arrays
from artv_eval.results.row_cache import RowCache
from artv_eval.results.store import RunStore

ROWS = {"a": np.array([1.5, -2.25]), "b": np.array([np.nan, 1e-300])}


def same(found, rows):
    assert list(found) == list(rows)
    for name in rows:
        np.testing.assert_array_equal(found[name], rows[name])


def test_rows_come_back_exactly_and_in_order(tmp_path):
    cache = RowCache(tmp_path / "new" / "folder", "cell")
    cache.save("metric", ROWS)
    same(cache.load("metric"), ROWS)
    cache.save("metric", {"c": np.zeros(2)})
    assert list(cache.load("metric")) == ["c"], "the last one stays"


def test_rows_of_several_widths_come_back_exactly(tmp_path):
    ragged = {"a": np.arange(3.0), "b": np.zeros(0), "c": np.array([np.nan, 1 / 3])}
    RowCache(tmp_path).save("metric", ragged)
    same(RowCache(tmp_path).load("metric"), ragged)


def test_nothing_is_kept_without_a_folder_and_of_no_rows(tmp_path):
    RowCache(None).save("metric", ROWS)
    assert RowCache(None).load("metric") == {}
    RowCache(tmp_path).save("metric", {})
    assert not list(tmp_path.iterdir()) and RowCache(tmp_path).load("metric") == {}


def test_rows_of_two_processes_stay(tmp_path):
    one, other = RowCache(tmp_path, "a"), RowCache(tmp_path, "a")
    assert one.load("k") == other.load("k") == {}
    one.save("k", {"0:x": np.array([1.0])})
    other.save("k", {"1:y": np.array([2.0])})
    one.save("k", {"0:x": np.array([1.0]), "2:z": np.array([3.0])})
    assert {name: row[0] for name, row in RowCache(tmp_path, "a").load("k").items()} == {"0:x": 1, "1:y": 2, "2:z": 3}


def test_rows_in_a_wrong_place_count_as_none(tmp_path):
    RowCache(tmp_path, "one").save("metric", ROWS)
    assert RowCache(tmp_path, "two").load("metric") == {}
    (tmp_path / "metric.npz").rename(tmp_path / "other.npz")
    assert RowCache(tmp_path, "one").load("other") == {}
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:-30])
    assert RowCache(tmp_path, "one").load("cut") == {}


def test_rows_of_folders_kept_before_there_was_one_form(tmp_path):
    write_arrays(tmp_path / "old.npz", "old", {"keys": np.array(list(ROWS)), "rows": np.stack(list(ROWS.values()))})
    found = RowCache(tmp_path).load("old")
    assert list(found) == list(ROWS)
    same(found, ROWS)


def test_a_run_keeps_a_cells_rows_in_its_features(tmp_path):
    RunStore(tmp_path).rows("0123").save("metric", ROWS)
    assert (tmp_path / "features" / "0123" / "metric.npz").is_file()
    same(RunStore(tmp_path).rows("0123").load("metric"), ROWS)

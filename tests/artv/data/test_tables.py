"""Rows of tables of each kind: texts as they were written, and the number of the row that is none."""

import json

import numpy as np
import pandas as pd
import pytest

from artv.data.tables import csv_rows, json_rows, parquet_rows
from artv.errors import UserError


def saved(tmp_path, text, name="c.csv", newline=""):
    path = tmp_path / name
    with path.open("w", encoding="utf-8", newline=newline) as file:
        file.write(text)
    return path


def refusal(rows, path) -> str:
    with pytest.raises(UserError) as caught:
        list(rows(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("1.mp4,a red ball", ("1.mp4", "a red ball")),
        ('1.mp4,"a red, round ball"', ("1.mp4", "a red, round ball")),
        ('1.mp4, "with a space before the quote"', ("1.mp4", "with a space before the quote")),
        ('1.mp4,"a ""blue"" ball"', ("1.mp4", 'a "blue" ball')),
        ("1.mp4,", ("1.mp4", "")),
        ("1.mp4,#1; 5' tall", ("1.mp4", "#1; 5' tall")),
        ("a/b/1.mp4,NA", ("a/b/1.mp4", "NA")),
        ("001,007", ("001", "007")),
    ],
)
def test_a_line_is_read_as_text(tmp_path, line, row):
    assert list(csv_rows(saved(tmp_path, f"file,caption\n{line}\n"))) == [row]


@pytest.mark.parametrize(
    ("lines", "number", "words"),
    [
        (["1.mp4,a red, round ball"], 2, "has 3 values for the 2 columns file,caption"),
        (["1.mp4,a", "", "2.mp4"], 4, "has 1 values"),
        (["1.mp4,a", '2.mp4,"b', '3.mp4,c"'], 3, "goes on in the next line"),
        (["1.mp4,a", '2.mp4,"b', "3.mp4,c"], 3, "has a quote that is not closed"),
        (["1.mp4,a", '2.mp4,"b"c'], 3, "is no row of a table"),
        (["1.mp4,a", ",b"], 3, "is a line without a file"),
    ],
)
def test_a_line_that_csv_would_read_as_something_else(tmp_path, lines, number, words):
    text = refusal(csv_rows, saved(tmp_path, "\n".join(["file,caption", *lines]) + "\n"))
    assert f"line {number}, {words}" in text


@pytest.mark.parametrize("header", ["", "file", "File,Caption", "file,caption,file", "caption"])
def test_a_header_that_does_not_name_both_columns_once(tmp_path, header):
    assert f"begins with {header!r}" in refusal(csv_rows, saved(tmp_path, f"{header}\n1.mp4,a\n"))


def test_lines_of_json(tmp_path):
    rows = [("1.mp4", "ä “quoted” – 熊"), ("2.mp4", ""), ("3.mp4", 'a "b"\\n')]
    lines = [json.dumps({"caption": c, "file": f, "more": [1]}) for f, c in rows]
    for mark in ("", "\ufeff"):
        path = saved(tmp_path, mark + "\n\n".join(lines), "c.jsonl")
        assert list(json_rows(path)) == rows


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"file": "1.mp4"}', "must have the texts 'file' and 'caption'"),
        ('{"file": "1.mp4", "caption": null}', "must have the texts"),
        ('{"file": 1, "caption": "a"}', "must have the texts"),
        ('["1.mp4", "a"]', "must have the texts"),
        ("1.mp4,a", "is no JSON"),
        ('{"file": "1.mp4", "caption": "a \\ud83d"}', "has half of a character"),
    ],
)
def test_a_line_of_json_that_is_no_row(tmp_path, line, words):
    path = saved(tmp_path, f'{{"file": "0.mp4", "caption": ""}}\n\n{line}\n', "c.jsonl")
    assert f"line 3, {words}" in refusal(json_rows, path)


def frame(captions, **options):
    return pd.DataFrame({"caption": captions, "file": ["1.mp4", "2.mp4"]}, **options)


@pytest.mark.parametrize(
    ("captions", "texts"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", None], ["a", ""]),
        (["a", np.nan], ["a", ""]),
        (pd.Categorical(["a", "a"]), ["a", "a"]),
        (pd.Categorical(["a", None]), ["a", ""]),
        (pd.array(["a", pd.NA], dtype="string"), ["a", ""]),
    ],
    ids=["text", "none", "nan", "category", "missing", "string"],
)
def test_columns_of_a_parquet_file(tmp_path, monkeypatch, captions, texts):
    """What pandas gives of one; whether it can read the file at all hangs on pyarrow."""
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame(captions))
    assert list(parquet_rows(tmp_path)) == [("1.mp4", texts[0]), ("2.mp4", texts[1])]


@pytest.mark.parametrize("captions", [["a", 3], ["a", ["b", "c"]], ["a", b"b"], ["a", 2.5]])
def test_what_is_no_text_is_no_caption(tmp_path, monkeypatch, captions):
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame(captions))
    assert "row 2, must have texts in 'file' and 'caption'" in refusal(parquet_rows, tmp_path)


def test_columns_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame(["a", "b"]).rename(columns={"file": "name"}))
    assert "must have the columns file and caption; it has caption, name" in refusal(parquet_rows, tmp_path)

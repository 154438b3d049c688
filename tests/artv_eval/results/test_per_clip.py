"""Values of single clips for other programs: what is written is what is read, by anybody's CSV reader."""

import io

import numpy as np
import pandas
import pytest

from artv.errors import UserError
from artv_eval.results.per_clip import COLUMNS, as_csv, finite, read_csv
from artv_eval.results.rows import ClipValues

NAN = float("nan")
VALUES = [
    ClipValues(ablation="mask", cell="on, seed 1", metric="psnr", values={0: 0.1, 7: 1 / 3}, prompts={0: 0, 7: 3}),
    ClipValues(ablation="mask", cell="off", metric="psnr", values={0: -1e-300, 7: NAN}),
    ClipValues(ablation=None, cell='=1+1 "x", – line', metric="ssim", values={2: 1e300}, prompts={2: 2}),
]


def test_pandas_reads_what_is_written():
    table = pandas.read_csv(io.StringIO(as_csv(VALUES)))
    assert tuple(table.columns) == COLUMNS and table["index"].tolist() == [0, 7, 0, 7, 2]
    assert table["value"].tolist()[:3] == [0.1, 1 / 3, -1e-300] and np.isnan(table["value"][3])
    assert table["prompt"].tolist()[:2] == [0, 3] and np.isnan(table["prompt"][2])


def test_every_value_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "per_clip.csv"
    path.write_text(as_csv(VALUES), encoding="utf-8", newline="")
    found = read_csv(path)
    assert [(item.ablation, item.cell, item.metric) for item in found] == [
        (item.ablation, item.cell, item.metric) for item in VALUES
    ]
    for ours, theirs in zip(found, VALUES, strict=True):
        assert np.array_equal([*ours.values.values()], [*theirs.values.values()], equal_nan=True)
        assert (list(ours.values), ours.prompts) == (list(theirs.values), theirs.prompts)


def test_a_file_of_before_has_no_prompts(tmp_path):
    path = tmp_path / "per_clip.csv"
    path.write_text("ablation,cell,metric,index,value\nmask,on,psnr,3,2.5\n", encoding="utf-8")
    assert read_csv(path) == [ClipValues(ablation="mask", cell="on", metric="psnr", values={3: 2.5})]
    assert read_csv(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    "text", ["cell,value\non,1\n", ",".join(COLUMNS) + "\na,b,c,x,1,\n", ",".join(COLUMNS) + "\na,b\n"]
)
def test_what_is_no_such_file_is_one_line(tmp_path, text):
    path = tmp_path / "per_clip.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"per_clip.csv is damaged .*; delete it and run the sweep again"):
        read_csv(path)


def test_only_numbers_are_finite():
    assert finite({0: 1.0, 1: NAN, 2: float("inf"), 3: -0.0}) == {0: 1.0, 3: -0.0}

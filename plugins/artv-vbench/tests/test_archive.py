"""The leaderboard's archive, read back as VBench's ``scripts/cal_final_score.py`` reads it."""

import json
import zipfile

import numpy as np
import pytest
from artv_vbench import ALL
from artv_vbench.archive import main
from artv_vbench.totals import total

from artv_eval.results.per_clip import as_csv
from artv_eval.results.rows import ClipValues

VALUES = np.random.default_rng(0).random((16, 4))


@pytest.fixture
def run(tmp_path):
    """A finished run of two cells; the third clip of each has no value for color."""
    folder = tmp_path / "run"
    folder.mkdir()
    items = [
        ClipValues(
            ablation="baselines", cell=cell, metric=f"vbench-suite:{name}", prompts={i: i // 2 for i in range(4)},
            values={i: float("nan") if (name, i) == ("color", 2) else float(v) for i, v in enumerate(VALUES[d])},
        )
        for cell in ("my model", "other")
        for d, name in enumerate(ALL)
        if (cell, name) != ("other", "scene")
    ]  # fmt: skip
    (folder / "per_clip.csv").write_text(as_csv(items), encoding="utf-8")
    return folder


def test_it_holds_what_the_leaderboards_script_looks_for(run, tmp_path, capsys):
    out = tmp_path / "evaluation_results.zip"
    assert main([str(run), "--cell", "my model", "--out", str(out)]) == 0
    uploaded, files = {}, {}
    with zipfile.ZipFile(out) as zipped:
        assert all(name.endswith("_eval_results.json") and "/" not in name for name in zipped.namelist())
        for name in zipped.namelist():
            for key, value in json.loads(zipped.read(name)).items():
                uploaded[key.replace("_", " ")], files[key] = value
    means = [VALUES[d].mean() if name != "color" else VALUES[d][[0, 1, 3]].mean() for d, name in enumerate(ALL)]
    assert uploaded == pytest.approx({name.replace("_", " "): mean for name, mean in zip(ALL, means, strict=True)})
    assert [clip["video_path"] for clip in files["color"]] == ["0-0.mp4", "0-1.mp4", "1-3.mp4"]
    raw = [clip["video_results"] for clip in files["imaging_quality"]]  # VBench divides the mean alone
    assert raw == pytest.approx(list(100 * VALUES[ALL.index("imaging_quality")]))
    assert np.isfinite(total("total", np.array(means))) and "color" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "said"),
    [("other", "other of {run} lacks vbench-suite:scene"), ("third", "--cell is 'third'; {run} has my model, other")],
)
def test_what_is_missing_is_one_line(run, tmp_path, capsys, cell, said):
    assert main([str(run), "--cell", cell, "--out", str(tmp_path / "x.zip")]) == 2
    assert said.format(run=run) in capsys.readouterr().err and not (tmp_path / "x.zip").exists()


def test_a_folder_that_is_no_run_is_said(tmp_path, capsys):
    assert main([str(tmp_path), "--cell", "x"]) == 2
    assert "holds no per_clip.csv" in capsys.readouterr().err

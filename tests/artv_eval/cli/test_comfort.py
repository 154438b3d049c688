"""What is made for comfort (pages, tables for other programs, kept rows) fails in a line; the results are there."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from video_folders import clip_file

TOY = Path(__file__).parents[1] / "toy"
RUN = ("--ablation", "noise", "--out", "run")


def test_the_table_comes_before_what_is_made_of_it_and_a_failure_there_is_one_line(toy):
    Path("run").mkdir()
    Path("run/previews").write_text("a file where a folder belongs", encoding="utf-8")
    outcome = toy(*RUN)
    assert outcome.code == 0 and "brightness" in outcome.out and "Traceback" not in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if "could not be made" in line]
    assert line.startswith("artv-eval: report.html could not be made (") and "previews" in line
    assert json.loads(Path("run/results.json").read_text(encoding="utf-8"))["rows"]
    assert json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))["state"] == "finished"
    assert Path("run/results.csv").is_file() and not Path("run/report.html").exists()


def test_without_av_a_sweep_has_all_its_results(toy, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # as where it is not installed: to import it fails
    outcome = toy(*RUN)
    assert outcome.code == 0 and "brightness" in outcome.out and "Traceback" not in outcome.err
    rows = json.loads(Path("run/results.json").read_text(encoding="utf-8"))["rows"]
    assert {row["status"] for row in rows} == {"ok"} and Path("run/results.csv").is_file()


def test_a_notebooks_plotting_backend_does_no_harm(tmp_path):
    program = [sys.executable, "-c", "from artv_eval.cli import main; main()", "sweep", "--plugins-dir", TOY]
    program += ["--protocol", "toy@1", "--num-videos", "6", *RUN]
    environment = os.environ | {"MPLBACKEND": "module://nobody_has_installed_this"}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and "brightness" in done.stdout, done.stderr
    assert "<svg" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_home_that_cannot_be_written_to_costs_the_kept_rows_only(cli, tmp_path, monkeypatch):
    for k in range(3):
        clip_file(tmp_path / "clips" / f"{k}.mp4", k)
    (tmp_path / "home").write_text("no folder", encoding="utf-8")  # root may write to any folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    scored = cli("score", "--fake", "clips", "--metrics", "drift", "--frames", 6, "--workers", 0, "--format", "json")
    found = json.loads(scored.out)
    assert scored.code == 0 and found["rows"][0]["status"] == "ok" and found["rows"][0]["n"] == 3
    assert [note for note in found["notes"] if note.startswith("rows are not kept for the next time: ")]


@pytest.mark.parametrize("format_", ["table", "json", "latex", "csv-comparisons"])
def test_a_report_changes_nothing_in_the_folder(toy, cli, monkeypatch, format_):
    def contents():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in Path("run").rglob("*") if path.is_file()}

    toy(*RUN)
    before = contents()
    monkeypatch.setattr("artv_eval.results.store.writable_folder", lambda *_: pytest.fail("wants to write"))
    assert cli("report", "run", "--format", format_).code == 0 and contents() == before


def test_a_setting_that_differs_from_a_runs_is_named_alone(tmp_path):
    from artv.errors import UserError
    from artv.training.config import load_config
    from artv.training.run import _claim

    _claim(tmp_path, load_config("shapes", data="builtin"))
    (tmp_path / "other.yaml").write_text("autoencoder: {steps: 7}\nmodel: {lr: 0.25}\n", encoding="utf-8")
    before, after = load_config("shapes"), load_config("shapes", tmp_path / "other.yaml")
    with pytest.raises(UserError) as caught:
        _claim(tmp_path, after)
    said = str(caught.value).removeprefix(f"{tmp_path} was trained with ")
    assert said.split(";")[:2] == [
        f"autoencoder.steps = {before.autoencoder.steps}, not 7",
        f" model.lr = {before.model.lr}, not 0.25",
    ]

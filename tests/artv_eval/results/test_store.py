"""What stands in a run folder where something of its own belongs: one line that names it, before any work."""

from pathlib import Path

import pytest

from artv.errors import UserError
from artv_eval.results.store import FILES, FOLDERS, RunStore

RUN = ("--ablation", "noise", "--out", "run")


@pytest.mark.parametrize("name", [*FOLDERS, "clips/0123abcd", "features/0123abcd"])
def test_a_file_where_a_folder_belongs(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=f"{name} is a file where a folder of the run belongs; remove it, or give"):
        RunStore(tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_belongs(tmp_path, name):
    (tmp_path / name / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name} is no file, where one of the run belongs; remove it, or give"):
        RunStore(tmp_path)
    assert (tmp_path / name / "mine").is_dir()


@pytest.mark.parametrize("name", ["results.json", "report.html", "gallery.json", "clips", "clips/x"])
def test_a_sweep_finds_it_before_it_makes_a_clip(toy, made, name):
    place = Path("run", name)
    place.parent.mkdir(parents=True)
    place.mkdir() if place.suffix else place.touch()
    outcome = toy(*RUN)
    assert outcome.code == 2 and made() == [] and outcome.out == ""
    assert outcome.err.count("\n") == 1 and outcome.err.startswith(f"artv-eval: {place} is ")

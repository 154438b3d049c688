"""Whatever is changed of a run is told when it is verified, also where its checksums were made to fit."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored import Shift, scored

from artv_eval.results.arrays import read_arrays, write_arrays
from artv_eval.results.clips import read_clip, write_clip
from artv_eval.results.documents import read_json, write_json
from artv_eval.sweep.verify_values import with_a_value

TOY = Path(__file__).parents[1] / "toy"


def differences(cli, sample=0):
    outcome = cli("--plugins-dir", TOY, "verify", "run", "--json", "--sample", sample)
    return {check["what"]: check["why"] for check in json.loads(outcome.out) if not check["same"]}


@pytest.fixture
def run(toy, cli):
    assert toy("--ablation", "noise", "--out", "run").code == 0
    assert differences(cli, 5) == {}


def edit(name, change):
    document = read_json(Path("run", name))
    change(document)
    write_json(Path("run", name), document)


def test_a_clip_in_the_place_of_another_of_its_name(run, cli):
    path = sorted(Path("run/clips").glob("*/000003.npz"))[0]
    of = f"{path.parent.name}/3"
    clip = read_clip(path, of, None)
    write_clip(path, of, replace(clip, frames=np.asarray(clip.frames) // 2))
    found = differences(cli)
    assert {what.partition(" of ")[0] for what in found} == {"brightness", "distance"}
    assert "1 clip (the first is 3) are others than those that were scored" in next(iter(found.values()))


def change_rows(by):
    for path in sorted(Path("run/features").glob("*/*.npz")):
        of = f"{path.parent.name}/{path.stem}"
        arrays = read_arrays(path, of)
        write_arrays(path, of, {**arrays, "rows": arrays["rows"] + by})


def test_rows_that_were_changed(run, cli):
    change_rows(7.0)
    found = differences(cli)
    assert "is not what the rows of its clips give" in found["brightness of noise=much"]
    assert "brightness of single clips (per_clip.csv)" in found


def test_rows_and_results_that_were_changed_together(run, cli, toy):
    change_rows(7.0)
    toy("--ablation", "noise", "--out", "run")
    shutil.copy("run/per_clip.csv", "kept.csv")
    assert differences(cli) == {}
    found = differences(cli, 5)
    assert "of the largest number in a row" in found["1 row of brightness of noise=little, described again"]


@pytest.mark.parametrize("name", ["results.csv", "comparisons.csv"])
def test_tables(run, cli, name):
    path = Path("run", name)
    path.write_bytes(path.read_bytes().replace(b"1", b"7", 1))
    assert list(differences(cli)) == [name]


def test_a_table_of_an_older_version_has_fewer_columns(run, cli):
    path = Path("run/results.csv")
    rows = list(csv.reader(path.read_text().splitlines()))
    place = rows[0].index("seeds")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*row[:place], *row[place + 1 :]] for row in rows)
    assert differences(cli) == {}
    path.write_text("")
    assert list(differences(cli)) == ["results.csv"]


def test_values_in_the_results(run, cli):
    edit("results.json", lambda document: document["rows"][0].update(value=130.0))
    assert set(differences(cli)) == {"results.csv", "brightness of noise=little"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cell: cell["ran"].update(strength=9), "ran: {'strength': 9"),
        (lambda cell: cell["method"]["settings"].update(strength=9), "method: {"),
        (lambda cell: cell.update(maker="0" * 8), "maker: 00000000 in the manifest"),
        (lambda cell: cell.update(made_on={"a GPU @ x": 6}), "made_on: {'a GPU @ x': 6} in the manifest"),
        (lambda cell: cell.update(id="0" * 16), "planned again it has another id"),
    ],
)
def test_what_the_manifest_says_of_a_cell(run, cli, change, words):
    edit("manifest.json", lambda document: change(document["cells"][0]))
    assert words in next(why for what, why in differences(cli).items() if what.startswith("cell noise=little"))


def test_a_copy_has_no_notes_of_what_its_clips_were_made_on(run, cli):
    """They lie in the store, and nothing is said to differ that nobody can tell."""
    Path("run").rename("first")
    shutil.copytree("first", "run")
    assert not Path("run", "clips", next(os.scandir("run/clips")).name).is_symlink()
    assert differences(cli) == {}


def test_a_cell_that_the_manifest_lacks_and_another_number_of_clips(run, cli):
    edit("manifest.json", lambda document: (document["cells"].pop(0), document.update(num_videos=1000)))
    found = differences(cli)
    assert "num_videos: 1000 in the manifest, 6 planned again" in found["manifest: protocol and number of clips"]
    assert "the plan has this cell, and the manifest has not" in found.values()


def test_prompts_that_the_report_shows(run, cli):
    edit("gallery.json", lambda document: document["requests"][0].update(prompt="another"))
    assert list(differences(cli)) == ["gallery.json"]


def test_values_of_clips_that_do_not_belong_to_the_results(run, cli, toy):
    """A run that is stopped between two files leaves them; so does whoever saves one from a spreadsheet."""
    old = Path("run/per_clip.csv").read_bytes()
    toy("--ablation", "noise", "--out", "run", "--set", "noise.much=50")
    Path("run/per_clip.csv").write_bytes(old)
    for command in (
        ("verify", "run"),
        ("compare", "run", "run"),
        ("report", "run"),
        ("power", "run", "--difference", 2),
    ):
        outcome = cli("--plugins-dir", TOY, *command)
        assert outcome.code == 2 and "run/per_clip.csv is not the one that its results were written with" in outcome.err
    toy("--ablation", "noise", "--out", "run", "--set", "noise.much=50")
    assert differences(cli) == {}


@pytest.mark.parametrize(
    ("trainings", "n"),
    [
        ([[1.0, 2.0, 3.0]], 3),
        ([[1.0, np.nan, 3.0]], 2),  # as of an object that is never seen
        ([[1.0, np.nan, 3.0], [np.nan, 2.0, 3.0]], 2),
        ([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]], None),
    ],
)
def test_clips_without_a_value_do_not_count(trainings, n):
    assert with_a_value([scored("on", values) for values in trainings]) == n
    assert with_a_value([scored("on", values, metric=Shift()) for values in trainings]) == 3  # of the whole set

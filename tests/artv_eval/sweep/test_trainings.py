"""Trainings as part of a plan, by a toy trainer of milliseconds: planned, shared, continued, counted when they fail."""

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from artv_eval.report.figures import figures
from artv_eval.report.html import load_run
from artv_eval.sweep.trainings import thin
from artv_eval.twins.store import TwinStore
from tests.warm import start

TOY = Path(__file__).parents[1] / "toy"
ROOT = Path(__file__).parents[3]
TRAIN = ("--ablation", "learning", "--train", "--metrics", "brightness", "--num-videos", 8)


def trained(made):
    return [line for line in made() if line.startswith("train ")]


def rows_of(outcome, metric="brightness"):
    return {row["cell"]: row for row in json.loads(outcome.out)["rows"] if row["metric"] == metric}


def test_a_row_is_a_cell_over_its_trainings(toy, made):
    outcome = toy(*TRAIN, "--train-seeds", 4, "--format", "json", "--out", "run")
    assert outcome.code == 0, outcome.err
    rows, (pair,) = rows_of(outcome), json.loads(outcome.out)["comparisons"]
    assert [(rows[c]["seeds"], rows[c]["about"]) for c in rows] == [(4, "method"), (4, "method"), (None, None)]
    cells = json.loads(Path("run/manifest.json").read_text())["cells"]
    means = {}
    for cell in cells:
        clips = [np.load(path)["frames"].mean() for path in sorted(Path("run/clips", cell["id"]).glob("*.npz"))]
        means.setdefault(cell["cell"], []).append(np.mean(clips))
    assert rows["data=clean"]["value"] == pytest.approx(np.mean(means["data=clean"]))
    seeds, each = zip(*rows["data=noisy"]["by_seed"], strict=True)
    assert seeds == (1, 2, 3, 4) and each == pytest.approx(means["data=noisy"])
    assert (pair["about"], pair["seeds"], pair["n"]) == ("method", 4, 8)
    assert pair["difference"] == pytest.approx(np.mean(np.subtract(means["data=clean"], means["data=noisy"])))
    # little chance is in the clips: nearly the t-test over seeds
    oracle = stats.ttest_rel(means["data=clean"], means["data=noisy"]).pvalue
    assert oracle / 3 < pair["p_value"] < 3 * oracle and pair["p_checkpoints"] < pair["p_value"]
    assert cells[0]["training"]["settings"]["seed"] == 1 and cells[0]["training"]["digest"]
    assert len(trained(made)) == 2 * 4 * 3


def test_both_spreads_are_told(toy):
    toy(*TRAIN, "--train-seeds", 3, "--out", "run")
    results = json.loads(Path("run/results.json").read_text())
    (pair,) = results["comparisons"]
    assert not any("2 training seeds" in note for note in results["notes"])
    spreads = f"brightness ± {pair['sd_trainings']:.2g} and ± {pair['se_clips']:.2g}"
    assert any("varies between trainings" in note and spreads in note for note in results["notes"])


def test_killed_in_every_phase_it_ends_with_the_same_table(toy, made, monkeypatch):
    whole = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "whole")
    Path("run").rename("before")
    Path("made.log").unlink()
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    command = ["artv_eval", "sweep", "--plugins-dir", TOY, "--protocol", "toy@1", *TRAIN]
    command += ["--train-seeds", "2", "--format", "json", "--out", "run", "--twins", "again", "--store", "apart"]

    def done():
        kinds = [line.split()[0] for line in made()]
        return {"train": kinds.count("train"), "describe": kinds.count("describe"), "all": len(kinds)}

    def clips():
        return done()["all"] - done()["train"] - done()["describe"]

    phases = (
        lambda: done()["train"] >= 2,
        lambda: done()["train"] >= 9,
        lambda: clips() >= 2,
        lambda: clips() >= 20,
        lambda: done()["describe"] >= 1,
    )
    for reached in phases:
        killed = start(*command)
        begun = time.monotonic()
        while not reached() and not killed.ended() and time.monotonic() - begun < 60:
            time.sleep(0.01)
        assert not killed.ended()  # it was at work
        killed.kill()
    monkeypatch.delenv("TOY_SECONDS")
    resumed = toy(
        *TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "again", "--store", "apart"
    )
    assert json.loads(resumed.out) == json.loads(whole.out)


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    code = (
        "import os, subprocess, sys, time\n"
        "child = 'import sys, time; from artv_eval.executors.orphans import end_with; end_with(int(sys.argv[1]));'\n"
        "child += 'print(1, flush=True); time.sleep(60)'\n"
        "started = subprocess.Popen([sys.executable, '-c', child, str(os.getpid())], stdout=subprocess.PIPE)\n"
        "started.stdout.readline()\n"
        "print(started.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_checkpoints_of_other_data_are_no_twins(cli, tmp_path):
    from artv.training.config import shapes

    watched = {"mask": False, "validate_every": 7, "trackers": ("none",)}
    longer = {"mask": False, "model": replace(shapes().model, steps=7, save_minutes=9)}
    for name, change in (("on", {}), ("off", {"mask": False}), ("other", {"mask": False, "data": "elsewhere"}),
                         ("watched", watched), ("longer", longer)):  # fmt: skip
        settings = json.loads(shapes().model_copy(update=change).model_dump_json())
        if name == "off":
            del settings["validate_every"], settings["model"]["optimizer"]  # of before they were there
        (tmp_path / name / "pipeline").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(settings))
    command = ("sweep", "--ablation", "mask", "--dry-run", "--checkpoint", "on/pipeline")
    refused = cli(*command, "--set", "mask.twin=other/pipeline")
    assert refused.code == 2 and "no twins: data was 'builtin'" in refused.err and "'elsewhere'" in refused.err
    assert "model.steps was 12000" in cli(*command, "--set", "mask.twin=longer/pipeline").err
    for same in ("off", "watched"):
        assert "no twins" not in cli(*command, "--set", f"mask.twin={same}/pipeline").err
    for file, key, (ours, theirs) in (
        ("pipeline/step.json", "step", (12000, 5000)),  # the other was stopped
        ("inputs.json", "clips", ("9 of files abc", "8 of files fed")),
        ("inputs.json", "encoders", ("abc", "fed")),
    ):
        (tmp_path / "on" / file).write_text(json.dumps({key: ours}))
        assert "no twins" not in cli(*command, "--set", "mask.twin=off/pipeline").err  # of before it was noted
        (tmp_path / "off" / file).write_text(json.dumps({key: theirs}))
        assert f"no twins: {key} was {ours!r} in the" in cli(*command, "--set", "mask.twin=off/pipeline").err
        (tmp_path / "off" / file).write_text(json.dumps({key: ours}))


def test_what_only_a_training_makes_asks_for_one(cli):
    outcome = cli("sweep", "--ablation", "weight-cap", "--dry-run")
    assert outcome.code == 2 and "weight_cap=1.0" in outcome.err and "add --train" in outcome.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("training.dropp_text=0.2", "config training: unknown setting 'dropp_text'; did you mean drop_text"),
        ("training.model.lrr=1e-4", "config training: unknown setting 'lrr'; did you mean lr"),
        ("training.drop_text=2", "setting drop_text = 2"),
    ],
)
def test_a_training_setting_that_does_not_exist_has_a_closest_one(cli, given, message):
    outcome = cli("sweep", "--ablation", "mask", "--train", "--dry-run", "--set", given)
    assert outcome.code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1


def test_one_seed_speaks_of_checkpoints(toy):
    outcome = toy(*TRAIN, "--format", "json")
    (pair,) = json.loads(outcome.out)["comparisons"]
    assert (pair["about"], pair["seeds"]) == ("checkpoints", 1) and pair["p_value"] == pair["p_checkpoints"]
    assert {row["about"] for row in rows_of(outcome).values()} == {"checkpoints", None}


def test_more_seeds_and_another_ablation_use_the_twins_that_are_there(toy, made):
    toy(*TRAIN, "--train-seeds", 2)
    before = len(trained(made))
    toy(*TRAIN, "--train-seeds", 3)
    assert trained(made)[before:] == [f"train {mean} 3 {step}" for mean in (10, 30) for step in range(3)]
    toy(*TRAIN, "--train-seeds", 3, "--set", "learning.mean=40")
    assert {line.split()[1] for line in trained(made)[before + 6 :]} == {"40"}
    assert len(list(Path("runs/twins").iterdir())) == 9 and len(list(Path("runs").glob("learning-*"))) == 2


def test_interrupted_it_continues_inside_a_training(toy, made, monkeypatch):
    whole = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "whole")
    Path("run").rename("before")
    Path("made.log").unlink()
    for moment in ("10 1 1", "30 2 2"):
        monkeypatch.setenv("TOY_TRAINING_STOPS_AT", moment)
        stopped = toy(*TRAIN, "--train-seeds", 2, "--out", "run", "--twins", "again")
        assert stopped.code == 130 and "the same command continues" in stopped.err
    monkeypatch.delenv("TOY_TRAINING_STOPS_AT")
    resumed = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "again")
    assert len(trained(made)) == 2 * 2 * 3 + 2  # the step that was being done is done again, and no other
    assert json.loads(resumed.out) == json.loads(whole.out)


def test_a_training_that_fails_costs_its_seed_and_is_named(toy, monkeypatch):
    monkeypatch.setenv("TOY_TRAINING_FAILS", "30 2")
    outcome = toy(*TRAIN, "--train-seeds", 4, "--format", "json", "--out", "run")
    rows, (pair,) = rows_of(outcome), json.loads(outcome.out)["comparisons"]
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert (rows["data=clean"]["seeds"], rows["data=noisy"]["seeds"], pair["seeds"]) == (4, 3, 3)
    why = "training with seed 2: ValueError: the loss became nan"
    assert "data=noisy: 1 of 4 trainings failed" in outcome.err.splitlines()[-1]
    notes = json.loads(Path("run/results.json").read_text())["notes"]
    assert f"data=noisy: {why}; its values are over 3 other trainings" in notes
    monkeypatch.delenv("TOY_TRAINING_FAILS")
    every = (*TRAIN, "--train-seeds", 4, "--format", "json")
    assert {row["seeds"] for row in rows_of(toy(*every)).values()} == {4, None}
    # another run made what had failed in this one
    assert {row["seeds"] for row in rows_of(toy(*every, "--out", "run")).values()} == {4, None}


def test_a_merge_trains_nothing_and_brings_what_failed(toy, cli, made, monkeypatch):
    whole = rows_of(toy(*TRAIN, "--format", "json", "--out", "one"))
    for part in (1, 2):
        toy(*TRAIN, "--shard", f"{part}/2", "--out", f"shard-{part}", "--store", f"store-{part}")
    before, merge = trained(made), ("--plugins-dir", TOY, "merge", "--format", "json")
    merged = cli(*merge, "shard-1", "shard-2", "--out", "merged", "--twins", "elsewhere")
    assert merged.code == 0 and rows_of(merged) == whole
    assert trained(made) == before and not Path("elsewhere").exists()
    assert "trainings: 0 to do" in toy(*TRAIN, "--out", "merged", "--twins", "elsewhere", "--dry-run").out
    monkeypatch.setenv("TOY_TRAINING_FAILS", "30 1")
    toy(*TRAIN, "--out", "failed", "--twins", "new")
    monkeypatch.delenv("TOY_TRAINING_FAILS")
    merged = cli(*merge, "failed", "--out", "other", "--twins", "elsewhere")
    status = rows_of(merged)["data=noisy"]["status"]
    assert merged.code == 1 and status == "failed: training with seed 1: ValueError: the loss became nan"
    assert not Path("elsewhere").exists()
    assert cli("--plugins-dir", TOY, "verify", "failed").code == 0  # of what did not fail


def test_gc_counts_models_of_runs_that_were_moved_or_have_only_begun(toy, cli, monkeypatch):
    toy(*TRAIN, "--out", "runs/one")
    Path("far/away").mkdir(parents=True)
    Path("runs/one").rename("far/away/one")
    assert "2 twins" in cli("gc").out
    moved = cli("gc", "--run", "far/away/one", "--yes")
    assert "nothing to remove" in moved.out and "nothing to remove" in cli("gc", "--yes").out
    shutil.rmtree("far")
    assert "2 twins" in cli("gc").out

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("artv_eval.sweep.run.train", stopped)
    toy(*TRAIN, "--out", "runs/two")
    assert "nothing to remove" in cli("gc").out


def test_no_training_at_all_gives_a_table_that_says_so_and_is_not_tried_again_unasked(toy, monkeypatch, made):
    monkeypatch.setenv("TOY_TRAINING_FAILS", "10 1")
    command = (*TRAIN, "--set", "learning.mean=10", "--format", "json", "--out", "run")
    outcome = toy(*command)
    why = "training with seed 1: ValueError: the loss became nan"
    assert outcome.code == 1 and why in outcome.err
    assert {row["status"] for row in rows_of(outcome).values()} == {f"failed: {why}", "ok"}  # of the sanity rows
    (fault,) = Path("run/faults").glob("*.txt")
    assert "Traceback" in fault.read_text(encoding="utf-8")
    monkeypatch.delenv("TOY_TRAINING_FAILS")
    before = len(made())
    plan = json.loads(toy(*command, "--dry-run").out)
    assert [item["failed"] for item in plan["trainings"]] == ["ValueError: the loss became nan"]
    assert {(cell["failed"], cell["finished"]) for cell in plan["cells"] if cell["training"]} == {(8, 0)}
    text = toy(*command[:-4], "--out", "run", "--dry-run").out
    assert (
        "trainings: 0 to do, 0 there, 1 failed before" in text and "8 clips failed before, which --retry-failed" in text
    )
    assert "trainings: 1 to do, 0 there; " in toy(*command[:-4], "--out", "run", "--dry-run", "--retry-failed").out
    assert toy(*command).code == 1 and len(made()) == before
    assert toy(*command, "--retry-failed").code == 0


def test_the_plan_shows_trainings_with_their_costs(toy, made):
    plan = json.loads(toy(*TRAIN, "--train-seeds", 2, "--dry-run", "--format", "json").out)
    assert [(t["cells"], t["seed"], t["minutes"], t["bytes"]) for t in plan["trainings"]] == [
        (["data=clean"], 1, 6, 1000), (["data=clean"], 2, 6, 1000),
        (["data=noisy"], 1, 6, 1000), (["data=noisy"], 2, 6, 1000),
    ]  # fmt: skip
    assert made() == [] and not Path("runs").exists()
    toy(*TRAIN)
    text = toy(*TRAIN, "--train-seeds", 2, "--dry-run").out
    assert (
        "trainings: 2 to do, 2 there; about 12 device minutes and 0 MB in all" in text and "data=noisy, seed 2" in text
    )


def test_lengths_are_cells_of_their_own_compared_at_the_same_length(toy):
    document = json.loads(toy(*TRAIN, "--train-seeds", 2, "--train-steps", "3,6", "--format", "json").out)
    assert [(row["cell"], row["train_steps"]) for row in document["rows"]] == [
        ("data=clean @3", 3), ("data=clean @6", 6), ("data=noisy @3", 3), ("data=noisy @6", 6), ("real", None)
    ]  # fmt: skip
    assert [(p["a"], p["b"]) for p in document["comparisons"]] == [
        ("data=clean @3", "data=noisy @3"),
        ("data=clean @6", "data=noisy @6"),
    ]
    (ran,) = [note for note in document["notes"] if " ran " in note]
    assert "data=clean @6 with checkpoint=trained as the preset says for 6 steps" in ran
    assert "data=noisy @3 with checkpoint=trained with" in ran and "with ;" not in ran


def test_trainings_and_clips_spread_over_processes(toy):
    alone = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "a")
    Path("run").rename("before")
    spread = toy(
        *TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "b",
        "--executor", "gpus", "--set", "executor.processes=2",
    )  # fmt: skip
    assert spread.code == 0, spread.err
    assert json.loads(spread.out) == json.loads(alone.out)


def test_two_shards_train_every_twin_once(toy, made, monkeypatch):
    whole = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "whole")
    Path("run").rename("before")
    Path("made.log").unlink()
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    command = ["artv_eval", "sweep", "--plugins-dir", TOY, "--protocol", "toy@1", *TRAIN]
    command += ["--train-seeds", 2, "--out", "run", "--twins", "shared", "--shard"]
    both = [start(*command, f"{i}/2") for i in (1, 2)]
    ends = [process.wait() for process in both]
    assert [end.returncode for end in ends] == [0, 0], ends
    assert sorted(trained(made)) == sorted(
        f"train {mean} {seed} {step}" for mean in (10, 30) for seed in (1, 2) for step in range(3)
    )
    monkeypatch.delenv("TOY_SECONDS")
    table = toy(*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run", "--twins", "shared")
    assert json.loads(table.out) == json.loads(whole.out)


def test_what_another_shard_trains_is_left_to_the_end(toy, made):
    command = (*TRAIN, "--train-seeds", 2, "--format", "json", "--out", "run")
    first = json.loads(toy(*command, "--dry-run").out)["trainings"][0]["id"]
    held = threading.Event()

    def hold():
        with TwinStore(Path("runs/twins")).locked(first):
            held.set()
            until = time.monotonic() + 30
            while len(trained(made)) < 9 and time.monotonic() < until:
                time.sleep(0.01)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(30) and toy(*command).code == 0
    other.join(30)
    assert [line.split()[1:3] for line in trained(made)][9:] == [["10", "1"]] * 3  # after the three others


def test_clips_of_other_weights_are_not_mixed(toy):
    assert toy(*TRAIN, "--out", "run").code == 0
    (twin,) = [path.parent for path in Path("runs/twins").glob("*/twin.json") if '"mean": 10.0' in path.read_text()]
    (twin / "pipeline" / "strength").write_text("99")
    facts = json.loads((twin / "finished.json").read_text())
    (twin / "finished.json").write_text(json.dumps({**facts, "digest": "another"}))
    outcome = toy(*TRAIN, "--out", "run")
    assert outcome.code == 2 and "are of other weights" in outcome.err and "--out" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train-seeds", 0), "--train-seeds is 0; it must be at least 1"),
        (("--train-steps", "3,x"), "--train-steps is '3,x'; it must be numbers between commas"),
        (("--train-steps", "3,3"), "--train-steps is 3,3; give different numbers"),
        (("--set", "training.meen=3"), "training has no setting 'meen'; did you mean mean?"),
        (("--set", "trainer.spred=3"), "did you mean spread?"),
        (("--grid", "weight_cap=1,2"), "--grid is 'weight_cap=1,2'; it must be component.field=value"),
    ],
)
def test_bad_input_ends_in_one_line(toy, arguments, message):
    outcome = toy(*TRAIN, *arguments)
    assert outcome.code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1
    assert not Path("runs").exists()


def test_no_room_is_found_before_the_first_training(toy, made, monkeypatch):
    monkeypatch.setenv("TOY_BYTES", str(10**18))
    outcome = toy(*TRAIN)
    assert outcome.code == 2 and "2 trainings to keep: about 2,000,000,000,000 MB in" in outcome.err
    assert "--twins" in outcome.err
    assert trained(made) == []


def test_nothing_to_train_is_said(toy):
    outcome = toy("--ablation", "noise", "--train")
    assert outcome.code == 2 and "no cell of these ablations is trained" in outcome.err


def test_the_page_shows_how_the_trainings_went(toy):
    outcome = toy(*TRAIN, "--train-seeds", 2, "--out", "run")
    assert outcome.code == 0, outcome.err
    table = json.loads((ROOT / "benchmarks/results/training_seeds.json").read_text(encoding="utf-8"))["results"]
    sizes = [100 * row["size"] for row in table if row["seeds"] == 2]
    notes = json.loads(Path("run/results.json").read_text())["notes"]
    assert any(f"2 training seeds: in {min(sizes):.1f} to {max(sizes):.1f} % of cases" in note for note in notes)
    cells = [cell for cell in json.loads(Path("run/manifest.json").read_text())["cells"] if cell["training"]]
    note = json.loads(Path(f"run/cells/{cells[0]['id']}.twin.json").read_text())
    assert note["curves"] == {"loss": [[0, 1.0], [1, 0.5], [2, 1 / 3]]}
    page = Path("run/report.html").read_text(encoding="utf-8")
    section = page[page.index('id="losses"') :]
    assert "training step" in section and all(cell["cell"] in section for cell in cells)


def test_a_long_curve_is_thinned_to_its_last_point():
    assert thin([(step, float(step)) for step in range(10)], most=4) == [(1, 1), (4, 4), (7, 7), (9, 9)]


def drawn_lines(run):
    """The picture of ``distance`` against training, read from what is painted: cell → (step, value, low, high)."""
    from matplotlib.figure import Figure

    (drawing,) = [drawing for name, drawing in figures(load_run(run)[0]) if name == "learning-distance-training"]
    grid = Figure().subplots(squeeze=False)
    drawing.paint(grid)
    axes, found = grid[0, 0], {}
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "distance"
    for line, band in zip(axes.lines, axes.collections, strict=True):
        ends = band.get_paths()[0].vertices
        found[line.get_label()] = [
            (x, y, ends[ends[:, 0] == x, 1].min(), ends[ends[:, 0] == x, 1].max())
            for x, y in zip(*line.get_data(), strict=True)
        ]
    return found


def test_several_lengths_say_what_a_component_is_worth_in_training(toy):
    learning = ("--ablation", "learning", "--train", "--metrics", "distance", "--num-videos", 8, "--out", "run")
    toy(*learning, "--train-seeds", 3, "--train-steps", "2,4,8", "--set", "trainer.spread=0.01")
    results = json.loads(Path("run/results.json").read_text())
    (line,) = [note for note in results["notes"] if "the training of" in note]
    drawn = drawn_lines(Path("run"))
    assert drawn == {
        f"data={side}": [
            (row["train_steps"], row["value"], row["ci_low"], row["ci_high"])
            for row in results["rows"]
            if row["cell"].startswith(f"data={side} @")
        ]
        for side in ("clean", "noisy")
    }
    value = {row["cell"]: row["value"] for row in results["rows"]}
    # seeds hardly differ: the lines through the logarithms of the means
    a, b = (np.log([value[f"data={side} @{steps}"] for steps in (2, 4, 8)]) for side in ("clean", "noisy"))
    slope = np.polyfit(np.log([2, 4, 8]), (a + b) / 2, 1)[0]
    times = np.exp(-(b - a).mean() / slope)
    said = float(line.partition("takes ")[2].partition(" ")[0])
    assert line.startswith("learning: data=noisy takes") and said == pytest.approx(times, rel=0.06)


def test_lengths_of_two_sweeps_of_one_folder_come_together(toy, cli, made):
    learning = ("--ablation", "learning", "--train", "--metrics", "distance", "--num-videos", 8, "--train-seeds", 3)
    lengths = (("2,4", "whole"), ("2", "run"), ("4", "run"), ("2,4", "run"))
    documents = []
    for steps, out in lengths:
        arguments = ("--train-steps", steps, "--set", "trainer.spread=0.01", "--out", out, "--format", "json")
        documents.append(json.loads(toy(*learning, *arguments).out))
    whole, *_, together = documents
    assert together | {"run": 0} == whole | {"run": 0} and any("training of" in note for note in whole["notes"])
    assert len(trained(made)) == 2 * 3 * (2 + 4)  # steps: each model is trained once
    each = sorted(Path("run/results").glob("*.json"))
    report = cli("report", *each)
    told = " ".join(report.out.split())
    assert "it takes data=noisy to come to the same distance is not told" in told
    report = cli("report", *each, "--format", "json")
    rows = {row["cell"]: row["value"] for row in json.loads(report.out)["rows"] if row["train_steps"]}
    assert rows == {row["cell"]: row["value"] for row in whole["rows"] if row["train_steps"]}

"""A whole sweep in the toy world: what it prints, keeps, continues and compares."""

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from artv_eval import Task
from artv_eval.metrics import statistics
from artv_eval.results.store import RunStore
from tests.warm import run, start

ROW = {"ablation", "cell", "method", "metric", "value", "ci_low", "ci_high", "n", "protocol", "status"}
PAIR = {"ablation", "metric", "a", "b", "difference", "ci_low", "ci_high", "p_value", "n"}


def run_folder():
    (folder,) = Path("runs").glob("*-*")
    return folder


def test_json_is_the_only_thing_on_stdout_and_has_the_agreed_fields(toy):
    outcome = toy("--ablation", "noise", "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert set(document) >= {"run", "rows", "comparisons", "findings"}
    assert Path(document["run"]) == run_folder()
    assert all(set(row) >= ROW for row in document["rows"]) and all(set(p) >= PAIR for p in document["comparisons"])
    assert [(row["cell"], row["metric"]) for row in document["rows"][:3]] == [
        ("noise=little", "brightness"),
        ("noise=much", "brightness"),
        ("real", "brightness"),
    ]
    assert {(p["a"], p["b"]) for p in document["comparisons"]} == {("noise=little", "noise=much")}


def test_values_are_those_of_the_clips_on_disk(toy):
    document = json.loads(toy("--ablation", "noise", "--format", "json").out)
    row = next(row for row in document["rows"] if row["cell"] == "noise=much" and row["metric"] == "brightness")
    manifest = json.loads((run_folder() / "manifest.json").read_text())
    cell = next(cell["id"] for cell in manifest["cells"] if cell["cell"] == "noise=much")
    clips = [np.load(path)["frames"] for path in sorted((run_folder() / "clips" / cell).iterdir())]
    assert len(clips) == row["n"] == 6
    assert row["value"] == pytest.approx(np.mean([frames.mean() for frames in clips]))
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_run_folder_holds_the_same_results_in_every_file(toy):
    document = json.loads(toy("--ablation", "noise", "--format", "json").out)
    results = json.loads((run_folder() / "results.json").read_text())
    assert {key: results[key] for key in document} == document
    with (run_folder() / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [row["value"] for row in document["rows"]]
    page = (run_folder() / "report.html").read_text(encoding="utf-8")
    assert page.count(".webp") == 6 * 5 == len(list((run_folder() / "previews").iterdir()))
    assert "clip \\u003c0\\u003e" in page and "clip <0>" not in page


def test_manifest_says_how_the_numbers_were_made(toy):
    toy("--ablation", "noise", "--set", "noisy.steps=7")
    manifest = json.loads((run_folder() / "manifest.json").read_text())
    assert manifest["state"] == "finished" and manifest["protocol"]["name"] == "toy@1"
    owners = {(c["kind"], c["name"]): c for c in manifest["components"]}
    assert owners["methods", "noisy"]["distribution"] == "toy.py"
    assert owners["methods", "noisy"]["version"].startswith("sha256:")
    assert owners["methods", "real"]["distribution"] == "artv"
    little = next(cell for cell in manifest["cells"] if cell["cell"] == "noise=little")
    assert little["method"]["settings"] == {"steps": 7, "strength": 2.0}


def test_the_same_command_makes_nothing_twice(toy, made):
    first = toy("--ablation", "noise", "--format", "json")
    before = made()
    second = toy("--ablation", "noise", "--format", "json")
    assert made() == before and len(before) > 12
    assert json.loads(first.out) == json.loads(second.out)


def test_interrupted_anywhere_it_continues(toy, made, monkeypatch):
    whole = toy("--ablation", "noise", "--format", "json", "--out", "whole", "--store", "apart")
    clean = sorted(line for line in made() if not line.startswith("describe"))
    Path("made.log").unlink()
    for moment in ("2.0 3", "40.0 0", "40.0 5"):
        monkeypatch.setenv("TOY_INTERRUPT_AT", moment)
        stopped = toy("--ablation", "noise", "--format", "json", "--out", "again")
        assert stopped.code == 130 and stopped.out == "" and "the same command continues" in stopped.err
        assert "Traceback" not in stopped.err
    monkeypatch.delenv("TOY_INTERRUPT_AT")
    resumed = toy("--ablation", "noise", "--format", "json", "--out", "again")
    attempts = [line for line in made() if not line.startswith("describe")]
    # the clip that was being made when interrupted is begun again; every other one is made once
    assert sorted(attempts) == sorted([*clean, "2.0 3", "40.0 0", "40.0 5"])
    assert json.loads(resumed.out)["rows"] == json.loads(whole.out)["rows"]


@pytest.mark.parametrize(("together", "kept"), [("true", 6), ("false", 2)])
def test_an_interruption_while_clips_are_stored_waits_for_those_that_are_made(toy, made, monkeypatch, together, kept):
    real, stored = RunStore.save_clip, []

    def save(*arguments):
        stored.append(arguments)
        if len(stored) == 2:
            signal.raise_signal(signal.SIGINT)
        real(*arguments)

    command = ("--ablation", "noise", "--out", "run", "--set", f"noisy.together={together}")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        monkeypatch.setattr(RunStore, "save_clip", save)
        assert toy(*command).code == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(list(Path("run/clips").glob("*/*.npz"))) == kept == len(stored)
    assert toy(*command).code == 0
    assert len([line for line in made() if line.startswith("2.0")]) == 6  # none was made twice


def test_cells_that_cannot_be_compared_are_a_note(toy, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(statistics, "paired_test", fails)
    outcome = toy("--ablation", "noise", "--out", "run", "--metrics", "brightness")
    notes = json.loads(Path("run/results.json").read_text())["notes"]
    assert outcome.code == 0 and notes[1:] == [
        "brightness: noise=little and noise=much are not compared: failed: ZeroDivisionError: division by zero",
        "brightness: 6 clips are too few for the 95 % interval to be relied on; take 20 or more",
    ]


def test_more_videos_continue_the_same_run(toy, made):
    toy("--ablation", "noise")
    before = len([line for line in made() if not line.startswith("describe")])
    outcome = toy("--ablation", "noise", "--num-videos", 9, "--format", "json")
    after = len([line for line in made() if not line.startswith("describe")])
    assert (before, after) == (12, 18)
    assert {row["n"] for row in json.loads(outcome.out)["rows"]} == {9}


def test_one_changed_setting_remakes_only_its_cells(toy, made):
    toy("--ablation", "noise", "--out", "run")
    count = len(made())
    toy("--ablation", "noise", "--out", "run", "--set", "noise.much=50")
    remade = [line for line in made()[count:] if not line.startswith("describe")]
    assert remade == [f"50.0 {i}" for i in range(6)]


def test_a_clip_that_changes_is_described_again(toy, made):
    toy("--ablation", "noise", "--out", "run")
    manifest = json.loads(Path("run/manifest.json").read_text())
    cell = next(cell["id"] for cell in manifest["cells"] if cell["cell"] == "noise=little")
    (Path("run/clips") / cell / "000002.npz").unlink()
    before = len(made())
    assert toy("--ablation", "noise", "--out", "run").code == 0
    assert made()[before:] == ["2.0 2"]  # the same clip again: its kept row still holds


def test_shards_make_disjoint_clips_and_the_last_one_scores(toy, made):
    whole = json.loads(toy("--ablation", "noise", "--format", "json", "--out", "whole", "--store", "apart").out)
    Path("made.log").unlink()
    first = toy("--ablation", "noise", "--format", "json", "--out", "parts", "--shard", "1/2")
    assert first.code == 0 and json.loads(first.out) == {"run": "parts", "rows": [], "comparisons": []}
    assert "other shards" in first.err
    second = toy("--ablation", "noise", "--format", "json", "--out", "parts", "--shard", "2/2")
    assert json.loads(second.out)["rows"] == whole["rows"]
    clips = [line for line in made() if not line.startswith("describe")]
    assert len(clips) == len(set(clips)) == 12


def test_dry_run_makes_nothing(toy, made):
    outcome = toy("--ablation", "noise", "--dry-run", "--format", "json")
    plan = json.loads(outcome.out)
    assert [cell["cell"] for cell in plan["cells"]] == [
        "noise=little", "noise=much", "real", "copy-first", "wrong-prompt"
    ]  # fmt: skip
    assert made() == [] and not Path("runs").exists()


def test_a_failing_cell_is_a_row_and_the_others_go_on(toy):
    outcome = toy("--ablation", "breaking", "--format", "json")
    rows = {row["cell"]: row for row in json.loads(outcome.out)["rows"] if row["metric"] == "brightness"}
    assert outcome.code == 1 and "RuntimeError: out of luck" in outcome.err and "Traceback" not in outcome.err
    assert rows["works"]["status"] == "ok" and rows["fails"]["status"] == "failed: RuntimeError: out of luck"
    assert rows["fails"]["value"] is None
    (fault,) = run_folder().glob("faults/*.txt")
    line, trace = fault.read_text(encoding="utf-8").split("\n\n", 1)
    assert line == "RuntimeError: out of luck" and 'raise RuntimeError("out of' in trace


def test_what_failed_is_tried_again_when_asked(toy, made, monkeypatch):
    command = ("--ablation", "breaking", "--format", "json", "--out", "run")
    assert toy(*command).code == 1
    monkeypatch.setenv("TOY_MENDED", "1")  # what was missing is there now
    again = toy(*command)
    assert again.code == 1 and "out of luck" in again.err and len(list(Path("run/clips").glob("*/*.npz"))) == 6 + 3
    mended = toy(*command, "--retry-failed")
    assert mended.code == 0 and {row["status"] for row in json.loads(mended.out)["rows"]} == {"ok"}
    assert not list(Path("run/faults").rglob("*.txt"))


def test_what_failed_here_and_was_made_by_another_run_is_there(toy, made, monkeypatch):
    command = ("--ablation", "breaking", "--metrics", "brightness", "--format", "json")
    assert toy(*command, "--out", "run").code == 1
    monkeypatch.setenv("TOY_MENDED", "1")
    other = json.loads(toy(*command, "--out", "other").out)
    before = len(made())
    here = toy(*command, "--out", "run")
    assert here.code == 0 and json.loads(here.out)["rows"] == other["rows"] and len(made()) == before


def test_a_clip_that_fails_costs_one_clip_and_is_counted(toy, made):
    outcome = toy("--ablation", "losing", "--format", "json", "--out", "run")
    document = json.loads(outcome.out)
    rows = {row["cell"]: row for row in document["rows"] if row["metric"] == "brightness"}
    assert outcome.code == 1 and "Traceback" not in outcome.err
    said = (
        "loses: 1 of 6 clips failed; the rest is in run; what was raised is in its faults/, --retry-failed tries again"
    )
    assert outcome.err.splitlines()[-1] == f"artv-eval: {said}"
    assert [(rows[c]["n"], rows[c]["failed"], rows[c]["status"]) for c in ("works", "loses")] == [
        (6, 0, "ok"),
        (5, 1, "ok"),
    ]
    manifest = json.loads(Path("run/manifest.json").read_text())
    cells = {cell["cell"]: cell["id"] for cell in manifest["cells"]}
    means = {
        name: {path.stem: np.load(path)["frames"].mean() for path in Path("run/clips", cells[name]).glob("*.npz")}
        for name in ("works", "loses")
    }
    assert set(means["works"]) - set(means["loses"]) == {"000003"}
    assert rows["loses"]["value"] == pytest.approx(np.mean(list(means["loses"].values())))
    (pair,) = (p for p in document["comparisons"] if p["metric"] == "brightness")
    both = [means["works"][i] - means["loses"][i] for i in means["loses"]]
    assert pair["n"] == 5 and pair["difference"] == pytest.approx(np.mean(both))
    assert "clip 3: latent not finite at frame 2" in Path("run/report.html").read_text()
    before = len(made())
    assert toy("--ablation", "losing", "--out", "run").code == 1 and len(made()) == before
    assert toy("--ablation", "losing", "--out", "run", "--retry-failed").code == 1
    assert made()[before:] == ["1.0 3"]  # only what failed is tried again, and nothing is described anew


def test_shards_do_not_wait_for_clips_that_failed(toy):
    lost = toy("--ablation", "losing", "--out", "run", "--shard", "2/2")
    assert lost.code == 1 and "1 of 3 clips of loses failed (latent not finite at frame 2)" in lost.err
    last = toy("--ablation", "losing", "--out", "run", "--shard", "1/2", "--format", "json")
    assert last.code == 1 and {row["failed"] for row in json.loads(last.out)["rows"]} == {0, 1}


def test_a_cell_without_any_clip_is_a_row_that_says_why(toy):
    outcome = toy("--ablation", "losing", "--format", "json", "--set", "loses.lost=[0,1,2,3,4,5]")
    rows = {row["cell"]: row for row in json.loads(outcome.out)["rows"] if row["metric"] == "brightness"}
    assert outcome.code == 1 and "no clip came out: latent not finite at frame 2" in outcome.err
    assert rows["loses"]["value"] is None and rows["works"]["status"] == "ok"


def test_a_method_that_is_not_installed_is_a_row_that_says_how_to_get_it(toy):
    outcome = toy("--ablation", "absent", "--format", "json")
    rows = {row["cell"]: row for row in json.loads(outcome.out)["rows"] if row["metric"] == "brightness"}
    assert outcome.code == 0 and "pip install somebodys" in rows["other"]["status"]


def test_a_metric_without_what_it_needs_is_a_status(toy):
    arguments = ("--ablation", "noise", "--metrics", "needs-mask,brightness", "--format", "json")
    outcome = toy(*arguments, "--set", "noisy.masked=true")
    rows = {row["cell"]: row["status"] for row in json.loads(outcome.out)["rows"] if row["metric"] == "needs-mask"}
    assert rows["noise=little"] == "ok" and rows["real"] == "absent: this cell has no mask"


def test_report_says_which_metric_sees_which_flaw(toy):
    outcome = toy("--ablation", "noise", "--num-videos", 40)
    texts = [flaw["text"] for flaw in json.loads((run_folder() / "results.json").read_text())["flaws"]]
    assert "distance separates copy-first (no motion) from real: yes (intervals do not overlap)" in texts
    assert "brightness separates wrong-prompt (the wrong text) from real: no (intervals overlap at n = 40)" in texts
    assert "distance separates copy-first (no motion) from noise=little: yes (intervals do not overlap)" in texts
    assert texts[0] in (run_folder() / "report.html").read_text()
    assert "told from real clips at this n: copy-first by distance; not by brightness" in outcome.out


def test_plan_is_shown_before_the_work(toy):
    outcome = toy("--ablation", "noise")
    assert outcome.err.index("protocol toy@1") < outcome.err.index("clips: 30/30")
    assert "noise · noise=little (noisy): 6 clips to make" in outcome.err
    assert outcome.out.startswith("noise: brightness ")  # the finding first
    assert "paired differences" not in outcome.out
    assert "paired differences" in toy("--ablation", "noise", "--format", "long").out


def test_a_metric_that_raises_is_a_status_a_file_and_exit_1(toy):
    outcome = toy("--ablation", "noise", "--metrics", "raises,brightness", "--format", "json", "--out", "run")
    rows = json.loads(outcome.out)["rows"]
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert {row["status"] for row in rows if row["metric"] == "raises"} == {
        "failed: ZeroDivisionError: division by zero"
    }
    assert {row["status"] for row in rows if row["metric"] == "brightness"} == {"ok"}
    # the same command asks a metric again
    assert outcome.err.splitlines()[-1].endswith("the rest is in run; what was raised is in its faults/")
    faults = sorted(Path("run/faults/metrics").iterdir())
    cells = {path.stem for path in Path("run/cells").glob("*.json")}
    assert {path.name for path in faults} == {f"raises.{cell}.txt" for cell in cells}
    line, trace = faults[0].read_text(encoding="utf-8").split("\n\n", 1)
    assert line == "failed: ZeroDivisionError: division by zero" and 'raise ZeroDivisionError("division' in trace
    assert toy("--ablation", "noise", "--metrics", "brightness", "--out", "run").code == 0
    assert not list(Path("run/faults").rglob("*.txt"))


def test_the_work_of_a_sweep_runs_in_another_process(toy, tmp_path):
    """What is sent to other machines: the same plugins are loaded there, and the same clips are made."""
    import pickle

    from artv_eval.plugins.manager import PluginManager, PluginOptions
    from artv_eval.plugins.recipe import recipe
    from artv_eval.sweep.generate import GenerationWork

    toy("--ablation", "noise", "--out", "whole")
    manager = PluginManager(PluginOptions(folders=(str(Path(__file__).parents[1] / "toy"),)))
    method = recipe(manager, "methods", "noisy", {"strength": 2.0}).named()
    work = GenerationWork(
        manager=manager, protocol=recipe(manager, "protocols", "toy@1").named(), num=6, frames=None, seed=0,
        run=Path("parts"), runtime={"device": "cpu"}, on_clip=lambda task: None,
    )  # fmt: skip
    Path("parts").mkdir()  # which the sweep has made, and every machine sees
    Path("sent").write_bytes(pickle.dumps((work, Task(cell="abc", method=method, indices=(1, 4)))))
    script = "import pickle; work, task = pickle.load(open('sent', 'rb')); assert work(task).clips == 2"
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    manifest = json.loads(Path("whole/manifest.json").read_text())
    little = next(cell["id"] for cell in manifest["cells"] if cell["cell"] == "noise=little")
    for index in (1, 4):
        here, there = (
            np.load(f"{run}/{index:06d}.npz")["frames"] for run in (f"whole/clips/{little}", "parts/clips/abc")
        )
        assert np.array_equal(here, there)


def test_report_says_how_many_clips_a_difference_takes(toy, cli):
    toy("--ablation", "noise", "--metrics", "brightness")
    cells = {c["cell"]: c["id"] for c in json.loads((run_folder() / "manifest.json").read_text())["cells"]}
    little, much = (
        np.array([np.load(path)["frames"].mean() for path in sorted((run_folder() / "clips" / cells[name]).iterdir())])
        for name in ("noise=little", "noise=much")
    )
    spread = (little - much).std(ddof=1)
    outcome = cli("report", run_folder(), "--power", f"brightness={spread / 4}")
    # (t of 127 degrees: 1.979 + 0.844)² · 4² = 127.5
    assert "between noise=little and noise=much takes 128 clips a cell" in " ".join(outcome.out.split())
    for asked, message in (
        ("brightness", "must be METRIC=SIZE"), ("bright=1", "did you mean brightness"), ("brightness=nan", "nan"),
        ("brightness=1e-300", "1e-300"), ("brightness=0", "brightness=0"), ("brightness=-1", "brightness=-1"),
    ):  # fmt: skip
        wrong = cli("report", run_folder(), "--power", asked)
        assert wrong.code == 2 and message in wrong.err


def test_doctor_says_which_protocols_need_a_folder(cli):
    found = {item["name"]: item for item in json.loads(cli("doctor", "--json").out)["protocols"]}
    assert found["shapes@1"]["works"]
    assert not found["ucf101@lavie"]["works"] and "protocol.root=FOLDER" in found["ucf101@lavie"]["reason"]


@pytest.mark.parametrize("library", ["numpy", "torch", "gpu"])
def test_out_of_memory_makes_batches_smaller_and_the_clips_the_same(toy, made, library):
    outcome = toy("--ablation", "eating", "--out", "run", "--format", "json", "--set", f"hungry.library={library}")
    rows = {row["cell"]: row["value"] for row in json.loads(outcome.out)["rows"] if row["metric"] == "brightness"}
    assert outcome.code == 0 and rows["hungry"] == rows["modest"]
    assert "out of memory with 6 clips at once; 3 from now on" in outcome.err and "; 1 from now on" in outcome.err
    more = ("--num-videos", 16, "--batch-size", 4, "--metrics", "brightness", "--set", f"hungry.library={library}")
    before = made().count("batch 1")
    assert toy("--ablation", "eating", "--out", "run", *more).code == 0
    # of the 10 that are left: 4, 2, and then one by one, in later tasks too
    assert [made().count(f"batch {n}") for n in (6, 3, 4, 2, 1)] == [1, 1, 1, 1, before + 10]


def test_sweeps_on_one_folder_share_the_work(toy, made, tmp_path):
    """Three processes at once make each clip once, and all give the same table."""
    tests = Path(__file__).parents[1]
    command = ["artv_eval", "sweep", "--plugins-dir", tests / "toy", "--protocol", "toy@1"]
    command += ["--ablation", "noise", "--num-videos", "20", "--batch-size", "4", "--out", "run", "--format", "json"]
    started = [start(*command) for _ in range(3)]
    ended = [process.wait() for process in started]
    assert [process.returncode for process in ended] == [0, 0, 0]
    tables = [json.loads(process.stdout)["rows"] for process in ended]
    assert tables[0] == tables[1] == tables[2]
    clips = [line for line in made() if line.startswith(("2.0", "40.0"))]
    assert len(clips) == len(set(clips)) == 40


def test_work_elsewhere_begins_where_the_sweep_did_and_says_that_its_folder_is_not_there(tmp_path, monkeypatch):
    import pickle

    from artv.errors import WorkFailed
    from artv_eval.plugins.manager import PluginManager, PluginOptions
    from artv_eval.sweep.generate import GenerationWork

    monkeypatch.chdir(tmp_path)
    work = GenerationWork(
        manager=PluginManager(PluginOptions()), protocol={}, num=1, frames=None, seed=0, run=Path("run"), runtime={}
    )
    sent = pickle.dumps(work)
    monkeypatch.chdir("/")
    arrived = pickle.loads(sent)
    assert Path.cwd() == tmp_path and arrived.run == tmp_path / "run"
    with pytest.raises(WorkFailed, match="all machines must share it"):
        _ = arrived.store

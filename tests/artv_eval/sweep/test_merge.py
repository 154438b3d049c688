"""Results do not depend on where the work is done: serial, shards, shards merged, machines without the run folder."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval import Task
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.plugins.recipe import recipe
from artv_eval.results.store import RunStore
from artv_eval.sweep.generate import GenerationWork, Sent
from artv_eval.sweep.work import SeesFolder

TOY = Path(__file__).parents[1] / "toy"
NOISE = ("--ablation", "noise", "--format", "json", "--set", "noisy.masked=true")


def frames_of(run):
    """(cell, index) → frames, of a run folder."""
    return {(path.parent.name, path.stem): np.load(path)["frames"] for path in Path(run, "clips").glob("*/*.npz")}


def assert_same_clips(one, other):
    a, b = frames_of(one), frames_of(other)
    assert a.keys() == b.keys() and len(a) == 30 and all(np.array_equal(a[key], b[key]) for key in a)


@pytest.fixture
def apart(toy, made):
    """A whole sweep, and three shards of it, each in a folder and a store of its own."""
    rows = json.loads(toy(*NOISE, "--out", "whole", "--store", "store-0").out)["rows"]
    for i in (1, 2, 3):
        outcome = toy(*NOISE, "--out", f"part-{i}", "--store", f"store-{i}", "--shard", f"{i}/3")
        assert outcome.code == 0 and json.loads(outcome.out)["rows"] == []
    Path("made.log").unlink()
    return rows


def test_merged_shards_are_the_whole(apart, cli, made):
    outcome = cli("--plugins-dir", TOY, "merge", "part-1", "part-2", "part-3", "--out", "merged", "--format", "json")
    assert outcome.code == 0 and json.loads(outcome.out)["rows"] == apart
    assert not [line for line in made() if not line.startswith("describe")]
    assert_same_clips("whole", "merged")
    manifest = json.loads(Path("merged/manifest.json").read_text(encoding="utf-8"))
    assert all(sum(cell["made_on"].values()) == 6 and "not noted" not in cell["made_on"] for cell in manifest["cells"])


def test_mistakes_of_a_merge_are_one_line(apart, cli, toy):
    def merged(*runs, out="merged"):
        outcome = cli("--plugins-dir", TOY, "merge", *runs, "--out", out)
        assert outcome.code == 2 and "Traceback" not in outcome.err
        return outcome.err

    assert "2 clips of noise=little are in none of these folders (the first is 2)" in merged("part-1", "part-2")
    assert "one of the shards; give another folder" in merged("part-1", "part-2", out="part-1")
    toy(*NOISE, "--num-videos", 8, "--out", "other", "--store", "store-4", "--shard", "1/3")
    assert "other is no shard of the sweep of part-1: its number of clips is 8, not 6" in merged("part-1", "other")
    assert "nowhere" in merged("part-1", "nowhere")


def test_four_shards_in_one_folder_and_one_process_make_the_same_clips(toy):
    whole = json.loads(toy(*NOISE, "--out", "whole", "--store", "store-0").out)
    for i in (1, 2, 3, 4):
        shard = toy(*NOISE, "--out", "parts", "--shard", f"{i}/4", "--batch-size", 2)
    assert json.loads(shard.out)["rows"] == whole["rows"]
    assert_same_clips("whole", "parts")


@pytest.fixture
def work(toy, tmp_path):
    """Work of a sweep that was sent, with a task of it."""
    toy(*NOISE, "--out", "whole")
    manager = PluginManager(PluginOptions(folders=(str(TOY),)))
    Path("run").mkdir()
    RunStore(Path("run")).identify()
    work = GenerationWork(
        manager=manager, protocol=recipe(manager, "protocols", "toy@1").named(), num=6, frames=None, seed=0,
        run=Path("run"), runtime={"device": "cpu"},
    )  # fmt: skip
    method = recipe(manager, "methods", "loses", {"lost": (4,)}).named()
    return work, Task(cell="abc", method=method, indices=(1, 4, 5))


def test_where_the_run_folder_cannot_be_seen_clips_come_with_the_answer(work, tmp_path):
    sent, task = work
    Path("sent").write_bytes(pickle.dumps((sent, SeesFolder(Path("run")), task)))
    Path("run").rename("out-of-sight")
    script = "import pickle; w, sees, t = pickle.load(open('sent', 'rb')); r = [w(t), sees(t)]; "
    script += "pickle.dump(r, open('answer', 'wb'))"
    subprocess.run([sys.executable, "-c", script], check=True)
    Path("out-of-sight").rename("run")
    answer, sees = pickle.loads(Path("answer").read_bytes())
    assert isinstance(answer, Sent) and sees is False and SeesFolder(Path("run"))(task) is True
    assert not Path("run/clips").exists() and answer.result.clips == 3
    store = RunStore(Path("run"))
    store.unpack(answer.files)
    assert store.missing("abc", range(6)) == [0, 2, 3, 4] and list(store.failures("abc", range(6))) == [4]
    assert set(store.made_on("abc")) == {1, 4, 5}
    sent(Task(cell="here", method=task.method, indices=(1, 5)))
    for index in (1, 5):
        assert np.array_equal(store.load_clip("abc", index).frames, store.load_clip("here", index).frames)


def test_other_code_elsewhere_is_told_in_a_line(work, monkeypatch):
    sent = pickle.dumps(work[0])
    monkeypatch.setattr("artv_eval.sweep.work.__version__", "9.9")
    with pytest.raises(UserError, match=r"has artv 9\.9 .*begun by artv .*install the same on all machines"):
        pickle.loads(sent)

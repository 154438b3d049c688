"""A batch that fails in one shard costs no other shard's clips, and the exit code of its own says so."""

import json
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "toy"
BREAKING = ("--ablation", "breaking", "--no-sanity", "--batch-size", 1)  # its clip 3 raises


def clips(run):
    return {path.stem[-1] for path in Path(run, "clips", cell()).glob("*.npz")}


def cell():
    manifest = json.loads(next(Path().glob("*/manifest.json")).read_text(encoding="utf-8"))
    return next(item["id"] for item in manifest["cells"] if item["cell"] == "fails")


def test_the_exit_code_of_a_shard_says_what_failed_and_the_other_makes_all_its_clips(toy):
    lost = toy(*BREAKING, "--out", "run", "--shard", "2/2")  # 1, 3, 5
    assert lost.code == 1 and "shard 2/2: 1 of 3 clips of fails failed (RuntimeError: out of luck)" in lost.err
    assert "faults/ of run, --retry-failed tries again" in lost.err and clips("run") == {"1", "5"}
    toy(*BREAKING, "--out", "run", "--shard", "1/2")
    assert clips("run") == {"0", "1", "2", "4", "5"}


def test_what_is_tried_again_is_what_failed_alone(toy, monkeypatch):
    whole = toy(*BREAKING, "--out", "run", "--format", "json")
    assert whole.code == 1 and clips("run") == {"0", "1", "2", "4", "5"}
    row = next(row for row in json.loads(whole.out)["rows"] if row["cell"] == "fails")
    assert row["value"] is None and row["n"] == 0  # five of six are not what its name says
    notes = json.loads(Path("run/results.json").read_text(encoding="utf-8"))["notes"]
    said = "fails: 1 of 6 clips could not be made, so that it has no value; --retry-failed makes that one alone"
    assert said in notes
    monkeypatch.setenv("TOY_MENDED", "1")
    assert "1 clip to make" in toy(*BREAKING, "--out", "run", "--retry-failed", "--dry-run").out
    mended = toy(*BREAKING, "--out", "run", "--retry-failed", "--format", "json")
    assert mended.code == 0 and {row["n"] for row in json.loads(mended.out)["rows"]} == {6}


@pytest.mark.parametrize("mended", [False, True])
def test_merged_shards_keep_faults_with_their_traces(toy, cli, monkeypatch, mended):
    for i in (2, 1):
        toy(*BREAKING, "--out", f"part-{i}", "--store", f"store-{i}", "--shard", f"{i}/2")
    one = cli("--plugins-dir", TOY, "merge", "part-2", "--out", "merged")
    assert one.code == 2 and "3 clips of works are in none of these folders (the first is 0)" in one.err
    if mended:
        monkeypatch.setenv("TOY_MENDED", "1")
        assert toy(*BREAKING, "--out", "part-2", "--store", "store-2", "--shard", "2/2", "--retry-failed").code == 0
    outcome = cli("--plugins-dir", TOY, "merge", "part-2", "part-1", "part-2", "--out", "merged", "--format", "json")
    assert outcome.code == (0 if mended else 1), outcome.err
    if not mended:
        assert "RuntimeError: out of\nluck" in Path(f"merged/faults/{cell()}.txt").read_text(encoding="utf-8")
        assert clips("merged") == {"0", "1", "2", "4", "5"}

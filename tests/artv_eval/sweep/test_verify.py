"""A run is verified: what is the same is said so; damage, other code and other devices are found and named."""

import json
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "toy"
RUN = ("--ablation", "noise", "--out", "run")


@pytest.fixture
def verified(cli):
    def call(*arguments):
        outcome = cli("--plugins-dir", TOY, "verify", "run", "--json", *arguments)
        return outcome, {check["what"]: check for check in json.loads(outcome.out)}

    return call


def test_the_manifest_holds_what_a_run_is_made_again_from(toy):
    toy(*RUN, "--set", "noisy.steps=7", "--metrics", "brightness", "--batch-size", 4)
    manifest = json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))
    plan = {"ablations": ["noise"], "protocol": "toy@1", "num_videos": 6, "metrics": ["brightness"], "out": "run"}
    assert manifest["plan"] == {**plan, "set": ["noisy.steps=7"], "batch_size": 4}
    assert all(len(state["commit"]) >= 40 for state in manifest["git"]) and set(manifest["seconds"]) == {
        "trainings",
        "clips",
        "scores",
    }
    (cell, *_) = manifest["cells"]
    ((place, clips),) = cell["made_on"].items()
    assert clips == 6 and place.startswith(manifest["machine"]["hardware"]) and len(cell["maker"]) == 8


@pytest.mark.parametrize("executor", [(), ("--executor", "gpus", "--set", "executor.processes=1")])
def test_a_run_that_is_what_it_says(toy, verified, executor):
    toy(*RUN, *executor)
    outcome, checks = verified("--sample", 5)
    assert outcome.code == 0 and all(check["same"] for check in checks.values())
    assert {name.split(" of ")[1] for name in checks if name.endswith("made again")} == {
        "noise=little, made again", "noise=much, made again", "real, made again",
        "copy-first, made again", "wrong-prompt, made again",
    }  # fmt: skip
    assert {"protocol", "prompts, seeds and sizes", "metric brightness", "6 stored clips of noise=much"} <= set(checks)


@pytest.mark.parametrize(("index", "sample"), [(3, 0), (0, 10)])
def test_a_damaged_clip_is_found_and_the_other_checks_are_made(toy, verified, index, sample):
    toy(*RUN)
    path = next(Path("run/clips").glob(f"*/{index:06d}.npz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    outcome, checks = verified("--sample", sample)
    assert len([what for what in checks if what.endswith("made again")]) == sample  # of a damaged one another
    (wrong,) = [check for check in checks.values() if not check["same"]]
    assert outcome.code == 1 and "6 stored clips" in wrong["what"] and "1 damaged or gone: " in wrong["why"]
    assert "Traceback" not in outcome.err


def test_clips_that_do_not_repeat_are_named_with_what_may_be_why(toy, verified, monkeypatch):
    toy(*RUN)
    monkeypatch.setenv("TOY_SHIFT", "3")
    _, checks = verified("--sample", 5)
    wrong = {name: check["why"] for name, check in checks.items() if not check["same"]}
    assert set(wrong) == {"clip 0 of noise=little, made again", "clip 0 of noise=much, made again"}
    assert all("up to 3 grey levels; hardware, versions and code are the same" in why for why in wrong.values())
    for notes in Path("store/made").glob("*.jsonl"):
        lines = [{**json.loads(line), "device": "NVIDIA B300"} for line in notes.read_text().splitlines()]
        notes.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, checks = verified("--sample", 5)
    assert "it was made on NVIDIA B300, this is " in checks["clip 0 of noise=much, made again"]["why"]


def test_a_run_without_a_plan_is_one_line(toy, cli):
    toy(*RUN)
    manifest = json.loads(Path("run/manifest.json").read_text())
    Path("run/manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k not in ("plan", "sha256")}))
    outcome = cli("--plugins-dir", TOY, "verify", "run")
    assert outcome.code == 2 and "older than plans in manifests" in outcome.err and len(outcome.err.splitlines()) == 1

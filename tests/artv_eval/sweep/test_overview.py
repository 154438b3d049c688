"""What a plan promises of clips that failed before."""

import json
from pathlib import Path


def test_a_lone_cell_that_fails_has_its_table_at_once_and_plans_do_not_promise_its_clips(toy):
    command = ("--ablation", "baselines", "--set", 'baselines.names=["breaks"]', "--no-sanity", "--out", "run")
    first, again = toy(*command, "--format", "json"), toy(*command, "--format", "json")
    assert first.code == again.code == 1 and json.loads(first.out) == json.loads(again.out)
    assert {row["status"] for row in json.loads(first.out)["rows"]} == {"failed: RuntimeError: out of luck"}
    assert json.loads(Path("run/manifest.json").read_text())["state"] == "finished"
    assert "(breaks): 3 clips failed before, which --retry-failed tries again" in toy(*command, "--dry-run").out
    assert "(breaks): 3 clips to make" in toy(*command, "--dry-run", "--retry-failed").out


def test_a_shard_is_promised_its_own_clips(toy):
    command = ("--ablation", "noise", "--no-sanity", "--out", "run")  # 6 clips a cell
    for shard, own in (("1/4", 2), ("4/4", 1)):
        plan = toy(*command, "--shard", shard, "--dry-run").out
        assert f"6 clips a cell ({own} by shard {shard}) of" in plan and plan.count(f": {own} clip") == 2
    toy(*command, "--shard", "1/4")
    cells = json.loads(toy(*command, "--shard", "1/4", "--dry-run", "--format", "json").out)["cells"]
    assert [cell["finished"] for cell in cells] == [2, 2] and "finished" in toy(
        *command, "--shard", "1/4", "--dry-run"
    ).out


def test_a_plan_says_which_columns_of_the_prompts_are_not_used(cli, tmp_path):
    (tmp_path / "p.csv").write_text("prompt,seed,fps\na red circle,7,24\na blue square,9,24\n", encoding="utf-8")
    asked = ("--protocol", "long@rolling-forcing", "--prompts", tmp_path / "p.csv")
    plan = cli("sweep", "--ablation", "baselines", *asked, "--dry-run").out
    assert f"{tmp_path / 'p.csv'}: 1 column not used (fps): the card says length, size and rate" in plan

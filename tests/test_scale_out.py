"""The files that docs/scale_out.md gives to Ray's launcher and to Slurm, as far as one machine can try them."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from artv_eval.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scale_out.md").read_text(encoding="utf-8")


def block(first: str) -> str:
    """The fenced block that begins with these words."""
    return next(text for text in re.findall(r"^```\w+[^\n]*\n(.*?)^```", PAGE, re.M | re.S) if text.startswith(first))


def test_the_launcher_takes_the_cluster_file():
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = util.prepare_config(yaml.safe_load(block("# cluster.yaml")))
    util.validate_config(config)
    workers = config["available_node_types"]["local.cluster.node"]
    assert config["provider"]["type"] == "local" and workers["max_workers"] == 2


@pytest.mark.parametrize("task", [1, 8])
def test_the_array_script_runs_a_shard_of_the_plan(task, tmp_path, capsys):
    script, plan = tmp_path / "study.sbatch", tmp_path / "study.yaml"
    script.write_text(block("#!/bin/bash"), encoding="utf-8")
    plan.write_text(block("# study.yaml"), encoding="utf-8")
    # what srun would start, a word a line
    slurm = f"SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_COUNT=8; srun() {{ printf '%s\\n' \"$@\"; }}"
    run = f"set -eu; {slurm}; . {shlex.quote(str(script))}"
    done = subprocess.run(["bash", "-c", run], capture_output=True, encoding="utf-8", check=True)
    program, *words = done.stdout.splitlines()
    assert program == "artv-eval" and words[words.index("--shard") + 1] == f"{task}/8"
    here = {"study.yaml": str(plan), "cuda": "cpu", "/shared/runs/study": str(tmp_path / "run")}
    with pytest.raises(SystemExit) as end:
        main([*(here.get(word, word) for word in words), "--num-videos", "8", "--dry-run"])
    listed = capsys.readouterr()
    assert not end.value.code and "cells · four three_term.text=2" in listed.out, listed.err

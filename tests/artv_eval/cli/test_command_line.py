"""The command line as a process: completion, exit codes, what is imported, and that packages depend one way."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artv_eval.plugins.manager import PluginManager
from tests.warm import run, start

ROOT = Path(__file__).parents[3]
TOY = Path(__file__).parents[1] / "toy"
PROGRAM = [sys.executable, "-c", "from artv_eval.cli import main; main()"]


GRID = {name: () for name in ("copy-noised", "drop-rates", "start-share", "weight-cap")}
GRID["training-grid"] = ("--grid", "training.weight_cap=1,2")
"""What is compared by training only, with what it needs beside."""
LISTED = ("--set", "cells.cells=[{name: four, settings: {steps: 4}}, {name: six, settings: {steps: 6}}]")


@pytest.mark.parametrize("ablation", PluginManager().names("ablations"))
def test_every_built_in_ablation_can_be_planned(cli, ablation):
    if ablation == "anchor" and not (ROOT / "artv" / "assets" / "model_no_anchor").is_dir():
        outcome = cli("sweep", "--ablation", ablation, "--dry-run")
        assert outcome.code == 0 and "packaged weights 'shapes:no-anchor' are not in this installation" in outcome.out
        return
    trained = ("--train", "--train-seeds", 2, "--train-steps", 4, *GRID[ablation]) if ablation in GRID else ()
    if trained:
        refused = cli("sweep", "--ablation", ablation, "--dry-run")
        assert refused.code == 2 and len(refused.err.splitlines()) == 1
    listed = LISTED if ablation == "cells" else ()
    outcome = cli("sweep", "--ablation", ablation, "--dry-run", *trained, *listed)
    assert outcome.code == 0, outcome.err
    frames = 48 if ablation == "mask" else 16  # its packaged twins are of long clips
    assert f"20 clips a cell of {frames} frames, 64×64 at 8 fps" in outcome.out and f"{ablation} · real" in outcome.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sweep", "--ablation", "mask"], "mask-switched"),
        (["sweep", "--metrics", "fvd,clips"], "fvd,clipsim"),
        (["plugins", "show", "dpm"], "dpmpp_2m"),
        (["--plugins-dir", str(TOY), "sweep", "--ablation", "noi"], "noise"),
        (["sweep", "--plugins-dir", str(TOY), "--metrics", ""], "brightness"),
        (["swe"], "sweep"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_shell_completes_component_names(words, expected, shell):
    handed = {
        "bash": {"COMP_WORDS": " ".join(["artv-eval", *words]), "COMP_CWORD": str(len(words))},
        "fish": {"_TYPER_COMPLETE_ARGS": " ".join(["artv-eval", *words]), "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    environment = {**os.environ, **handed[shell], "_ARTV_EVAL_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=False)
    assert expected in done.stdout.split(), done


HEEDS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""A test run started in the background would hand down that SIGINT is ignored."""


def test_an_interrupt_ends_in_one_line_and_130_and_the_same_command_continues(tmp_path):
    """Ctrl-C, for real, while clips are being made."""
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "slow.py").write_text(
        "import time\nfrom artv_eval import CellSpec, Component, GeneratedClip, hookimpl\n\n"
        "@hookimpl\ndef register_methods():\n    return [Component('slow', f'{__name__}:Slow', 'x')]\n\n"
        "@hookimpl\ndef register_ablations():\n    return [Component('slowly', f'{__name__}:slowly', 'x')]\n\n"
        "class Slow:\n    def generate(self, requests):\n        for request in requests:\n"
        "            yield GeneratedClip(request.real)\n            time.sleep(0.2)\n\n"
        "def slowly():\n    return lambda context: [CellSpec(name='a', method='slow')]\n"
    )
    command = ["sweep", "--plugins-dir", str(TOY), "--plugins-dir", str(slow), "--protocol", "toy@1",
               "--ablation", "slowly", "--num-videos", "8", "--out", "run", "--format", "json"]  # fmt: skip
    running = start("-c", HEEDS + PROGRAM[-1], *command, cwd=tmp_path)
    clips = tmp_path / "run" / "clips"
    deadline = time.monotonic() + 60
    while not list(clips.glob("*/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    ended = running.wait()
    out, err = ended.stdout, ended.stderr
    kept = {path: path.stat().st_mtime_ns for path in clips.glob("*/*.npz")}
    assert ended.returncode == 130 and out == "" and "Traceback" not in err, err
    assert "the same command continues" in err.strip().splitlines()[-1]
    assert 0 < len(kept) < 8
    again = run("artv_eval", *command, cwd=tmp_path)
    assert again.returncode == 0 and len(list(clips.glob("*/*.npz"))) == 8
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_imports_run_one_way():
    """plugins/* → artv_eval → artv."""
    for file in (ROOT / "artv").rglob("*.py"):
        assert "artv_eval" not in set(imports_of(file)), file
    plugins = {package.parent.name for package in (ROOT / "plugins").glob("*/*/__init__.py")}
    assert plugins >= {"artv_diffusers", "artv_example", "artv_vbench"}
    for file in (*(ROOT / "artv").rglob("*.py"), *(ROOT / "artv_eval").rglob("*.py")):
        assert not plugins & set(imports_of(file)), file

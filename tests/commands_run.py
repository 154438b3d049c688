"""Every command of the README and the docs runs, made small, in the order of the pages; CI does this beside the suite.

    uv run pytest -n 0 tests/commands_run.py

What one command leaves the next ones find. Where a machine lacks what a command needs, it must say so in one line.
"""

import os
import re
import shlex
import shutil
import signal
import sys
import threading
from importlib import import_module

import pytest
from distributions import Site, build_wheel

from artv_eval.cli import plugin_options
from tests.documented import FENCED, PROGRAMS, ROOT, Command, found

# What makes a command small; of an option that is given twice the last one counts.
SMALLER = {
    "artv data shapes": "--num 4 --frames 16",
    "artv train": "--steps 1 --batch-size 2 --clips 2 --config small.yaml",
    "artv-eval efficiency": "--frames 2",
    "artv sample": "--frames 3 --steps 1",
    "artv-eval sweep": "--num-videos 2",
    "artv-eval plan show": "--no-probe --num-videos 2",
    "artv-eval power": "--metric flicker",
    "artv-eval verify": "--sample 1",
    "artv-eval serve": "--port 0",
}  # fmt: skip
TRAINED = shlex.split("--train-seeds 1 --train-steps 2 --set training.clips=4 --set training.model.batch_size=2")
FIRST = "artv-eval sweep --ablation mask --num-videos 2 --steps 2 --frames 2 --metrics flicker --store runs/store"

ENVIRONMENT = {"WANDB_MODE": "offline", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "8"}

# What the one line says where something is not there.
LACKS = {
    "gpu": "this machine has 0 GPUs|shard-1/manifest.json does not exist|runs/mine is no training run|"
    "runs/both' does not exist",
    "weights": "are absent|SD21BASE|latents does not exist",
    "data": "does not exist|is no folder|are absent",
}
# Why commands of other programs are not run here.
ELSEWHERE = {
    "pip install uv": "the first step of .ci/run",
    "bash .ci/run": "CI is that command",
    "uv run pytest": "the suite is a step of .ci/run",
    "git clone": "CI begins with a clone",
    "cd artv": "CI begins in it",
    "uv sync": "each uv run of .ci/run syncs",
    "uv run --group docs mkdocs serve": ".ci/run builds the same pages with broken links as errors",
    "python -m venv": "an environment of its own takes 5.5 GB; CI's is made by uv",
    ". .venv": "as above",
    "pip install -e PATH": "as above",
    'pip install -e "my-idea': "here: it is built and installed",
    "python -m pytest my-idea": "tests/artv_eval/plugins/test_scaffold.py runs a new plugin's tests",
    "ray up": "benchmarks/ray_up.sh: three machines of namespaces",
    "ray job": "as above",
    "ray down": "as above",
    "srun": "takes a Slurm cluster",
}  # fmt: skip

ONCE = list({command.line: command for command in [*FENCED[::-1]]}.values())[::-1]  # where it stands first

CARD = """{name: mine@1, title: mine, source: here, prompts: {dataset: file, split: all, text: caption, number: 2},
frames: {number: 4, fps: 8, height: 64, width: 64}, first_frame: false, reference: {dataset: none, split: all},
features: {extractor: shapes}, clip: {extractor: shapes-clip}, metrics: [flicker]}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the pages' commands take for granted, and the working folder of all of them."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        write_files(folder)
        assert run([*FIRST.split(), "--out", "RUN"]) == 0
        for shard in "12":
            assert run([*FIRST.split(), "--out", f"SHARD{shard}", "--shard", f"{shard}/2"]) == 0
        for name in ("RUN2", "runs/mask-0e566109"):
            shutil.copytree("RUN", name)  # what the pages call any run folder
        yield Site(folder / "site", patch)


def write_files(folder):
    """Settings, a study, a card, prompts, a model of somebody else's, plugins, clips and pictures."""
    from PIL import Image

    scale_out = (ROOT / "docs" / "scale_out.md").read_text(encoding="utf-8")
    plugins = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    program = ROOT / "plugins" / "artv-example" / "programs"
    theirs = (program / "shake.yaml").read_text(encoding="utf-8").replace("python,", f"{sys.executable},")
    texts = {
        "mine.yaml": "artv: {ref_noise: uniform}",
        "small.yaml": "{autoencoder: {batch_size: 2}, text_encoder: {batch_size: 2}}",
        "STUDY.yaml": "ablations: [mask]",
        "study.yaml": re.findall(r"```yaml\n(# study.yaml\n.*?)```", scale_out, flags=re.DOTALL)[0],
        "CARD.yaml": CARD,
        "shake.py": (program / "shake.py").read_text(encoding="utf-8"),
        "my-plugins/text_dropout.py": re.findall(
            r"## An ablation of what is learnt.*?```python\n(.*?)```", plugins, flags=re.DOTALL
        )[0],
        "DIR/captions.csv": "file,caption\n0.mp4,a red circle moves left\n",
        **dict.fromkeys(["prompts.txt", "FILE.txt"], "a red circle moves left\na blue star spins\n"),
        **dict.fromkeys(["theirs.yaml", "FILE.yaml"], theirs),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    Image.new("RGB", (64, 64), "blue").save(folder / "first.png")
    assert run(["artv", "sample", "--frames", "16", "--steps", "1", "--prompt", "clip", "--out", "DIR/0.mp4"]) == 0


def run(words):
    """Exit code of a command in this process; where it would go on for ever, Ctrl-C comes after a second."""
    ends = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    if "serve" in words:
        ends.start()
    try:
        sys.argv = words
        import_module(PROGRAMS[words[0]]).main()
    except SystemExit as end:
        return end.code or 0
    finally:
        ends.cancel()
    return 0


def small(command: Command) -> list[str]:
    """The words of a command that takes as little time as it can."""
    words = [os.path.expandvars(word).replace("fvd=", "flicker=") for word in command.words]
    name, _ = found([words[0], *(plugin_options(words[1:])[1] if words[0] == "artv-eval" else words[1:])])
    words += [] if "--cells" in words else SMALLER.get(name, "").split()  # which take the run's own size
    if name == "artv-eval sweep":
        own_steps = "--grid" in words or "study.yaml" in words
        given = "artv.steps" in command.line
        words = words if own_steps else [re.sub(r"^(artv\.steps)=.*", r"\1=2", word) for word in words]
        words += [] if own_steps or given else ["--steps", "2"]
        words += TRAINED if "--train-seeds" in words else []
        like_first = "--out" in words and "--protocol" not in words  # what other commands compare
        words += [] if "fvd" in command.line else ["--frames", "2"]
        words += [] if "--metrics" in words and not like_first else ["--metrics", "flicker"]
    return words


@pytest.mark.parametrize("command", ONCE, ids=lambda command: f"{command.page}: {command.line[:70]}")
def test_command(command, place, capfd):
    """It ends well, or says in one line what this machine lacks."""
    if command.line.startswith('pip install -e "my-idea'):
        place.install_wheels(build_wheel(place.root.parent / "my-idea", place.root.parent / "dist"))
    if not command.ours:
        pytest.skip(next(why for start, why in ELSEWHERE.items() if command.line.startswith(start)))
    words, _, target = " ".join(map(shlex.quote, small(command))).partition(" '>' ")
    capfd.readouterr()
    code, said = run(shlex.split(words)), capfd.readouterr()
    if target:
        (place.root.parent / target).write_text(said.out, encoding="utf-8")
    if command.needs in LACKS or (command.needs == "packages" and "pip install" in said.err):
        assert code == 2 and re.search(LACKS.get(command.needs, "which is not installed"), said.err), said.err
        assert len(said.err.splitlines()) == 1 and not said.out, said
    else:
        assert code == 0, f"{words}\n{said.err[-2000:]}"

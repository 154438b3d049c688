"""The commands as a user types them: real processes, real files."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from artv.data.readers import open_video, read_video
from artv.data.shapes import ShapesWorld


def run(*command, cwd=None, **environment):
    """A command in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)], capture_output=True, text=True, cwd=cwd, env=env, timeout=300
    )


@pytest.mark.parametrize("module", ["artv.cli", "artv_eval.cli"])
def test_help_imports_no_torch(module):
    code = (
        f"import sys; from {module} import main; sys.argv = ['x', '--help']\n"
        "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("False False")


def test_imports_run_one_way():
    done = subprocess.run([sys.executable, ".ci/imports.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_data_train_resume_sample(tmp_path):
    made = run("artv", "data", "shapes", "--out", tmp_path / "d", "--num", 4)
    assert made.returncode == 0, made.stderr
    train = ["artv", "train", "--preset", "shapes", "--data", tmp_path / "d", "--out", tmp_path / "run"]
    train += ["--steps", 2, "--batch-size", 2, "--components", "shapes", "--device", "cpu"]
    first = run(*train)
    assert first.returncode == 0, first.stderr
    assert "model: 2/2 loss" in first.stderr and "samples/s" in first.stderr
    again = run(*train, "--resume")
    assert again.returncode == 0 and "2 steps" in again.stderr
    other = run(*train, "--no-mask")
    assert other.returncode == 2 and "mask = True, not False" in other.stderr and "Traceback" not in other.stderr
    clip, masks = tmp_path / "clip.mp4", tmp_path / "masks.png"
    sample = ["artv", "sample", "--checkpoint", tmp_path / "run" / "pipeline", "--frames", 3, "--steps", 2]
    done = run(*sample, "--prompt", "a red circle moves left", "--out", clip, "--save-masks", masks)
    assert done.returncode == 0, done.stderr
    assert len(open_video(clip)) == 3 and Image.open(masks).width > 200


def test_sample_from_an_image_and_several_prompts(tmp_path):
    image = ShapesWorld("test").clip(4).frames[0]
    Image.fromarray(image).save(tmp_path / "first.png")
    command = ["artv", "sample", "--prompt", "a red circle moves left", "--prompt", "a red circle moves up"]
    command += ["--image", tmp_path / "first.png", "--frames", 2, "--steps", 1, "--out", tmp_path / "clip.mp4"]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    clip = read_video(tmp_path / "clip.mp4")
    assert clip.shape == (4, 64, 64, 3)
    assert np.abs(clip[0].astype(int) - image).mean() < 10  # autoencoder and H.264


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sample", "--prompt", "x", "--out", "clip.avi"], "must end in .mp4 or .gif"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--checkpoint", "shapes:no-such"], "did you mean"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--frames", "0"], "frames is 0"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--image", "none.png"], "none.png does not exist"),
        (["sample", "--prompt", "x", "--out", "/proc/c.mp4"], "cannot write"),
        (
            ["sample", "--prompt", "x", "--out", "c.mp4", "--checkpoint", "shapes:no-mask", "--save-masks", "m.png"],
            "no mask",
        ),
        (["train", "--preset", "shap", "--out", "r"], "did you mean shapes"),
        (["train", "--preset", "shapes", "--out", "r", "--data", "nowhere"], "nowhere does not exist"),
        (["train", "--preset", "shapes", "--out", "r", "--resume"], "nothing to resume"),
        (["train", "--preset", "paper", "--out", "r"], "--init SD-2.1-base"),
        (["train", "--preset", "shapes", "--out", "r", "--steps", "0"], "steps is 0"),
        (["data", "shapes", "--out", "d", "--num", "0"], "num is 0"),
        (["data", "shapes", "--out", "d", "--num", "1", "--split", "val"], "one of test, train"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--steps", "0"], "steps is 0"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--sampler", "eulr"], "did you mean euler"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--guidance", "tex=1"], "did you mean text"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--frames", "1", "--save-masks", "m.png"], "at least 2 frames"),
        (["train", "--preset", "shapes", "--out", "/proc/r"], "cannot write"),
        (["train", "--preset", "shapes", "--out", "r", "--stages", "modle"], "did you mean model"),
        (["train", "--preset", "paper", "--out", "r", "--init", "nowhere"], "nowhere is not a folder"),
        (["data", "latents", "--data", "builtin", "--out", "d"], "--init"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, command, message):
    done = run("artv", *command, cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    told = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in told if line.startswith("import time:")}
    lines = [line for line in told if line.strip() and not line.startswith("import time:")]
    assert done.returncode == 2, done.stderr
    assert "typer" in imported and "torch" not in imported  # a mistake is told at once
    assert len(lines) == 1 and not list(tmp_path.iterdir())
    assert message in lines[-1] and "Traceback" not in done.stderr


def test_a_full_disk_is_one_line(tmp_path):
    done = run("artv", "data", "shapes", "--out", tmp_path, "--num", 1, cwd=tmp_path)
    assert done.returncode == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "captions.csv").symlink_to("/dev/full")
    done = run("artv", "data", "shapes", "--out", tmp_path / "full", "--num", 1)
    assert done.returncode == 1 and "disk full" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "full" / "000000.mp4").exists()

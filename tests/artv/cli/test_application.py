"""The commands as a user types them: real processes, real files."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from artv.cli import main
from artv.data.captions import captioned_clips
from artv.data.clips import ClipFiles, batches
from artv.data.readers import open_video, read_video
from artv.data.shapes import ShapesWorld
from artv.errors import UserError, WorkFailed
from artv.presets import PAPER, SHAPES, check_source
from artv.requests import check_writable
from artv.video import write_video
from tests.warm import run


def python(*command, cwd=None, **environment):
    """A command as it is typed, imports and all."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)], capture_output=True, text=True, cwd=cwd, env=env, timeout=300
    )


@pytest.mark.parametrize("module", ["artv.cli", "artv_eval.cli"])
def test_help_imports_no_torch(module):
    code = (
        f"import sys; from {module} import main; sys.argv = ['x', '--help']\n"
        "try: main()\nexcept SystemExit: pass\nprint({'torch', 'pandas', 'rich.markdown'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("set()")


def test_a_group_alone_shows_its_help():
    done = python("artv", "data")
    assert done.returncode == 2 and "Commands:" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_is_told_in_one_line(monkeypatch, capsys):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr("artv.cli.train_command.train_command", interrupted)
    monkeypatch.setattr(sys, "argv", ["artv", "train", "--preset", "shapes", "--out", "r"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130 and "run the same command again" in capsys.readouterr().err


def test_imports_run_one_way():
    done = subprocess.run([sys.executable, ".ci/imports.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_data_train_resume_sample(tmp_path):
    made = python("artv", "data", "shapes", "--out", tmp_path / "d", "--num", 4)
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
        (
            ["train", "--preset", "shapes", "--out", "r", "--steps", "0"],
            "steps = 0: input should be greater",
        ),
        (["data", "shapes", "--out", "d", "--num", "0"], "num is 0"),
        (["data", "shapes", "--out", "d", "--num", "1", "--split", "val"], "one of test, train"),
        (
            ["sample", "--prompt", "x", "--out", "c.mp4", "--steps", "0"],
            "steps is 0",
        ),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--sampler", "eulr"], "did you mean euler"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--guidance", "tex=1"], "did you mean text"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--frames", "1", "--save-masks", "m.png"], "at least 2 frames"),
        (["train", "--preset", "shapes", "--out", "/proc/r"], "cannot write"),
        (["train", "--preset", "shapes", "--out", "r", "--stages", "modle"], "did you mean model"),
        (["train", "--preset", "paper", "--out", "r", "--init", "nowhere"], "nowhere is not a folder"),
        (["data", "latents", "--data", "builtin", "--out", "d"], "--init"),
        (["data", "shapes", "--out", "d", "--num", "2", "--seed", "-1"], "seed is -1; it must be at least 0"),
        (["sample", "--prompt", "x", "--out", "c.mp4", "--seed", "-1"], "seed is -1"),
        (["train", "--preset", "shapes", "--out", "r", "--seed", str(2**32)], "less than or equal to 4294967295"),
        (["sample", "--out", "c.mp4"], "artv sample: missing option '--prompt'; see artv sample --help"),
        (["data", "shapes", "--out", "d", "--num", "x"], "artv data shapes: invalid value for '--num'"),
        (["train", "--presets", "shapes"], "artv train: no such option: --presets"),
        (["sampl"], "artv: no such command 'sampl'"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, command, message):
    done = python("artv", *command, cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    told = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in told if line.startswith("import time:")}
    lines = [line for line in told if line.strip() and not line.startswith("import time:")]
    assert done.returncode == 2, done.stderr
    assert "typer" in imported and "torch" not in imported  # a mistake is told at once
    assert len(lines) == 1 and not list(tmp_path.iterdir())
    assert message in lines[-1] and "Traceback" not in done.stderr


def test_a_full_disk_is_one_line_and_what_was_made_can_be_used(tmp_path):
    (tmp_path / "000001.motion.png").symlink_to("/dev/full")
    done = run("artv", "data", "shapes", "--out", tmp_path, "--num", 3)
    assert done.returncode == 1 and "disk full" in done.stderr and "Traceback" not in done.stderr
    assert [row.path.name for row in captioned_clips(tmp_path)] == ["000000.mp4"]


def test_a_place_that_cannot_be_written_says_why(tmp_path):
    (tmp_path / "file.csv").touch()
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=r"file\.csv is a file, not a folder"):
        check_writable(tmp_path / "file.csv" / "b" / "a.mp4")
    with pytest.raises(UserError, match=r"folder\.mp4: it is a folder"):
        check_writable(tmp_path / "folder.mp4")


def test_processes_that_ask_at_once_do_not_trip_over_each_other(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(check_writable, [tmp_path / "run" / "config.json"] * 2_000))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_training_run_given_as_checkpoint_names_its_pipeline(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "model_index.json").touch()
    with pytest.raises(UserError, match=f"is a training run; give the pipeline in it: {tmp_path / 'pipeline'}"):
        check_source(str(tmp_path))


def test_readme_says_how_many_steps_a_preset_takes():
    assert f"{SHAPES.steps} for `shapes`, {PAPER.steps} for `paper`" in Path("README.md").read_text()


def test_unreadable_clips_are_left_out_by_name_or_refused(tmp_path):
    rows = [(f"{i:02d}.mp4", "a red circle") for i in range(20)]
    (tmp_path / "captions.csv").write_text("file,caption\n" + "".join(f"{file},{text}\n" for file, text in rows))
    write_video(tmp_path / "00.mp4", ShapesWorld(num_frames=16).clip(0).frames)
    for file, _ in rows[1:]:
        (tmp_path / file).write_bytes((tmp_path / "00.mp4").read_bytes())
    (tmp_path / "07.mp4").write_text("no video")
    train = ["artv", "train", "--preset", "shapes", "--data", tmp_path, "--components", "shapes", "--stages", "model"]
    train += ["--steps", 1, "--batch-size", 1, "--device", "cpu", "--out", tmp_path / "run"]
    done = run(*train)
    told = [line for line in done.stderr.splitlines() if line.startswith("artv: ")]
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    assert len(told) == 1 and "left out (1 of 20 clips cannot be read)" in told[0] and "07.mp4" in told[0]
    (tmp_path / "08.mp4").write_bytes(b"")
    done = run(*train)
    assert done.returncode == 2 and "2 of 20 clips" in done.stderr and "more than the 5%" in done.stderr
    assert sum(line.startswith("artv: ") for line in done.stderr.splitlines()) == 1


def test_an_error_of_a_worker_is_the_line_that_it_was_there(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\na.mp4,x\n")
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(WorkFailed) as caught:
        list(batches(ClipFiles(tmp_path), [[0]], torch.device("cpu")))
    assert str(caught.value).startswith(f"video {tmp_path / 'a.mp4'} cannot be read")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fps", "reason"),
    [
        ("x.mp4", "nan", "fps is nan"),
        ("x.mp4", "inf", "fps is inf"),
        ("x.mp4", "-1", "fps is -1"),
        ("x.mp4", "0", "fps is 0"),
        ("x.gif", "1e9", "fps is 1e+09; of a .gif file it must be at least 0.01 and at most 100"),
        ("x" * 252 + ".mp4", "8", "its name has 256 bytes; give it at most 255"),
        ("é" * 126 + ".mp4", "8", "its name has 256 bytes"),
    ],
)
def test_what_can_be_known_of_the_clip_is_checked_before_it_is_made(tmp_path, capsys, monkeypatch, name, fps, reason):
    monkeypatch.setattr("artv.cli.sample_command._load", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr(sys, "argv", ["artv", "sample", "--prompt", "x", "--out", str(tmp_path / name), "--fps", fps])
    with pytest.raises(SystemExit) as end:
        main()
    code, error = end.value.code, capsys.readouterr().err
    assert code == 2 and reason in error and error.count("\n") == 1 and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--fps", "1e9"], "fps is 1e+09"),
        (["--fps", "1e-9"], "fps is 1e-09"),
        (["--height", "0"], "height is 0"),
        (["--width", "-8"], "width is -8"),
        (["--guidance", ""], "'--guidance': is ''"),
        (["--guidance", "text=1,text=2"], "guidance gives text twice"),
        (["--guidance", "text=nan"], "text is nan"),
        (["--device", "cpu:99"], "--device is 'cpu:99'"),
        (["--device", "cpu:"], "--device is 'cpu:'"),
        (["--prompt", ""], "'--prompt': is ''"),
        (["--frames", "1000000000"], "frames is 1000000000"),
        (["--steps", "1000000000"], "steps is 1000000000"),
    ],
)
def test_what_means_nothing_is_refused_before_a_model_is_loaded(tmp_path, capsys, monkeypatch, given, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("artv.cli.sample_command._load", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.setattr(sys, "argv", ["artv", "sample", "--prompt", "x", "--out", "x.mp4", *given])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and reason in error and error.count("\n") == 1 and not any(tmp_path.iterdir())


def test_a_pipe_as_the_first_frame_is_not_waited_for(tmp_path, capsys, monkeypatch):
    os.mkfifo(tmp_path / "first.png")
    for option in (["--image", str(tmp_path / "first.png")], ["--anchor", f"image:{tmp_path / 'first.png'}"]):
        monkeypatch.setattr(sys, "argv", ["artv", "sample", "--prompt", "x", "--out", str(tmp_path / "x.mp4"), *option])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert "first.png is a pipe or a device; give a file" in capsys.readouterr().err

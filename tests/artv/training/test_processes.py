"""Training in two real processes (gloo): the same as one with the whole batch, and one writer."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import yaml

from artv.data.clips import write_shapes
from artv.errors import UserError
from artv.training import processes
from artv.training.config import load_config
from artv.training.launch import launch_training
from tests.artv.data.test_shards import toy_shards
from tests.warm import ranks, run, start_ranks

HALVES = Path(__file__).parent / "halves.py"
ACCELERATE = ["accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1,
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0]  # fmt: skip


@pytest.mark.parametrize(
    ("precision", "reduced", "apart"), [("fp32", "fp32", 1e-6), ("bf16", "fp32", 1e-3), ("bf16", "bf16", 1e-3)]
)
def test_two_halves_are_one_whole(precision, reduced, apart, tmp_path):
    """In bf16 weights are converted in one pass, and their gradients exchanged after it, or before it."""
    both = ranks(HALVES, tmp_path / "two", precision, reduced, cwd=tmp_path)
    for process in (*both, run(HALVES, tmp_path / "one", precision, reduced)):
        assert process.returncode == 0, process.stderr
    one, two = (torch.load(tmp_path / name / "result.pt") for name in ("one", "two"))
    assert torch.equal(*two["weights"])
    torch.testing.assert_close(two["weights"][0], one["weights"][0], atol=apart, rtol=0)
    assert two["loss"] == pytest.approx(one["loss"], rel=10 * apart)  # the mean over both
    start = torch.full((1, 3), 0.5)
    assert (one["weights"][0] - 1).norm() < 0.2 * (start - 1).norm()


def test_one_process_that_accumulates_trains_as_two_do(tmp_path):
    """The same clips and noise: equal but for the order of sums."""
    toy_shards(tmp_path / "shards", clips=24, clips_a_shard=4)
    script = HALVES.with_name("accumulated.py")
    both = ranks(script, tmp_path / "shards", tmp_path / "two", cwd=tmp_path)
    for process in (*both, run(script, tmp_path / "shards", tmp_path / "one")):
        assert process.returncode == 0, process.stderr
    one, two = (torch.load(tmp_path / name / "result.pt") for name in ("one", "two"))
    torch.testing.assert_close(two["weight"], one["weight"], atol=1e-5, rtol=1e-4)
    assert mean_loss(tmp_path / "two") == pytest.approx(mean_loss(tmp_path / "one"), rel=1e-3)


def mean_loss(out):
    """Over all steps: how many are told together is the clock's choice."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert sum(row["samples"] for row in rows) == 50 * 8
    return sum(row["loss"] * row["samples"] for row in rows) / (50 * 8)


def test_leaving_ends_every_thread_of_the_exchange(tmp_path):
    def threads():
        return len(list(Path("/proc/self/task").iterdir()))

    for turn in range(2):  # and can be entered again
        dist.init_process_group("gloo", init_method=f"file://{tmp_path / str(turn)}", rank=0, world_size=1)
        processes._host_group()
        within = threads()
        with pytest.raises(UserError, match="gaussian"):
            launch_training(
                load_config("shapes", ref_noise="gaussian:1"), tmp_path / "run", stages=["model"],
                components=None, init=None, revision=None, device="cpu",
            )  # fmt: skip
        assert not dist.is_initialized() and threads() < within


def test_train_and_resume_in_two_processes(tmp_path):
    train = ["artv", "train", "--preset", "shapes", "--out", "run", "--clips", 8, "--steps", 3, "--batch-size", 2]
    train += ["--components", "shapes", "--stages", "model", "--device", "cpu"]
    stopped = run(*ACCELERATE, "-m", *train, "--minutes", 0.0001, cwd=tmp_path)  # which starts Python twice
    assert stopped.returncode == 0, stopped.stderr
    assert "1 steps" in stopped.stderr and "run the same command to continue" in stopped.stderr
    resumed = ranks(*train, "--resume", cwd=tmp_path)
    told = "".join(process.stderr for process in resumed)
    assert [process.returncode for process in resumed] == [0, 0], told
    for stderr in (stopped.stderr, told):
        assert stderr.count("sample from it with") == 1 and "Warning" not in stderr
        (shown,) = re.findall(r"settings, kept in run/config.json:\n(\{.*?\}\})\n", stderr, re.DOTALL)
    assert yaml.safe_load(shown) == json.loads((tmp_path / "run" / "config.json").read_text()) | {"reader": "decord"}
    assert told.count("model: 3/3 loss") == 1
    log = [json.loads(line) for line in (tmp_path / "run" / "model" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log][-1] == 3 and (tmp_path / "run" / "pipeline" / "model_index.json").is_file()
    random = torch.load(tmp_path / "run" / "model" / "state" / "optimizer.pt", weights_only=True)["random"]
    assert len(random) == 2 and not torch.equal(random[0]["cpu"], random[1]["cpu"])


def test_a_failure_of_one_process_ends_all_without_a_traceback(tmp_path):
    """Like a full disk: what the main process would save to cannot be written."""
    train = ["artv", "train", "--preset", "shapes", "--out", "run", "--clips", 4, "--steps", 1, "--batch-size", 1]
    train += ["--components", "shapes", "--stages", "model", "--device", "cpu"]
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "state.new").touch()
    failed = ranks(*train, cwd=tmp_path)
    told = "".join(process.stderr for process in failed)
    assert [process.returncode for process in failed] == [1, 1] and "Traceback" not in told, told
    assert "cannot write run/model/state: " in told and "terminate called" not in told


def test_a_clip_that_breaks_off_in_one_process_ends_all_in_one_line_each(tmp_path):
    write_shapes(tmp_path / "clips", 4, num_frames=16)
    broken = tmp_path / "clips" / "000003.mp4"  # of the second process
    data = bytearray(broken.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)  # the index is whole
    broken.write_bytes(data)
    train = ["artv", "train", "--preset", "shapes", "--data", "clips", "--out", "run", "--steps", 2, "--batch-size", 2]
    train += ["--components", "shapes", "--stages", "model", "--device", "cpu"]
    failed = ranks(*train, cwd=tmp_path)
    told = "".join(process.stderr for process in failed)
    assert [process.returncode for process in failed] == [1, 1], told
    assert "000003.mp4 breaks off while reading" in told and told.count("artv: ") == 2, told
    assert "Traceback" not in told and "[rank" not in told and "Connection closed" not in told


def begun(out: Path, rank: int) -> list[int]:
    """Numbers of the steps that a rank began."""
    return sorted(int(file.name.split("-")[1]) for file in out.glob(f"{rank}-*"))


def training(out: Path):
    """Two processes that train, when both have begun a fourth step."""
    out.mkdir()
    both = start_ranks(HALVES.with_name("waiting.py"), out, out.parent, cwd=out)
    for _ in range(1000):
        if min(len(begun(out, rank)) for rank in (0, 1)) > 3:
            return both
        time.sleep(0.05)
    raise AssertionError([process.wait() for process in both])


def test_a_signal_to_one_of_two_saves_and_one_that_is_killed_ends_both(tmp_path):
    both = training(tmp_path / "first")
    os.kill(both[1].pid, signal.SIGTERM)
    ends = [process.wait() for process in both]
    step = json.loads((tmp_path / "toy" / "state" / "step.json").read_text())["step"]
    assert step == begun(tmp_path / "first", 0)[-1] + 1 == begun(tmp_path / "first", 1)[-1] + 1 > 3
    for end in ends:
        assert end.returncode == 130 and f"stopped and saved at step {step} of 1000000" in end.stderr
    both = training(tmp_path / "second")
    os.kill(both[1].pid, signal.SIGKILL)
    killed = time.monotonic()
    survivor, _ = both[0].wait(), both[1].wait()
    assert survivor.returncode == 1 and time.monotonic() - killed < 60
    assert survivor.stderr.count("artv: ") == 1 and "another process of this training has ended" in survivor.stderr
    assert begun(tmp_path / "second", 0)[0] == step  # the same command had gone on


def test_accelerates_cpu_launch_would_be_one_process(tmp_path):
    environment = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}  # what --cpu --num_processes 2 sets
    done = run("artv", "train", "--preset", "shapes", "--out", "run", cwd=tmp_path, **environment)
    assert done.returncode == 2 and "torchrun --nproc-per-node" in done.stderr and "Traceback" not in done.stderr

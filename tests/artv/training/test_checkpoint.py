"""Checkpoints: killed at any instant nothing is lost, damage is found and the state before is used, signals save."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from artv.errors import UserError
from artv.training.checkpoint import CHECKSUMS, load_state, save_state
from artv.training.ema import Ema
from tests.warm import run, start

KILLED, STEPS = Path(__file__).parent / "killed.py", 150


def result(out: Path) -> dict[str, torch.Tensor]:
    stored = torch.load(out / "result.pt", weights_only=True)
    return {f"{part}.{name}": value for part, values in stored.items() for name, value in values.items()}


def test_killed_at_random_instants_it_ends_with_the_same_weights(tmp_path):
    """States are written all the time, so most instants are within the writing of one."""
    assert run(KILLED, tmp_path / "imported", 1).returncode == 0
    started = time.monotonic()
    assert run(KILLED, tmp_path / "whole", STEPS).returncode == 0
    draw, whole = random.Random(0), time.monotonic() - started  # on a busy machine everything takes longer
    killed = 0
    for _ in range(14):
        process = start(KILLED, tmp_path / "killed", STEPS)
        time.sleep(draw.random() * 0.2 * whole)
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait().returncode == -signal.SIGKILL  # the others had ended before
    assert killed >= 6 and (tmp_path / "killed" / "state").exists()
    assert run(KILLED, tmp_path / "killed", STEPS).returncode == 0
    expected, actual = result(tmp_path / "whole"), result(tmp_path / "killed")
    assert all(torch.equal(actual[name], value) for name, value in expected.items()) and len(expected) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_say_how_to_go_on(tmp_path, number):
    process = start(KILLED, tmp_path, 10**6)
    for _ in range(6000):
        if (tmp_path / "state").exists():
            break
        time.sleep(0.01)
    os.kill(process.pid, number)
    said = process.wait().stderr.splitlines()[-1]
    step = json.loads((tmp_path / "state" / "step.json").read_text())["step"]
    assert said.endswith(f"stopped and saved at step {step} of 1000000; run the same command again to continue")


def two_states(folder: Path):
    """A model and optimiser, saved after one step and after two; and what they were after each."""
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 8)
    optimizer, ema, values = torch.optim.AdamW(model.parameters()), Ema(model), {}
    for step in (1, 2):
        model(torch.randn(4, 8)).square().mean().backward()
        optimizer.step()
        ema.update(0.5)
        save_state(folder, model, ema, optimizer, step)
        values[step] = [value.detach().clone() for value in everything(model, ema, optimizer)]
    return model, ema, optimizer, values


def loaded(folder: Path):
    model = torch.nn.Linear(8, 8)
    optimizer, ema = torch.optim.AdamW(model.parameters()), Ema(model)
    step = load_state(folder, model, ema, optimizer)
    return step, everything(model, ema, optimizer)


def everything(model, ema, optimizer) -> list[torch.Tensor]:
    moments = [moment for state in optimizer.state.values() for _, moment in sorted(state.items())]
    return [*model.parameters(), *ema.model.parameters(), *moments]


def damage(file: Path, draw: random.Random) -> None:
    """A flipped bit, a cut, an emptied file or another one's content."""
    data = bytearray(file.read_bytes())
    kind = draw.randrange(4)
    if kind == 0:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes([data, data[: draw.randrange(len(data))], b"", b"[]"][kind])


def test_damage_anywhere_is_found_and_the_state_before_is_used(tmp_path, capsys):
    values = two_states(tmp_path / "whole" / "state")[-1]
    names = sorted(path.name for path in (tmp_path / "whole" / "state").iterdir())
    assert len(names) == 6
    draw = random.Random(0)
    for turn in range(60):
        folder = tmp_path / "damaged" / "state"
        shutil.copytree(tmp_path / "whole", folder.parent)
        damage(folder / names[turn % len(names)], draw)
        step, actual = loaded(folder)
        said = capsys.readouterr().err
        if step == 1:
            assert "is damaged; going on from step 1" in said and said.count("\n") == 1
        else:  # the list of checksums itself may be damaged where that changes no meaning
            assert names[turn % len(names)] == CHECKSUMS and not said
        assert all(torch.equal(a, b) for a, b in zip(actual, values[step], strict=True))
        shutil.rmtree(folder.parent)


def test_two_damaged_states_are_one_line(tmp_path):
    two_states(tmp_path / "state")
    for name in ("state", "state.previous"):
        (tmp_path / name / "moments.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot resume from .*moments.safetensors.*train into another folder"):
        loaded(tmp_path / "state")


def test_states_of_before_there_were_checksums_are_continued(tmp_path):
    """One file for all of the optimiser, no checksums."""
    _, _, optimizer, values = two_states(tmp_path / "state")
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "state", old)
    for name in (CHECKSUMS, "moments.safetensors"):
        (old / name).unlink()
    torch.save({"optimizer": optimizer.state_dict(), "random": [{"cpu": torch.get_rng_state()}]}, old / "optimizer.pt")
    step, actual = loaded(old)
    assert step == 2 and all(torch.equal(a, b) for a, b in zip(actual, values[2], strict=True))


def test_a_rate_that_a_captured_step_reads_stays_the_same_tensor(tmp_path):
    """The rate of a captured step is a tensor on the device: loading must not put another one in its place."""
    model = torch.nn.Linear(2, 2)
    rate = torch.tensor(0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, foreach=False)
    save_state(tmp_path / "state", model, Ema(model), optimizer, 1)
    rate.fill_(0.1)
    load_state(tmp_path / "state", model, Ema(model), optimizer)
    assert optimizer.param_groups[0]["lr"] is rate and rate == 0.5


def test_moments_come_back_in_the_layout_of_their_weights(tmp_path):
    """The fused AdamW of a GPU, here a CPU's, refuses another one; networks train channels last."""
    model = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    ema, optimizer = Ema(model, 0.9), torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(1, 4, 5, 5)).square().sum().backward()
        optimizer.step()
    before = {p: {k: v.clone() for k, v in held.items()} for p, held in optimizer.state.items()}
    save_state(tmp_path / "state", model, ema, optimizer, 2)
    optimizer.load_state_dict({"state": {}, "param_groups": optimizer.state_dict()["param_groups"]})
    assert load_state(tmp_path / "state", model, ema, optimizer) == 2
    for parameter, held in optimizer.state.items():
        assert held["exp_avg"].stride() == held["exp_avg_sq"].stride() == parameter.stride()
        assert all(torch.equal(value, before[parameter][key]) for key, value in held.items())
    assert not model.weight.is_contiguous()
    optimizer.step()

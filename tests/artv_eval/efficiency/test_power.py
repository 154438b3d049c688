"""Power by counters that stand in files, as Linux has them: joules over seconds, and nothing where none can be read."""

import os
from types import SimpleNamespace

import pytest
import torch

from artv_eval.efficiency import power
from artv_eval.efficiency.power import PowerMeter, gpu_watts


@pytest.fixture
def counters(tmp_path, monkeypatch):
    """Packages' counters, in microjoules, and a clock."""
    clock = [100.0]
    monkeypatch.setattr(power, "RAPL", tmp_path)
    monkeypatch.setattr(power.time, "monotonic", lambda: clock[0])

    def write(name, value):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "energy_uj").write_text(str(value), encoding="utf-8")

    write.clock = clock
    return write


def test_watts_are_joules_of_all_packages_over_seconds(counters):
    counters("intel-rapl:0", 5_000_000)
    counters("intel-rapl:1", 1_000_000)
    counters("intel-rapl:0:0", 77)  # a part of package 0, which would count twice
    with PowerMeter("cpu") as meter:
        counters("intel-rapl:0", 65_000_000)
        counters("intel-rapl:1", 31_000_000)
        counters("intel-rapl:0:0", 999_000_000)
        counters.clock[0] += 2.0
    assert meter.watts == pytest.approx((60 + 30) / 2)


def test_a_counter_that_wrapped_is_no_measurement(counters):
    counters("intel-rapl:0", 900_000_000)
    with PowerMeter("cpu") as meter:
        counters("intel-rapl:0", 100)
        counters.clock[0] += 1.0
    assert meter.watts is None


def test_no_time_is_no_power(counters):
    counters("intel-rapl:0", 1)
    with PowerMeter("cpu") as meter:
        counters("intel-rapl:0", 2_000_000)
    assert meter.watts is None


@pytest.mark.parametrize("text", [None, "", "no number"])
def test_without_a_counter_nothing_is_said(counters, text):
    if text is not None:
        counters("intel-rapl:0", text)
    with PowerMeter("cpu") as meter:
        counters.clock[0] += 1.0
    assert meter.watts is None


def test_a_gpu_that_is_not_there_draws_nothing_that_is_known():
    assert gpu_watts("cuda:99") is None


def test_a_gpus_power_is_the_mean_of_its_readings(monkeypatch):
    readings = iter([100.0, 300.0])
    done = []

    def watts(device):
        value = next(readings, None)
        if value is None:
            done.append(device)
        return value

    monkeypatch.setattr(power, "gpu_watts", watts)
    monkeypatch.setattr(power, "EVERY", 0.001)
    with PowerMeter("cuda:1") as meter:
        meter._thread.join(10)  # ends when nothing more can be read
    assert meter.watts == 200.0 and done == ["cuda:1"]


@pytest.mark.parametrize(("text", "watts"), [("321.50", 321.5), ("[N/A]", None), ("", None)])
def test_the_drivers_program_is_asked_for_that_very_card(tmp_path, monkeypatch, text, watts):
    """A program of its name stands in for it."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/calls\necho "{text}"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"id-{index}"))
    assert gpu_watts("cuda:1") == watts
    assert "--id=GPU-id-1 --query-gpu=power.draw" in (tmp_path / "calls").read_text(encoding="utf-8")

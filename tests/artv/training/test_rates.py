"""How fast a training is said to be, against what was measured (benchmarks/results/training-h200/README.md)."""

import re

import pytest
import torch

from artv.errors import UserError
from artv.training import dry_run
from artv.training.config import load_config, with_loop
from artv.training.estimate import hours_of, kwh_of
from artv.training.rates import expected_speed

PAPER = load_config("paper")
APART = load_config("paper", stratified=False)


def at(config, batch, **loop):
    return with_loop(config, "model", batch_size=batch, **loop)


@pytest.mark.parametrize(
    ("config", "measured"),
    [
        (PAPER, 297.7),
        (APART, 276.3),
        (load_config("paper", attention_kernels="fa3"), 301.3),
        (at(load_config("paper", size=640), 32), 56.4),
        (at(load_config("paper", size=640, attention_kernels="fa3"), 32), 60.4),
        (load_config("shapes"), 25_000),
    ],
)
def test_what_was_measured_is_said_with_its_batch(config, measured):
    speed = expected_speed(config)
    assert speed.least == speed.most == pytest.approx(measured)
    assert speed.by == f"as measured at batch {config.model.batch_size}"


@pytest.mark.parametrize(("batch", "measured"), [(96, 260.9), (32, 209.8)])
def test_other_batches_are_by_the_line_that_measured_ones_lie_on(batch, measured):
    """Those steps and the one of 120, 268.1 samples/s, were made before passes over memory became fewer."""
    speed = expected_speed(at(APART, batch))
    assert speed.least == speed.most and speed.by.startswith("about: 276.3 were measured at batch 120; 45 ms a step")
    assert speed.least == pytest.approx(measured * 276.3 / 268.1, rel=0.02)


def test_batches_that_nothing_tells_of_are_a_range():
    speed = expected_speed(at(PAPER, 8))
    # a step of 8 takes its share of 120's at least, and at most as long as the smallest that was measured, or longer
    assert speed.least == pytest.approx(8 / (120 / 297.7)) and speed.most < expected_speed(at(PAPER, 32)).least
    assert speed.least < speed.most and speed.by == "measured at batch 120 alone"
    few = expected_speed(at(load_config("shapes"), 64))
    assert (few.least, few.most) == (pytest.approx(64 / (512 / 25_000)), pytest.approx(25_000))
    many = expected_speed(at(load_config("shapes"), 1024))
    assert many.least == many.most == pytest.approx(25_000) and many.by == "at least, as measured at batch 512"


def test_steps_that_are_not_captured_are_not_said_to_be_as_fast():
    captured = expected_speed(PAPER)
    for config in (at(PAPER, 120, graph=False), at(PAPER, 120, global_batch=480)):
        speed = expected_speed(config)
        assert (speed.least, speed.most) == (
            pytest.approx(189.4),
            captured.most,
        ) and "measured at batch 120" in speed.by
    assert expected_speed(with_loop(load_config("shapes"), "model", graph=False)) is None


def test_several_gpus_exchange_as_long_at_any_batch():
    """Four kept 95 % at 120 each."""
    four = expected_speed(with_loop(PAPER, "model", global_batch=480), 4)
    assert four.least == pytest.approx(4 * 0.95 * 297.7) and four.by == "as measured at batch 120"
    hours = hours_of(with_loop(PAPER, "model", global_batch=480), 4, four.least)
    assert hours == pytest.approx(258_000 * 480 / (4 * 0.95 * 297.7) / 3600) and kwh_of(hours, 4) == 4 * 0.7 * hours
    alone, small = expected_speed(at(PAPER, 32)), expected_speed(at(PAPER, 32), 4)
    assert 4 * 32 / small.least - 4 * 32 / (4 * alone.least) == pytest.approx(120 / 297.7 * (1 / 0.95 - 1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mask": False}, "with mask and anchor"),
        ({"attention_kernels": "fa3", "stratified": False}, "with attention_kernels auto"),
        ({"overlap": False}, "with fused_update and overlap"),
        ({"drop_ref": 0.4}, "with the preset's shares of dropped conditions"),
    ],
)
def test_what_the_measured_steps_had_is_named(changes, words):
    assert expected_speed(load_config("paper", **changes)).by == f"as measured at batch 120, {words}"


@pytest.mark.parametrize(
    "config",
    [
        load_config("paper", recompute=True),
        load_config("paper", fused=False),
        load_config("paper", size=512),
        with_loop(PAPER, "model", optimizer="adamw8bit"),
        with_loop(PAPER, "model", precision="fp32"),
    ],
)
def test_of_what_was_not_measured_nothing_is_said(config):
    assert expected_speed(config) is None


def test_a_plan_says_the_range_and_what_it_is_by(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(dry_run, "_card", lambda device: 80 << 30)
    config = with_loop(load_config("shapes", clips=12), "model", batch_size=64, steps=36_000)
    plan = {"components": "shapes", "init": None, "variant": None, "device": "cuda"}
    dry_run.dry_run(config, tmp_path, **plan)
    (time,) = re.findall("^time .*", capsys.readouterr().out, re.MULTILINE)
    assert time.split(maxsplit=1)[1] == (
        "0.0 to 0.2 hours at 3,125 to 25,000 samples/s, 0 kWh at 700 W a GPU (H200s); measured at batch 512 alone"
    )
    with pytest.raises(UserError, match="global batch is 100; it must be a multiple of 64"):
        dry_run.dry_run(with_loop(config, "model", global_batch=100), tmp_path, **plan)
    assert not torch.cuda.is_initialized()

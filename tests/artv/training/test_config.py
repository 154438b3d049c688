"""Settings of a training: every field of every class refuses what means nothing, in one line, before any work."""

import dataclasses
import math
import types
import typing

import pytest
import yaml

from artv.config import ModelConfig, NetworkConfig
from artv.errors import UserError
from artv.training.config import (
    PRESETS,
    LoopConfig,
    TrainConfig,
    code_version,
    for_cpu,
    load_config,
    with_changes,
    with_loop,
)

LOOP = {f"model.{name}": kind for name, kind in typing.get_type_hints(LoopConfig).items()}
RUN = {name: kind for name, kind in typing.get_type_hints(TrainConfig).items() if name in TrainConfig.model_fields}
FIELDS = {**LOOP, **{name: kind for name, kind in RUN.items() if kind not in (LoopConfig,)}}


def kinds(hint) -> set[type | str]:
    """The types that a field takes, ``literal`` for a choice."""
    if typing.get_origin(hint) is typing.Annotated:
        return kinds(typing.get_args(hint)[0])
    if typing.get_origin(hint) is typing.Literal:
        return {"literal"}
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*(kinds(each) for each in typing.get_args(hint)))
    return {hint}


def refused(tmp_path, name: str, value: object, preset: str = "shapes") -> str:
    *stage, key = name.split(".")
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump({stage[0]: {key: value}} if stage else {key: value}), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_config(preset, file)
    assert "\n" not in str(caught.value) and key in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "preset"])
def test_no_field_takes_what_means_nothing(tmp_path, name):
    bad: list[object] = [[1], {"a": 1}]
    if kinds(FIELDS[name]) & {int, float}:
        bad += [float("nan"), float("inf"), -1, "x", ""]
    if int in kinds(FIELDS[name]):
        bad += [1.5, True, 10**30]
    if kinds(FIELDS[name]) & {"literal", bool}:
        bad += ["nonsense", 7, ""]
    if ModelConfig in kinds(FIELDS[name]):
        bad += ["x", 3]
    assert all(name.split(".")[-1] in refused(tmp_path, name, value) for value in bad)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("model.schedule", "linear", "'constant' or 'cosine'"),
        ("model.precision", "fp8", "'fp32' or 'bf16'"),
        ("drop_text", 5, "less than or equal to 1"),
        ("size", 63, "multiple of 16"),
        ("model.ema_decay", 1, "less than 1"),
        ("model.steps", 0, "greater than or equal to 1"),
        ("modle", {}, "did you mean model"),
        ("model.lrr", 1, "lr"),
        ("model.global_batch", 0, "greater than or equal to 1"),
    ],
)
def test_the_line_says_what_is_allowed(tmp_path, name, value, allowed):
    assert allowed in refused(tmp_path, name, value)


@pytest.mark.parametrize(
    "changes",
    [{"heads": [3]}, {"channels": []}, {"norm_groups": 0}, {"attention": [True, False]}, {"layers": 0}, {"chanels": 1}],
)
def test_networks_that_cannot_be_built(tmp_path, changes):
    sizes = {"channels": [32], "heads": [2], "attention": [True], "layers": 1, "text_dim": 8, "out_channels": 4}
    values = {**sizes, "norm_groups": 8, **changes}
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump({"networks": {"dynamic": values, "mask": None}}), encoding="utf-8")
    with pytest.raises(UserError, match=f"{next(iter(changes))}|at least 1|unknown"):
        load_config("shapes", file)
    assert NetworkConfig(**{**sizes, "norm_groups": 8}).channels == [32]  # what was changed made the difference


def test_options_are_checked_as_yaml_is():
    with pytest.raises(UserError, match="minutes = nan"):
        with_loop(load_config("paper"), "model", minutes=float("nan"))
    with pytest.raises(UserError, match="size 352 must be a multiple of 64"):
        load_config("paper", size=352)


def test_numbers_as_yaml_has_them(tmp_path):
    """YAML 1.1 reads 1e-4 as text."""
    file = tmp_path / "x.yaml"
    file.write_text("model: {lr: 1e-4, minutes: 5}\ndrop_text: 0\n")
    config = load_config("shapes", file)
    assert config.model.lr == 1e-4 and config.model.minutes == 5 and config.drop_text == 0
    assert dataclasses.asdict(config.model)["lr"] == 1e-4


def test_a_global_batch_is_whole_batches_of_every_process():
    loop = with_loop(load_config("paper"), "model", batch_size=60, global_batch=480).model
    assert [loop.micro_batches(world) for world in (1, 2, 4, 8)] == [8, 4, 2, 1] and loop.samples(4) == 480
    with pytest.raises(UserError, match="global batch is 480; it must be a multiple of 3 × 60, what is held at once"):
        loop.micro_batches(3)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_cpu_gets_small_batches_and_no_autocast_unless_others_were_asked_for(preset):
    usual, config = load_config(preset), for_cpu(load_config(preset), {})
    for stage, most in (("autoencoder", 64), ("text_encoder", 64), ("model", 32)):
        assert getattr(config, stage).batch_size == min(most, getattr(usual, stage).batch_size)
        assert (
            getattr(config, stage).precision == "fp32" and getattr(config, stage).steps == getattr(usual, stage).steps
        )
    given = {"model": {"batch_size": usual.model.batch_size, "precision": "bf16"}, "seed": 3}
    asked = for_cpu(usual, given)
    assert asked.model == usual.model, "also what is the preset's own, where it is asked for"
    assert asked.autoencoder == config.autoencoder


@pytest.mark.parametrize(
    ("file", "changes", "length"),
    [
        ({}, {}, (16, None)),
        ({"world": 2}, {}, (48, 144)),
        ({}, {"world": 2}, (48, 144)),
        ({"world": 2, "num_frames": 5}, {}, (5, 144)),
        ({"num_frames": 5, "horizon": 9}, {"world": 2}, (5, 9)),
        ({"world": 2}, {"num_frames": 6}, (6, 144)),
        ({"horizon": 9}, {}, (16, 9)),
    ],
)
def test_lengths_of_the_second_world_are_its_own_unless_they_are_said(tmp_path, file, changes, length):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    config = load_config("shapes", tmp_path / "x.yaml", **changes)
    assert (config.num_frames, config.horizon) == length


def test_a_change_comes_before_the_file_and_the_file_before_the_preset(tmp_path):
    (tmp_path / "x.yaml").write_text("{drop_text: 0.3, seed: 5, model: {lr: 0.5}}", encoding="utf-8")
    config = load_config("shapes", tmp_path / "x.yaml", seed=6, drop_ref=None)
    preset = load_config("shapes")
    assert (config.drop_text, config.seed, config.drop_ref) == (0.3, 6, preset.drop_ref)
    assert config.model == dataclasses.replace(preset.model, lr=0.5), "beside it the preset's"


def test_nested_changes_leave_the_original_alone():
    config = load_config("shapes")
    other = with_changes(config, {"mask": False, "model": {"lr": 0.5}}, "test")
    assert (other.mask, other.model.lr) == (False, 0.5)
    assert other.sizes().mask is None and config == load_config("shapes") and config.sizes().mask is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modle": {}}, "config test: unknown setting 'modle'; did you mean model"),
        ({"model": {"lrr": 1}}, "unknown setting 'lrr'; did you mean lr"),
        ({"model": 3}, "model is 3; it must be a mapping"),
        ({"model": {"lr": "fast"}}, "setting model.lr = 'fast'"),
        ({3: 1}, "unknown setting '3'"),
    ],
)
def test_nested_changes_that_cannot_be(changes, words):
    with pytest.raises(UserError) as caught:
        with_changes(load_config("shapes"), changes, "test")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "size", "unit"),
    [
        ("shapes", 64, 16),
        ("shapes", 48, 16),
        ("shapes", 40, 16),
        ("paper", 320, 64),
        ("paper", 448, 64),
        ("paper", 328, 64),
    ],
)
def test_sizes_are_whole_cells_of_the_deepest_level(preset, size, unit):
    """The autoencoder's factor, 8 or 4, times 2 for each level below the first."""
    if size % unit:
        with pytest.raises(UserError, match=f"size {size} must be a multiple of {unit}"):
            load_config(preset, size=size)
    else:
        assert load_config(preset, size=size).size == size


@pytest.mark.parametrize("warmup", [0, 1, 10])
def test_a_rate_rises_over_its_warm_up(warmup):
    loop = with_loop(load_config("paper"), "model", warmup=warmup, lr=1.0).model
    assert [loop.lr_at(step) for step in range(12)] == pytest.approx(
        [min(1, (s + 1) / max(warmup, 1)) for s in range(12)]
    )


def test_a_cosine_ends_at_nothing_and_is_half_in_the_middle():
    loop = with_loop(load_config("shapes"), "model", steps=1000, warmup=1, lr=2.0).model
    assert loop.schedule == "cosine" and load_config("paper").model.schedule == "constant"
    expected = [2.0 * (1 + math.cos(math.pi * step / 1000)) / 2 for step in (0, 250, 500, 1000)]
    assert [loop.lr_at(step) for step in (0, 250, 500, 1000)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("mask", "anchor"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_switches_leave_parts_of_the_networks_out(mask, anchor):
    sizes = load_config("shapes", mask=mask, anchor=anchor).sizes()
    assert (sizes.mask is not None, sizes.anchor) == (mask, anchor)


@pytest.mark.parametrize("world", [1, 4])
def test_a_global_batch_that_is_no_multiple_says_what_is_held_at_once(world):
    loop = with_loop(load_config("paper"), "model", batch_size=30, global_batch=100).model
    with pytest.raises(UserError, match="multiple of 4 × 30" if world > 1 else "multiple of 30, what"):
        loop.micro_batches(world)


def test_samples_of_a_step():
    loop = with_loop(load_config("paper"), "model", batch_size=30).model
    assert [loop.samples(world) for world in (1, 4)] == [30, 120] and loop.micro_batches(4) == 1
    assert with_loop(load_config("paper"), "model", batch_size=30, global_batch=480).model.samples(4) == 480


def test_the_chance_of_a_stage_hangs_on_the_runs_seed():
    config = with_loop(load_config("shapes", seed=3), "model", seed=2)
    assert config.loop("model").seed == 5 and config.loop("autoencoder").seed == 3
    assert load_config("shapes").loop("model") == load_config("shapes").model
    seeded = [code_version(with_loop(load_config("shapes", seed=s), "model", global_batch=g)) for s, g in
              ((0, None), (3, None), (0, 512), (3, 512))]  # fmt: skip
    assert seeded == [1, 1, 1, 2]

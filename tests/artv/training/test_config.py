"""Settings of a training: every field of every class refuses what means nothing, in one line, before any work."""

import dataclasses
import types
import typing

import pytest
import yaml

from artv.config import ModelConfig, NetworkConfig
from artv.errors import UserError
from artv.training.config import LoopConfig, TrainConfig, load_config, with_loop

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

"""Every field of every YAML file of a user's, taken from its class, with what means nothing: one line, at once."""

import types
import typing

import pytest
import yaml
from pydantic import BaseModel

from artv.errors import UserError
from artv_eval.methods.command import Command, CommandFile
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.protocols.cards import CARDS, Card, from_yaml
from artv_eval.sweep.plan_file import SweepPlan, read_plan

MANAGER = PluginManager(PluginOptions())
CARD = yaml.safe_load((CARDS / "shapes@1.yaml").read_text(encoding="utf-8"))
FILES = {
    "card": (Card, CARD | {"clip": {"extractor": "clip"}}, from_yaml),
    "command": (CommandFile, {"program": ["true"]}, Command),
    "plan": (SweepPlan, {"ablations": ["mask"]}, lambda file: read_plan(MANAGER, file, {})),
}
LATER = {"plan.seed", "plan.num_videos", "plan.batch_size", "plan.seeds_per_prompt"}
"""Whose upper limit is the option's, told when it is prepared (``test_matrix.py``)."""


def kinds(hint):
    """The plain types that a field takes; ``literal`` for a choice, ``list`` for several values."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return kinds(inner[0])
    if origin in (types.UnionType, typing.Union):
        return set().union(*map(kinds, inner))
    return {{typing.Literal: "literal", list: "list", tuple: "list", dict: "dict"}.get(origin, hint)}


def fields(model, before=()):
    """Paths of all fields with the types that they take, those of models within too."""
    for name, field in model.model_fields.items():
        found = kinds(field.annotation)
        yield (*before, name), found
        for inner in (kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel)):
            yield from fields(inner, (*before, name))


def wrong(found):
    """Values that mean nothing where these types are due."""
    yield from [] if "dict" in found or typing.Any in found else [{"a": 1}]
    yield from [] if found & {"list", typing.Any} else [[1]]
    if found & {int, float} and not found & {str}:
        yield from (float("nan"), float("inf"), -float("inf"), -1, "x", "", True)
    if int in found and not found & {str}:
        yield from (1.5, 10**30)
    if found & {"literal", bool} and not found & {str}:
        yield from ("nonsense", "", *([] if int in found else [7]))
    if "list" in found:
        yield from (3, "x" if str not in found else 1.5)
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in found):
        yield from ("x", 3, {"no_such_field": 1})
    if str in found:
        yield True


def changed(values, path, value):
    name, *rest = path
    return {**values, name: changed(values.get(name) or {}, rest, value) if rest else value}


@pytest.mark.parametrize("kind", FILES)
def test_no_field_takes_what_means_nothing(tmp_path, kind):
    model, whole, read = FILES[kind]
    file, accepted, tried = tmp_path / "x.yaml", [], 0

    def given(values):
        file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        return read(str(file))

    given(whole)  # else anything would be refused
    for path, found in fields(model):
        for value in wrong(found):
            tried += 1
            if f"{kind}.{path[-1]}" in LATER and value == 10**30:
                continue
            try:
                given(changed(whole, path, value))
                accepted.append((".".join(path), value))
            except UserError as error:
                assert "\n" not in str(error) and path[-1] in str(error), (path, value, error)
    assert not accepted and tried > 30


@pytest.mark.parametrize("kind", FILES)
def test_a_field_that_there_is_not_is_named_with_the_closest(tmp_path, kind):
    model, whole, read = FILES[kind]
    name = next(iter(model.model_fields))
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({**whole, f"{name}x": 1}), encoding="utf-8")
    with pytest.raises(UserError, match=name):
        read(str(tmp_path / "x.yaml"))

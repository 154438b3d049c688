"""One meaning a word (``docs/glossary.md``): scanned for in the code, since nobody reads all of it for its words."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from artv import ArtVPipeline
from artv.denoiser import Denoiser
from artv.rollout import Sampling

ROOT = Path(__file__).parents[1]
NAMED = ("find", "recipe", "recipe_from", "named_component", "bare")
"""What finds a component by its name."""


def trees(*folders: str):
    """(place, tree) of each module."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "template" not in file.parts:
                yield file.relative_to(ROOT), ast.parse(file.read_text("utf-8"))


def names_of_components(tree: ast.AST) -> list[int]:
    """Lines where ``reference`` stands for a component's name: a text or mapping that is taken, or to find one by."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg == "reference" and node.annotation:
            kinds = {part.id for part in ast.walk(node.annotation) if isinstance(part, ast.Name)}
            lines += [node.lineno] * bool(kinds & {"str", "Mapping", "dict"})
        elif isinstance(node, ast.Call):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            said = {item.id for item in given if isinstance(item, ast.Name)}
            lines += [node.lineno] * (function in NAMED and "reference" in said)
    return lines


def test_such_a_reference_is_found():
    assert names_of_components(ast.parse("def f(kind, reference: str | None): ...")) == [1]
    assert names_of_components(ast.parse("x = 1\nmanager.find(kind, reference)")) == [2]
    assert names_of_components(ast.parse("def f(rows, reference: np.ndarray | None): evaluate(rows, reference)")) == []


def test_reference_is_never_a_components_name():
    assert [f"{place}:{line}" for place, tree in trees("artv", "artv_eval") for line in names_of_components(tree)] == []


def parameters(function) -> set[str]:
    return set(inspect.signature(function).parameters)


def test_a_setting_has_one_name_from_the_call_to_the_network():
    """What a frame is sampled by, ``Sampling``, is called in ``__call__`` and ``stream`` as it is there."""
    call, stream = parameters(ArtVPipeline.__call__), parameters(ArtVPipeline.stream)
    settings = {field.name for field in fields(Sampling)}
    assert len(settings) > 5 and settings <= call
    assert settings - stream == {"return_masks"}, "its frames have masks when details are asked for"
    assert {"mask", "use_mask"} <= parameters(Denoiser)


@pytest.mark.parametrize(
    "place", ["artv/pipeline.py", "artv/rollout.py", "artv/denoiser.py", "artv_eval/methods/artv.py"]
)
def test_masks_are_handed_on_by_no_other_name(place):
    tree = ast.parse((ROOT / place).read_text("utf-8"))
    handed = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg | ast.keyword) and node.arg}
    assert {name for name in handed if "mask" in name} <= {"mask", "masks", "use_mask", "return_masks"} | {
        name for name in handed if name.startswith(("mask_", "masks_")) and name.split("_")[1].isupper()
    }
    assert not handed & {"record", "record_masks", "mask_rule"}


def test_a_window_slides_along_a_clip_and_what_is_cut_out_of_a_picture_is_a_crop():
    """Nothing of the model is a window: patches, crops and excerpts have their own words."""
    named = [
        f"{place}: {node.name}"
        for place, tree in trees("artv/networks", "artv/accelerations", "artv/samplers")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and "window" in node.name.lower()
    ]
    assert named == []

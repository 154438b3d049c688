"""The contract tests pass on what is right: every component of ours, and there is one for every kind."""

import pytest
from PIL import Image

from artv.accelerations import SkipCopied
from artv.errors import UserError
from artv_eval import Component, testing
from artv_eval.ablations import cells
from artv_eval.methods.first_frames import FolderOfPictures
from artv_eval.methods.trivial import CopyFirst, Real
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.twins.ablations import training_grid


def built_in(kind):
    manager = PluginManager()
    return [pytest.param(manager.target(e), id=e.component.name) for e in manager.entries if e.kind == kind]


@pytest.mark.parametrize("sampler", built_in("samplers"))
def test_our_samplers_hold_the_contract(sampler):
    testing.check_sampler(sampler)


@pytest.mark.parametrize("guidance", [p for p in built_in("guidance") if p.id != "none"])
def test_our_guidance_holds_the_contract(guidance):
    testing.check_guidance(guidance)


@pytest.mark.parametrize("mask", built_in("masks"))
def test_our_mask_rules_hold_the_contract(mask):
    testing.check_mask(mask)


@pytest.mark.parametrize("levels", built_in("noise_levels"))
def test_our_noise_levels_hold_the_contract(levels):
    testing.check_ref_noise(levels)


@pytest.mark.parametrize("acceleration", built_in("accelerations"))
def test_our_accelerations_hold_the_contract(acceleration):
    settings = {"exact": {"threshold": 1.01}} if acceleration is SkipCopied else {}
    testing.check_acceleration(acceleration, **settings)


# image becomes a strategy in the pipeline, which encodes it: tests/artv/test_pipeline.py
@pytest.mark.parametrize("anchor", [p for p in built_in("anchors") if p.id != "image"])
def test_our_anchors_hold_the_contract(anchor):
    testing.check_anchor(anchor)


@pytest.mark.parametrize("captioned", [True, False])
def test_our_first_frames_hold_the_contract(tmp_path, captioned):
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (20, 30), colour).save(tmp_path / f"{i}.png")
    if captioned:
        (tmp_path / "captions.csv").write_text("file,caption\n0.png,a red circle\n1.png,a blue square\n")
    testing.check_first_frame(FolderOfPictures, settings={"path": str(tmp_path)})
    draw = FolderOfPictures(str(tmp_path))
    by_prompt = draw(["a blue square"], 8, 8, [0])
    assert (by_prompt == ((0, 0, 255) if captioned else (255, 0, 0))).all()


def test_first_frames_of_a_folder_name_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        FolderOfPictures(str(tmp_path))
    (tmp_path / "captions.csv").write_text("file,caption\nno.png,a red circle\n")
    with pytest.raises(UserError, match=r"no picture for the prompt 'a red circel'.*a red circle"):
        FolderOfPictures(str(tmp_path))(["a red circel"], 8, 8, [0])
    with pytest.raises(UserError, match=r"no\.png does not exist"):
        FolderOfPictures(str(tmp_path))(["a red circle"], 8, 8, [0])


@pytest.mark.parametrize("reader", built_in("readers"))
def test_our_readers_hold_the_contract(reader):
    testing.check_reader(reader)


@pytest.mark.parametrize("method", [Real, CopyFirst])
def test_our_trivial_methods_hold_the_contract(method):
    testing.check_method(method)


@pytest.mark.parametrize("ablation", [p for p in built_in("ablations") if p.id not in ("training-grid", "cells")])
def test_our_ablations_hold_the_contract(ablation):
    testing.check_ablation(ablation)


@pytest.mark.parametrize(
    ("ablation", "settings"),
    [
        (training_grid, {"fields": {"weight_cap": [1.0, 2.0]}}),
        (cells, {"cells": [{"name": "fast", "settings": {"steps": 4}}, {"name": "slow"}]}),
    ],
    ids=["training-grid", "cells"],
)
def test_our_ablations_that_must_be_told_what_to_vary_hold_the_contract(ablation, settings):
    testing.check_ablation(ablation, settings=settings)


def test_our_serial_executor_holds_the_contract():
    from artv_eval.executors.serial import SerialExecutor

    testing.check_executor(SerialExecutor)


def test_the_ray_executor_holds_the_contract():
    pytest.importorskip("ray", reason="ray is an optional dependency")
    from artv_eval.executors.ray import RayExecutor

    testing.check_executor(RayExecutor)


# the table of comparisons is no table of values: tests/artv_eval/report/test_hostile_text.py
@pytest.mark.parametrize("reporter", [p for p in built_in("reporters") if p.id != "csv-comparisons"])
def test_our_reporters_hold_the_contract(reporter):
    testing.check_reporter(reporter)


def test_there_is_a_contract_for_every_kind():
    for kind in KINDS.values():
        assert callable(getattr(testing, f"check_{kind.role}")), kind.name
        assert getattr(testing, f"check_{kind.role}").__doc__
    assert Component("a", "b:c", "d").argument is None

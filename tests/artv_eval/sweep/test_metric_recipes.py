"""Which settings a metric takes from the protocol: those that it has, a plugin's as ours."""

import numpy as np
import pytest

from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.plugins.recipe import build
from artv_eval.protocols.cards import load
from artv_eval.results.rows import OK
from artv_eval.sweep.assignments import Assignments
from artv_eval.sweep.metric_recipes import Conventions, changed_convention, metric_of, metric_recipe

PLUGIN = """
from artv_eval import Component, hookimpl
from artv_eval.features.base import TextImageExtractor

@hookimpl
def register_metrics():
    return [Component(name, f"{__name__}:{name}", name) for name in ("ofclips", "ofpictures", "without")]

def ofclips(*, feature="shapes", ddof=1):
    ...

def ofpictures(*, feature: TextImageExtractor | str = "shapes-clip"):
    ...

def without(*, ddof=1):
    ...
"""


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "theirs.py").write_text(PLUGIN)
    return PluginManager(PluginOptions(folders=(str(folder),)))


def settings(manager, name, card, features=None, changes=None):
    fixed = Conventions.of(load(card), features)
    return metric_recipe(manager, name, fixed, Assignments({name: changes or {}})).to_dict()["settings"]


def extractor(found):
    return found["feature"]["name"]


def test_metrics_of_clips_take_the_extractor_of_clips_whoever_brings_them(manager):
    for name in ("fvd", "fvd_infinity", "kvd", "window_fvd", "window_fvd_drift", "ofclips"):
        assert extractor(settings(manager, name, "ucf101@stylegan-v")) == "i3d-torchscript", name
        assert extractor(settings(manager, name, "ucf101@stylegan-v", features="videomae")) == "videomae", name
    assert settings(manager, "ofclips", "ucf101@stylegan-v")["ddof"] == 0


def test_metrics_of_pictures_take_the_encoder_of_pictures(manager):
    for name in ("clipsim", "clipsim_drift", "anchor_similarity", "anchor_drift", "frame_fid", "ofpictures"):
        found = settings(manager, name, "msrvtt@videopoet", features="videomae")
        assert extractor(found) == "clip" and found["feature"]["settings"]["model"] == "ViT-B-16", name


def test_each_takes_only_the_settings_that_it_has(manager):
    assert settings(manager, "without", "ucf101@stylegan-v") == {}, "not of an extractor, so none of its settings"
    assert (
        settings(manager, "fvd", "msrvtt@videopoet").items() >= {"subset": 2048, "repeats": 20, "first": 40_960}.items()
    )
    assert not {"subset", "repeats", "first"} & set(settings(manager, "window_fvd", "msrvtt@videopoet"))


def test_a_classifier_is_the_metrics_own(manager):
    own = {"inception_score": "c3d", "caption": "shapes", "caption_colour": "shapes", "caption_motion": "shapes"}
    for name, classifier in own.items():
        assert extractor(settings(manager, name, "msrvtt@videopoet", features="videomae")) == classifier


@pytest.mark.parametrize(
    ("card", "measure"),
    [
        ("shapes@1", "change/slope"),
        ("shapes@2", "background_error/delta"),
        ("long@lv-bench", "sharpness/vde_even"),
        ("ucf101@lavie", "sharpness/vde_even"),
    ],
)
def test_the_card_says_what_drift_is_and_other_measures_have_other_hashes(manager, card, measure):
    fixed = Conventions.of(load(card))
    made = metric_recipe(manager, "drift", fixed, Assignments({}))
    evaluator = build(manager, made)
    assert made.to_dict()["settings"].get("measure", "change/slope") == measure and evaluator.name == "drift"
    changed = changed_convention(manager, made, fixed)
    assert (changed is None) == (card == "shapes@1"), "there the protocol's own hash stands for it, as it did before"
    assert (evaluator.said is None) == (card == "shapes@1") and measure in (evaluator.said or measure)


def test_the_old_headline_has_the_rows_that_it_had(manager):
    fixed = Conventions.of(load("shapes@2"))
    old = build(manager, metric_recipe(manager, "still_background_drift", fixed, Assignments({})))
    assert old.digest == "drift-change-1" and old.name == "still_background_drift"


def test_the_card_says_how_much_of_each_end_a_delta_compares(manager):
    """Five seconds at 16 fps; of a curve that grows by 1 a frame the ends are as far apart as their middles."""
    ramp = np.arange(480.0)[None]
    for card, apart in (("long@rolling-forcing", 480 - 80), ("long@lv-bench", 480 - 72)):
        made = metric_recipe(manager, "curve:sharpness/delta_abs", Conventions.of(load(card)), Assignments({}))
        assert build(manager, made).per_clip(ramp).tolist() == [apart]
    card = load("long@rolling-forcing")
    made = metric_recipe(manager, "curve:sharpness/delta", Conventions.of(card), Assignments({}))
    short = metric_of(manager, made, {}, card, 80)
    assert short.status.endswith("takes clips of at least 160 frames, as it is set, and these have 80")


def test_set_wins_and_is_seen_as_a_change(manager):
    card = load("ucf101@stylegan-v")
    fixed = Conventions.of(card)
    own = metric_recipe(manager, "fvd", fixed, Assignments({}))
    other = metric_recipe(manager, "fvd", fixed, Assignments({"fvd": {"ddof": 1}}))
    assert changed_convention(manager, own, fixed) is None
    assert changed_convention(manager, other, fixed)["ddof"] == 1


@pytest.mark.parametrize("card", ["vbench@946", "shapes@1", "ucf101@lavie"])
@pytest.mark.parametrize("what", ["sharpness", "motion/slope", "exposure/delta"])
def test_a_curve_that_no_network_describes_asks_for_none(manager, card, what):
    """Before, a card's I3D was built for it, and without its weights the metric was absent."""
    made = metric_recipe(manager, f"curve:{what}", Conventions.of(load(card)), Assignments({}))
    assert made.settings["what"] == what and extractor(made.to_dict()["settings"]) == "shapes-clip"  # it is packaged


def test_a_curve_that_no_network_describes_loads_none(manager, monkeypatch):
    """It takes seconds and 250 MB in every process."""
    loaded = []
    monkeypatch.setattr("artv_eval.features.shapes.shapes_clip", lambda **settings: loaded.append(settings))
    fixed = Conventions.of(load("shapes@1"))
    made = build(manager, metric_recipe(manager, "curve:motion/slope", fixed, Assignments({})))
    assert made.name == "motion/slope" and not loaded


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [
        ("window_fvd", {}, 8),
        ("window_frame_fid", {"length": 11}, 11),
        ("curve:motion/vde", {}, 10),
        ("curve:motion/delta_abs", {"ends": 4}, 8),
        ("curve:motion/vde_even", {}, 2),
    ],
)
def test_a_metric_of_longer_clips_is_absent_before_any_is_made(manager, name, settings, least):
    card = load("shapes@1")
    given = Assignments({name.partition(":")[0]: settings})
    made = metric_recipe(manager, name, Conventions.of(card), given)
    assert metric_of(manager, made, {}, card, least).status == OK
    short = metric_of(manager, made, {}, card, least - 1)
    assert short.evaluator is None
    assert f"takes clips of at least {least} frames, as it is set, and these have {least - 1}" in short.status


def test_consistency_takes_the_encoder_of_pictures(manager):
    made = metric_recipe(manager, "curve:consistency/delta", Conventions.of(load("vbench@946")), Assignments({}))
    assert made.to_dict()["settings"]["feature"]["name"] == "clip"

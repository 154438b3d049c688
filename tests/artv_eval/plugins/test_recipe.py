"""Every setting of every component of ours, taken from its signature, with what means nothing: one line, at once.

Weights are at hand for none of these features: what is wrong with a setting is said before what is missing.
"""

import math
import re

import pytest
from test_yaml_matrix import kinds, wrong

from artv.errors import UserError
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.plugins.recipe import Typed, build, parse_assignments, recipe, settings_of

NEEDED = {"file": "x.yaml", "path": "x.yaml", "what": "change/slope"}
NO_UPPER_END = {("guidance", "high"), ("masks", "below"), ("accelerations", "threshold")}
MADE = ("samplers", "guidance", "masks", "anchors", "noise_levels", "accelerations", "features", "metrics", "executors")


@pytest.fixture(scope="module")
def manager():
    return PluginManager(PluginOptions())


def settings(manager, kind):
    """(component, setting, wrong value, the required settings beside it)."""
    (ours,) = (plugin for plugin in manager.plugins if plugin.name == "defaults")
    for component in ours.components[kind]:
        known, _ = settings_of(manager.target(manager.find(kind, component.name)), KINDS[kind])
        for setting in known.values():
            others = {s.name: NEEDED[s.name] for s in known.values() if s.required and s is not setting}
            for value in [] if setting.takes_component else wrong(kinds(setting.annotation)):
                if value != math.inf or (kind, setting.name) not in NO_UPPER_END:
                    yield component.name, setting.name, value, others


@pytest.mark.parametrize("kind", MADE)
def test_no_setting_takes_what_means_nothing(manager, kind, monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    if kind == "executors":
        pytest.importorskip("ray")
    accepted, tried = [], 0
    for name, setting, value, others in settings(manager, kind):
        tried += 1
        try:
            build(manager, recipe(manager, kind, name, {**others, setting: value}))
            accepted.append((name, setting, value))
        except UserError as error:
            assert setting in str(error) and "\n" not in str(error), (name, setting, value, error)
    assert not accepted and tried > 3


@pytest.mark.parametrize(
    ("kind", "name", "setting", "text", "told"),
    [
        ("samplers", "dpmpp_2s_ancestral", "eta", "nan", "dpmpp_2s_ancestral.eta is 'nan': input should be a finite"),
        (
            "metrics",
            "window_fvd",
            "length",
            "-1",
            "window_fvd.length is -1: input should be greater",
        ),
        ("metrics", "fvd", "transform", "{size: -1}", "transform is {'size': -1}: field 'size' is -1"),
        ("metrics", "fvd", "first", "x", "fvd.first is 'x': input should be a valid integer"),
        ("features", "i3d", "layer", "last", "i3d.layer is 'last': input should be 'logits' or 'pooled'"),
        ("features", "c3d", "mean", "none.npy", "none.npy"),
    ],
)
def test_what_is_typed_is_refused_as_it_is_read(manager, monkeypatch, tmp_path, kind, name, setting, text, told):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    with pytest.raises((UserError, OSError), match=re.escape(told)):
        build(manager, recipe(manager, kind, name, {setting: Typed(text)}))


def test_typed_words_and_numbers_are_read(manager):
    assert recipe(manager, "metrics", "fvd", {"ddof": Typed("0")}).settings == {"ddof": 0}
    assert recipe(manager, "features", "i3d", {"layer": Typed("pooled")}).settings == {"layer": "pooled"}
    assert recipe(manager, "ablations", "steps", {"values": Typed("4,8")}).settings == {"values": [4, 8]}
    assert recipe(manager, "metrics", "fvd", {"transform": Typed("{size: 8}")}).settings == {"transform": {"size": 8}}


def test_a_setting_has_one_value():
    assert parse_assignments(["fvd.ddof=0", "fvd.ddof=0", " fvd.first=2"]) == {"fvd": {"ddof": "0", "first": "2"}}
    with pytest.raises(UserError, match=r"^--set gives sampler.eta twice: '1' and '0'; give it once$"):
        parse_assignments(["sampler.eta=1", "sampler.eta=0"])

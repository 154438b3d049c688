"""Factories of window metrics: each has the settings that its name leaves open, and means what they say."""

import inspect

import pytest

from artv.errors import UserError
from artv_eval.metrics import window_factories
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import recipe, settings_of

NAMES = [name for name in vars(window_factories) if name.startswith("window_")]


class Pictures:
    name, digest, dim = "pictures", "1", 3

    def images(self, frames):
        return frames.float().mean((2, 3))


def made(name, mean_features, **settings):
    feature = Pictures() if "fid" in name else mean_features
    return getattr(window_factories, name)(feature=feature, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_signature_says_is_what_the_metric_does(name, mean_features):
    known, open_ended = settings_of(getattr(window_factories, name), KINDS["metrics"])
    evaluator = made(name, mean_features)
    windows = {key: setting.default for key, setting in known.items() if key in ("length", "stride", "place", "drift")}
    assert not open_ended and {"feature", "device", "length", "stride"} <= set(known) and "windows" not in known
    assert {key: getattr(evaluator, key) for key in windows} == windows
    assert evaluator.name == name
    with pytest.raises(UserError, match="length is 0"):  # so its type is known too
        recipe(PluginManager(), "metrics", name, {"length": 0})


def test_names_say_what_they_are(mean_features):
    for name in NAMES:
        evaluator = made(name, mean_features, length=3)
        assert evaluator.drift == name.endswith("_drift") and (evaluator.place == "anywhere") == ("anywhere" in name)
        assert evaluator.length == 3
    with pytest.raises(TypeError, match="place"):
        window_factories.window_kvd(feature=mean_features, place="anywhere")


def test_place_is_a_setting_where_it_always_was(mean_features):
    """And no other metric of this name's family takes one."""
    taking = [name for name in NAMES if "place" in inspect.signature(getattr(window_factories, name)).parameters]
    assert taking == ["window_fvd", "window_fvd_drift"]
    anywhere = window_factories.window_fvd(feature=mean_features, place="anywhere")
    assert anywhere.place == "anywhere" and anywhere.name == "window_fvd"

"""Names of features: each leads to a function."""

import pytest

from artv.errors import UserError
from artv_eval.features.registry import FEATURES, feature


def test_registry_names_exist_and_unknown_ones_are_explained():
    from importlib import import_module

    for target in FEATURES.values():
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name))
    extractor = object()
    assert feature(extractor) is extractor
    with pytest.raises(UserError, match="did you mean i3d"):
        feature("i3dd")

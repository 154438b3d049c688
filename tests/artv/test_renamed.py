"""Old names of what was renamed."""

import sys
import types

import pytest

import artv.networks
import artv_eval.files.decoding
from artv.renamed import renamed


def test_an_old_name_is_the_same_object_and_warns_of_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"artv.networks.Windows is now artv.networks.Crops"):
        assert artv.networks.Windows is artv.networks.Crops
    with pytest.warns(DeprecationWarning, match=r"files.decoding.Window is now artv_eval.files.decoding.Excerpt"):
        assert artv_eval.files.decoding.Window is artv_eval.files.decoding.Excerpt


def test_what_never_was_is_missing_as_in_any_module(monkeypatch):
    module = types.ModuleType("artv_made_up")
    module.New, module.__getattr__ = object(), renamed("artv_made_up", {"Old": "New"})
    monkeypatch.setitem(sys.modules, "artv_made_up", module)
    with pytest.raises(AttributeError, match="module 'artv_made_up' has no attribute 'Other'"):
        _ = module.Other
    with pytest.warns(DeprecationWarning):
        assert module.Old is module.New
    assert not hasattr(module, "other")

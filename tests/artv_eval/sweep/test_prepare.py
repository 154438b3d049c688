"""Asking for the length that a card has is asking for the card; run folders go on with the card they began with."""

from types import SimpleNamespace

import pytest

from artv_eval.api import ClipRequest
from artv_eval.plugins.manager import PluginManager
from artv_eval.results.documents import write_json
from artv_eval.sweep import prepare as module
from artv_eval.sweep.plan import READY, Cell, ProtocolRef, SweepRequest
from artv_eval.sweep.prepare import SweepOptions, prepare


def protocol(frames, out):
    request = SweepRequest(ablations=("mask",))
    options = SweepOptions(request=request, frames=frames, num_videos=2, out=out, protocol="shapes@1")
    return prepare(PluginManager(), options).protocol


def test_the_own_length_is_the_card(tmp_path):
    assert protocol(16, tmp_path / "new").key == protocol(None, tmp_path / "new").key == "3cc45364e4eb"
    assert protocol(16, tmp_path / "new").label == "shapes@1"
    assert protocol(8, tmp_path / "new").key != "3cc45364e4eb"


@pytest.mark.parametrize(("begun_with", "key"), [(16, "785ac1b12955"), (None, "3cc45364e4eb")])
def test_a_folder_goes_on_as_it_began(tmp_path, begun_with, key):
    write_json(tmp_path / "manifest.json", {"schema": 1, "protocol": {"frames": begun_with}})
    assert protocol(16, tmp_path).key == key


@pytest.mark.parametrize(
    ("begun_with", "name"), [("shapes@1", "shapes@1"), ("ucf101@lavie", "shapes@2"), (None, "shapes@2")]
)
def test_where_none_is_asked_for_a_folder_goes_on_with_the_card_it_began_with(tmp_path, begun_with, name):
    write_json(tmp_path / "manifest.json", {"schema": 1, "protocol": {"name": begun_with}})
    request = SweepRequest(ablations=("mask",))
    assert prepare(PluginManager(), SweepOptions(request=request, num_videos=2, out=tmp_path)).protocol.name == name


class Short:
    """A method that makes clips of one length."""

    def unsuited(self, request):
        return None if request.num_frames == 16 else f"it makes 16 frames and {request.num_frames} are asked for"

    def generate(self, requests):
        raise AssertionError("it is not asked for what it cannot make")


@pytest.mark.parametrize(
    ("frames", "status"), [(16, "ready"), (240, "not available: it makes 16 frames and 240 are asked for")]
)
def test_a_length_that_a_method_cannot_make_is_said_before_any_work(monkeypatch, frames, status):
    monkeypatch.setattr(module, "build", lambda *_: Short())
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=frames, height=8, width=8, fps=8.0)
    ref = ProtocolRef(name="a", hash="b", frames=frames, seed=0)
    cell = Cell(ablation="a", name="short", label="short", protocol=ref, method=SimpleNamespace())
    found = module._checked(PluginManager(), cell, {}, "shapes", request)
    assert found.status == (READY if status == "ready" else status) and (found.method is None) == (frames != 16)


def test_a_cell_without_weights_says_so_and_the_others_go_on():
    settings = {
        "cells": {"cells": [{"name": "there"}, {"name": "absent", "settings": {"checkpoint": "nobody/nothing"}}]}
    }
    request = SweepRequest(ablations=("cells",), settings=settings, sanity=False)
    there, absent = prepare(PluginManager(), SweepOptions(request=request, num_videos=2, protocol="shapes@1")).cells
    assert there.status == READY and there.checkpoint
    assert absent.status.startswith("not available: the weights of nobody/nothing are not here; fetch them with")
    assert absent.method is None

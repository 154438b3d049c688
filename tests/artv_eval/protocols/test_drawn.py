"""Requests of clips that are drawn: only what is asked for is, and it is what a plain request has."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from artv.data.shapes import ShapesWorld
from artv.data.shapes_long import LongShapesWorld
from artv_eval.api import ClipRequest
from artv_eval.protocols.cards import load
from artv_eval.protocols.drawn import DRAWN, drawn_request


@pytest.fixture
def counted():
    calls = []
    draw = lambda: calls.append(1) or {"first_frame": np.ones(3), "real": np.zeros(4), "labels": {"colour": 2}}  # noqa: E731
    known = {"index": 1, "prompt": "a", "seed": 5, "num_frames": 2, "height": 8, "width": 8, "fps": 8.0}
    return calls, drawn_request(draw, **known), known


def test_nothing_is_drawn_until_it_is_asked_for_and_then_once(counted):
    calls, request, known = counted
    assert {name: getattr(request, name) for name in known} == known and request.caption == "a" and not calls
    assert request.labels == {"colour": 2} and request.first_frame.sum() == 3 and request.real.shape == (4,)
    assert len(calls) == 1


@pytest.mark.parametrize("copy", [lambda r: pickle.loads(pickle.dumps(r)), lambda r: replace(r, seed=r.seed)])
def test_copies_have_all_of_it(counted, copy):
    _, request, _ = counted
    made = copy(request)
    assert isinstance(made, ClipRequest)
    for one in fields(ClipRequest):
        assert np.array_equal(getattr(made, one.name), getattr(request, one.name)), one.name


@pytest.mark.parametrize(("card", "world"), [("shapes@1", ShapesWorld), ("shapes@2", LongShapesWorld)])
def test_a_card_of_shapes_draws_what_its_world_draws(card, world):
    protocol = load(card)
    frames = protocol.frames
    request = protocol.requests(30)[29]
    assert not {*DRAWN} & {*request.__dict__}
    clip = world("test", seed=0, num_frames=frames, size=64, fps=8.0).clip(29)
    assert request.prompt == clip.caption and np.array_equal(request.real, clip.frames)
    assert np.array_equal(request.first_frame, clip.frames[0])
    assert np.array_equal(request.labels["motion"], clip.motion)

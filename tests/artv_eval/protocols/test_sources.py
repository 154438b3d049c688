"""Lazy sequences are lists that are made late; seeds of requests are each their own."""

from types import SimpleNamespace

import pytest

from artv_eval.protocols.sources import Lazy, blank, request_seed


@pytest.mark.parametrize("part", [slice(None), slice(2, 5), slice(None, None, -1), slice(-3, None), slice(9, 2, -3)])
def test_a_lazy_sequence_is_the_list(part):
    found, oracle = Lazy(10, lambda i: i * i), [i * i for i in range(10)]
    assert list(found[part]) == oracle[part] and len(found[part]) == len(oracle[part])
    assert list(found[part][1:]) == oracle[part][1:] and not found[part].whole and found.whole
    assert (found[-1], found[3], 49 in found) == (81, 9, True)


@pytest.mark.parametrize("index", [10, -11])
def test_a_place_outside_is_an_error_as_of_a_list(index):
    with pytest.raises(IndexError):
        Lazy(10, lambda i: i)[index]


def test_nothing_is_made_before_it_is_asked_for():
    made = []
    Lazy(5, made.append)[1:3]
    assert made == []
    Lazy(5, made.append)[3:][1]
    assert made == [4]


def test_seeds_of_a_hundred_thousand_clips_of_three_runs_differ():
    seeds = {request_seed(run, index) for run in range(3) for index in range(100_000)}
    assert len(seeds) == 300_000


def test_requests_of_reference_clips_have_the_size_alone():
    card = SimpleNamespace(frames=SimpleNamespace(height=4, width=6, fps=None))
    request = blank(card, 7)(3)
    assert (request.index, request.num_frames, request.height, request.width, request.fps) == (3, 7, 4, 6, 0.0)
    assert request.prompt == "" and request.first_frame is None and request.real is None

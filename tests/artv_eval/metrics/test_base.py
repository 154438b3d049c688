"""What metrics share: points of curves, batches, and what an evaluator of any origin may say of itself."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.api import GeneratedClip
from artv_eval.metrics.base import (
    MeanEvaluator,
    check_evaluator,
    curve_of,
    curve_values,
    described,
    features_of,
    labels_of,
    mean_where_defined,
    slope,
    to_BTCHW,
    whole_clips,
)

NAN = float("nan")


class Plain:
    """An evaluator of somebody else, without any of the extras."""

    name, digest, higher_is_better, needs = "plain", "0", None, frozenset()

    def __init__(self, rows=None, **members):
        self.rows = rows
        for name, value in members.items():
            setattr(self, name, value)

    def describe(self, clips):
        return self.rows if self.rows is not None else np.zeros((len(clips), 2))

    def evaluate(self, rows, reference=None):
        return 0.0


class Column(MeanEvaluator):
    name, digest, describe = "column", "0", None

    def per_clip(self, rows):
        return rows[:, 0]


def test_the_mean_is_over_clips_with_a_value():
    rows = np.array([[1.0], [NAN], [4.0]])
    assert Column().evaluate(rows) == 2.5
    index = np.array([[0, 1, 2], [1, 1, 0], [2, 2, 0]])
    assert Column().resample(rows, None, index).tolist() == [2.5, 1.0, 3.0]
    with pytest.raises(UserError, match="metric 'column' is undefined on all 2 clips"):
        Column().evaluate(np.full((2, 1), NAN))


def test_a_mean_where_nothing_is_defined_is_not_defined(recwarn):
    values = np.array([[1.0, NAN, 5.0], [3.0, NAN, NAN]])
    assert mean_where_defined(values) == pytest.approx([2.0, NAN, 5.0], nan_ok=True) and not recwarn.list
    assert curve_values(mean_where_defined(values)) == (2.0, None, 5.0)


@pytest.mark.parametrize(("reference", "wanted"), [(None, (1.0,)), (np.zeros((2, 1)), (9.0,))])
def test_a_curve_against_the_reference_comes_before_one_without(reference, wanted):
    evaluator = Plain(curve=lambda rows: rows[0], curve_against=lambda rows, reference: np.array([9.0]))
    assert curve_of(evaluator, np.ones((3, 1)), reference) == wanted
    assert curve_of(Plain(), np.ones((3, 1)), reference) is None


def test_clips_are_stacked_with_colours_before_rows():
    clips = [np.random.default_rng(k).integers(0, 256, (2, 4, 5, 3), np.uint8) for k in range(3)]
    stacked = to_BTCHW(clips)
    assert stacked.shape == (3, 2, 3, 4, 5) and stacked.dtype == torch.uint8
    assert np.array_equal(stacked.numpy(), np.stack(clips).transpose(0, 1, 4, 2, 3))
    with pytest.raises(UserError, match=r"\(2, 4, 5, 3\) and \(1, 4, 5, 3\)"):
        to_BTCHW([clips[0], clips[1][:1]])


@pytest.mark.parametrize("shape", [(9,), (3, 9), (2, 3, 5)])
def test_the_slope_is_numpys(shape):
    curve = np.random.default_rng(0).normal(size=shape)
    wanted = np.polyfit(np.arange(shape[-1]), curve.reshape(-1, shape[-1]).T, 1)[0].reshape(shape[:-1])
    assert slope(curve) == pytest.approx(wanted)


def test_one_frame_has_no_slope():
    with pytest.raises(UserError, match="at least 2 frames"):
        slope(np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"name": 3}, "name is 3; it must be a text"),
        ({"digest": b"0"}, "digest is b'0'; it must be a text"),
        ({"needs": "real"}, "needs is 'real'; it must be a set of texts"),
        ({"needs": {1}}, r"needs is \{1\}; it must be a set of texts"),
        ({"higher_is_better": "yes"}, "higher_is_better is 'yes'; it must be True, False or None"),
    ],
)
def test_what_an_evaluator_says_of_itself_is_checked(members, words):
    check_evaluator(Plain())
    with pytest.raises(ValueError, match=words):
        check_evaluator(Plain(**members))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros(3), r"describe\(\) of 3 clips gave \(3,\); it must be \(n, d\)"),
        (np.zeros((2, 4)), r"gave \(2, 4\)"),
        (np.array([["a"], ["b"], ["c"]]), "gave rows of <U1; they must be numbers"),
        (np.array([[None]] * 3), "gave rows of object"),
        (np.zeros((3, 1), complex), "gave rows of complex128"),
    ],
)
def test_rows_are_numbers_one_row_a_clip(clip_set, rows, words):
    clips = clip_set(np.zeros((3, 2, 4, 4, 3), np.uint8))
    assert described(Plain(), clips).shape == (3, 2)
    with pytest.raises(ValueError, match=words):
        described(Plain(rows), clips)


class Stored:
    """An array that is read when it is asked for."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_who_does_not_read_in_parts_is_given_arrays(clip_set):
    clips = clip_set(np.zeros((2, 3, 4, 4, 3), np.uint8))
    stored = type(clips)(clips.requests, lambda i: GeneratedClip(Stored(np.full((3, 4, 4, 3), i, np.uint8)), None, 0.5))
    held = [clip for _, clip in whole_clips(stored)]
    assert all(type(clip.frames) is np.ndarray and clip.seconds == 0.5 for clip in held)
    assert [int(clip.frames.max()) for clip in held] == [0, 1]


def test_the_extractor_is_named_with_its_digest():
    made = type("Extractor", (), {"name": "i3d", "digest": "0123456789abcdef"})()
    assert features_of(Plain(features=made)) == features_of(Plain(clip=made)) == "i3d 01234567"
    assert features_of(Plain()) is None


def test_labels_are_all_there_or_none(clip_set):
    request = clip_set(np.zeros((1, 2, 4, 4, 3), np.uint8), labels=[{"colour": (1, 2)}]).requests[0]
    assert [label.tolist() for label in labels_of(request, "colour")] == [[1, 2]]
    assert labels_of(request, "colour", "motion") is None

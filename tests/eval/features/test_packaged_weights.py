"""What the weights in the package see. Each flaw of a video must move the metric that claims to see it."""

import numpy as np
import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv_eval import reference_rows
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.features.corruptions import CORRUPTIONS, corrupt
from artv_eval.features.shapes import shapes_classifier, shapes_clip
from artv_eval.metrics import factories
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.protocols import shapes_1

N = 40


@pytest.fixture(scope="module")
def features():
    try:
        return shapes_classifier()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def clips():
    return ShapesWorld("test").batch(range(2 * N))


@pytest.fixture(scope="module")
def reference(features, clips):
    return features(clips.frames[N:]).numpy()


@pytest.fixture(scope="module")
def floor(features, clips, reference):
    return frechet_from_features(features(clips.frames[:N]).numpy(), reference)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_fvd_sees_every_kind_of_damage(name, features, clips, reference, floor):
    damaged = features(corrupt(clips.frames[:N], name, 0.8)).numpy()
    assert frechet_from_features(damaged, reference) > 1.25 * floor


def test_fvd_of_stills_is_far_from_real(features, clips, reference, floor):
    still = features(corrupt(clips.frames[:N], "freeze", 1.0)).numpy()
    assert frechet_from_features(still, reference) > 1.5 * floor


def test_features_are_standardised_on_real_clips(features, clips):
    x = features(clips.frames)
    assert x.mean(0).abs().max() < 0.6 and x.std(0).min() > 0.5 and x.std(0).max() < 1.6


def requests(clips, order):
    return ClipSet(
        [
            ClipRequest(
                index=i, prompt=clips.captions[i], seed=0, num_frames=16, height=64, width=64, fps=8.0,
                labels={"colour": clips.colour[i].numpy(), "motion_label": clips.motion_label[i].numpy()},
            )
            for i in range(N)
        ],
        lambda i: GeneratedClip(clips.frames[order[i]].permute(0, 2, 3, 1).numpy()),
    )  # fmt: skip


def test_caption_metrics_tell_right_from_wrong_captions(features, clips):
    right, wrong = requests(clips, range(N)), requests(clips, [i ^ 1 for i in range(N)])
    for metric, least, most in ((factories.caption(), 0.9, 0.2), (factories.caption_colour(), 0.95, 0.45)):
        assert metric.evaluate(metric.describe(right)) > least > most > metric.evaluate(metric.describe(wrong))
    try:
        clipsim = factories.clipsim(shapes_clip())
    except UserError as error:
        pytest.skip(str(error))
    assert clipsim.evaluate(clipsim.describe(right)) > 0.2 + clipsim.evaluate(clipsim.describe(wrong))


def test_a_still_has_the_right_colour_and_the_wrong_motion(features, clips):
    frozen = corrupt(clips.frames[:N], "freeze", 1.0)
    scores = features.attributes(frozen)
    named = torch.nn.functional.one_hot(clips.colour[:N, 0], 8).bool()
    assert (scores["colour"][named] > 0).float().mean() > 0.9
    pairs = scores["pair"].flatten(1).argmax(1)
    wanted = clips.colour[:N, 0] * scores["pair"].shape[2] + clips.motion_label[:N, 0]
    assert (pairs == wanted).float().mean() < 0.5


def test_shipped_reference_rows_are_those_of_these_weights(features):
    protocol, evaluator = shapes_1(), factories.fvd()
    rows = protocol.reference_rows(evaluator.digest)
    if rows is None:
        pytest.skip("no reference rows for these weights; make them: python -m artv_eval.reference_rows")
    assert rows.shape == (512, 64)
    clips = protocol.reference()
    some = ClipSet(clips.requests[:4], lambda i: clips[i][1])
    np.testing.assert_allclose(rows[:4], evaluator.describe(some), atol=2e-3)


def test_reference_rows_of_other_weights_are_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(reference_rows, "FOLDER", tmp_path)
    protocol = shapes_1()

    class Two:
        digest = "two"

        def describe(self, clips):
            return np.arange(6.0).reshape(3, 2)

    path = reference_rows.write(protocol, Two(), 16)
    assert path.parent == tmp_path
    np.testing.assert_array_equal(protocol.reference_rows("two"), np.arange(6.0).reshape(3, 2))
    assert protocol.reference_rows("three") is None and protocol.reference_rows("two", frames=8) is None

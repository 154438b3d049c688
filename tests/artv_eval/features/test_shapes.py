"""What the weights in the package see. Each flaw of a video must move the metric that claims to see it."""

import numpy as np
import pytest
import torch
import yaml

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.corruptions import CORRUPTIONS, corrupt
from artv_eval.features.shapes import shapes_classifier, shapes_clip
from artv_eval.metrics import factories, reference_rows
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.protocols.cards import cards, load, shapes_1

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


def test_shipped_reference_rows_are_those_of_these_weights(features, monkeypatch, tmp_path):
    evaluator, reference = factories.fvd(features), shapes_1().reference()
    rows = reference_rows.shipped(reference, evaluator.digest)
    if rows is None:
        pytest.skip("no rows for these weights; make them: python -m artv_eval.feature_training.reference_rows")
    assert rows.shape == (512, 64)
    np.testing.assert_array_equal(evaluator.describe(reference), rows)
    some = reference.at((3, 5))
    np.testing.assert_array_equal(evaluator.describe(some), rows[[3, 5]])
    monkeypatch.setattr(reference_rows, "FOLDER", tmp_path)
    np.testing.assert_allclose(rows[[3, 5]], evaluator.describe(some), atol=2e-3)


class Brightness:
    """One number a clip."""

    name, digest, dim = "brightness", "0", 1

    def __call__(self, clip_BTCHW):
        return clip_BTCHW.float().mean((1, 2, 3, 4))[:, None]


def test_reference_rows_belong_to_one_protocol_length_and_metric(tmp_path, monkeypatch):
    monkeypatch.setattr(reference_rows, "FOLDER", tmp_path)
    protocol, evaluator = shapes_1(), factories.fvd(Brightness())
    values = yaml.safe_load(cards()["shapes@1"].read_text())
    values["reference"]["number"] = 3
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(values))
    small = load(str(tmp_path / "small.yaml"))
    reference_rows.write(small, evaluator, 4)
    rows = reference_rows.shipped(small.reference(4), evaluator.digest)
    np.testing.assert_allclose(rows[:, 0], [clip.frames.mean() for _, clip in small.reference(4)], rtol=1e-5)
    assert reference_rows.shipped(small.reference(4), "other") is None
    assert reference_rows.shipped(small.reference(5), evaluator.digest) is None
    assert reference_rows.shipped(protocol.reference(4), evaluator.digest) is None
    requests = protocol.requests(num=2, frames=4)
    assert (
        reference_rows.shipped(ClipSet(requests, lambda i: GeneratedClip(requests[i].real)), evaluator.digest) is None
    )

"""The Inception Score between its bounds and over its splits."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.metrics import InceptionScore
from artv_eval.metrics.inception import InceptionScoreEvaluator, inception_score
from artv_eval.metrics.statistics import bootstrap_interval


def test_inception_score_between_its_bounds():
    sure = np.eye(5)
    assert inception_score(sure) == pytest.approx(5)
    assert inception_score(np.full((7, 5), 0.2)) == pytest.approx(1)
    assert inception_score(sure[[0, 0, 1, 1]]) == pytest.approx(2)


def test_inception_score_is_the_mean_over_ten_random_splits_and_lower_for_it(mean_features):
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(20, 0.05), size=400)
    rows = rows[np.argsort(rows.argmax(1))]  # by class, as a data set's list is

    def score(p):
        return np.exp((p * np.log(np.maximum(p, 1e-300) / p.mean(0))).sum(1).mean())

    found = InceptionScoreEvaluator(mean_features).evaluate(rows)
    others = [np.mean([score(part) for part in np.array_split(rng.permutation(rows), 10)]) for _ in range(30)]
    assert abs(found - np.mean(others)) < 4 * np.std(others) and found < score(rows)
    assert np.mean([score(part) for part in np.array_split(rows, 10)]) < 0.5 * found
    with pytest.raises(UserError, match="over 10 splits needs 20 clips and has 19"):
        InceptionScoreEvaluator(mean_features).evaluate(rows[:19])


def test_inception_score_of_shards_and_evaluator_agree(world, clip_set, mean_features):
    frames = torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)
    whole, part = InceptionScore(mean_features), InceptionScore(mean_features)
    whole.update(frames[:5])
    part.update(frames[5:])
    whole.merge_state(part)
    evaluator = InceptionScoreEvaluator(mean_features, splits=1)
    rows = evaluator.describe(clip_set(world[0]))
    np.testing.assert_allclose(rows.sum(1), 1)
    assert float(whole.compute()) == pytest.approx(evaluator.evaluate(rows), rel=1e-6)
    interval = bootstrap_interval(evaluator, rows, resamples=50)
    assert interval.low < interval.value < interval.high

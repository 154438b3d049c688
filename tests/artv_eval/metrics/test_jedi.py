"""JEDi against the arithmetic of its authors' code, written out from its text, and the number that it names."""

import numpy as np
import pytest

from artv_eval.metrics.jedi import JediEvaluator, jedi_from_features
from artv_eval.metrics.statistics import bootstrap_interval


def authors(x, y):
    """videojedi 0.0.1: scikit-learn's polynomial kernel, gamma None = 1 / columns, pair by pair; × 100."""

    def mean_kernel(a, b):
        return np.mean([[(sum(p * q for p, q in zip(u, v, strict=True)) / len(u) + 0) ** 2 for v in b] for u in a])

    return 100 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))


class Features:
    name, digest, dim = "gaussian", "0", 6


def test_it_is_the_authors_formula():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 6)), rng.normal(0.3, 1.2, size=(9, 6))
    assert jedi_from_features(x, y) == pytest.approx(authors(x, y), rel=1e-10)
    assert JediEvaluator(Features()).evaluate(x, y) == jedi_from_features(x, y)


def test_the_number_in_the_authors_file():
    """``mmd_polynomial.py`` says 270.7 of its example at degree 2 without offset."""
    x, y = np.arange(1, 10).reshape(3, 3), np.array([[7, 6, 5], [4, 3, 2], [1, 1, 8], [0, 2, 5]])
    assert jedi_from_features(x, y) / 100 == pytest.approx(270.7, abs=0.05)


def test_equal_sets_are_at_zero_and_copies_in_a_resample_are_no_pairs():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(20, 6))
    metric = JediEvaluator(Features())
    assert metric.evaluate(x, x) == pytest.approx(0, abs=1e-10)
    subset, (index,) = rng.permutation(12)[None, :7], rng.integers(12, size=(1, 12))
    assert metric.resample(x, y, subset)[0] == pytest.approx(metric.evaluate(x[subset[0]], y))
    square = (x @ x.T / 6) ** 2  # a pair with itself counts once a copy, those of two clips fill the rest
    apart = np.mean([square[i, j] for i in index for j in index if i != j])
    moved = 100 * (np.diagonal(square)[index].mean() / 12 + apart * 11 / 12 - square[np.ix_(index, index)].mean())
    assert metric.resample(x, y, index[None])[0] == pytest.approx(metric.evaluate(x[index], y) + moved)
    found = bootstrap_interval(metric, x, y, resamples=100)
    assert found.low < found.value < found.high

"""Fréchet distance against closed forms and an independent implementation."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from artv.errors import UserError
from artv_eval.metrics.frechet import FrechetResampler, each, frechet_distance, frechet_from_features, moments, root


def features(n, d, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d) + shift


@pytest.mark.parametrize("d", [1, 3, 40])
def test_equals_scipy_sqrtm_on_well_conditioned_covariances(d):
    (m1, s1), (m2, s2) = moments(features(20 * d + 5, d, 0)), moments(features(30 * d + 5, d, 1, 0.5))
    expected = (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert frechet_distance(m1, s1, m2, s2) == pytest.approx(expected, rel=1e-6)


def test_equals_the_closed_form_of_commuting_covariances_even_singular_ones():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    a, b = np.array([4.0, 1, 9, 0, 0, 2]), np.array([1.0, 0, 4, 3, 0, 2])
    m1, m2 = np.arange(6.0), np.ones(6)
    expected = ((m1 - m2) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    value = frechet_distance(m1, (q * a) @ q.T, m2, (q * b) @ q.T)
    assert value == pytest.approx(expected, rel=1e-9)


def test_stays_right_with_fewer_clips_than_dimensions():
    x, y = features(30, 200, 2), features(50, 200, 3, 0.1)
    # the trace from the centred features themselves, which never forms a covariance
    a, b = ((z - z.mean(0)) / np.sqrt(len(z) - 1) for z in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap
    assert frechet_from_features(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(10, 40), (500, 40), (2, 3)])
def test_a_set_is_at_distance_0_from_itself(n, d):
    x = features(n, d, 4) * 50
    assert frechet_from_features(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_from_features(x, x[::-1]) == pytest.approx(0, abs=1e-6)


def test_is_symmetric():
    x, y = features(25, 40, 5), features(90, 40, 6, 1.0)
    assert frechet_from_features(x, y) == pytest.approx(frechet_from_features(y, x), rel=1e-9)


def test_covariance_normalisation():
    x = features(10, 3, 7)
    np.testing.assert_allclose(moments(x, 1)[1], np.cov(x.T))
    np.testing.assert_allclose(moments(x, 0)[1], np.cov(x.T, bias=True))


def test_root_squares_to_the_matrix():
    sigma = np.cov(features(5, 9, 8).T)
    np.testing.assert_allclose(root(sigma) @ root(sigma).T, sigma, atol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "d"), [(60, 10), (12, 30)])
def test_fast_resampling_equals_the_plain_distance(n, d, ddof):
    x, y = features(n, d, 9), features(40, d, 10, 0.3)
    fast = FrechetResampler(x, y, ddof)
    for seed in range(3):
        index = np.random.default_rng(seed).integers(n, size=n)
        assert fast(index) == pytest.approx(frechet_from_features(x[index], y, ddof), rel=1e-5)


def test_resamples_of_different_lengths_go_through_together():
    x, y = features(60, 10, 11), features(40, 10, 12, 0.3)
    rng = np.random.default_rng(0)
    index = [rng.integers(60, size=n) for n in (60, 25, 90)] + [np.arange(5)]
    expected = [frechet_from_features(x[i], y) for i in index]
    np.testing.assert_allclose(FrechetResampler(x, y).many(index), expected, rtol=1e-7)
    np.testing.assert_allclose(each(FrechetResampler(x, y), index * 9), expected * 9, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(2), np.eye(3), np.zeros(2), np.eye(3)), "covariances"),
        ((np.zeros(2), np.eye(2), np.full(2, np.nan), np.eye(2)), "NaN"),
    ],
)
def test_bad_moments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        frechet_distance(*arguments)


def test_one_clip_has_no_covariance():
    with pytest.raises(UserError, match="at least 2 clips"):
        frechet_from_features(np.zeros((1, 4)), np.zeros((5, 4)))

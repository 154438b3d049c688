"""Distances of whole sets as torchmetrics modules: against closed forms and plain loops, and over processes."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import sqrtm

from artv.errors import UserError
from artv_eval.metrics.set_modules import FrechetVideoDistance, InceptionScore, KernelVideoDistance
from tests.warm import start

RANKS = Path(__file__).parent / "ranks.py"


def features(seed):
    """Those of rank 0, as float64."""
    return torch.randn(30, 4, generator=torch.Generator().manual_seed(seed)).bfloat16().double().numpy()


def test_a_rank_without_clips_and_features_in_bfloat16(tmp_path):
    started = [start(RANKS, rank, tmp_path / "store") for rank in range(2)]
    done = [process.wait() for process in started]
    assert [process.returncode for process in done] == [0, 0], done
    ours, theirs = ([float(word) for word in process.stdout.split()] for process in done)
    assert ours[:3] == theirs[:3] and (ours[3], theirs[3]) == (3, 0)
    kvd, fvd, flicker, _ = ours
    real, fake = (features(seed) for seed in (0, 1))
    kernel = lambda a, b: (a @ b.T / 4 + 1) ** 3  # noqa: E731 Bińkowski et al. 2018
    within = sum((kernel(x, x).sum() - np.trace(kernel(x, x))) / (30 * 29) for x in (real, fake))
    assert kvd == pytest.approx(within - 2 * kernel(real, fake).mean(), rel=1e-9)
    pixels = torch.randint(0, 256, (3, 4, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    change_BTHW = np.abs(np.diff(pixels.numpy().astype(float), axis=1)).mean(2)  # its median lets an object move
    assert flicker == pytest.approx(np.median(change_BTHW, axis=(2, 3)).mean(), rel=1e-6)
    covariances = [np.cov(x, rowvar=False) for x in (real, fake)]
    overlap = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    gap = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    assert fvd == pytest.approx(gap + np.trace(sum(covariances)) - 2 * overlap, rel=1e-6)


def gaussian(n, d, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(seed, 1 + seed / 3, (n, d)))


def cubic(x, y):
    """The cubic one of KID (Bińkowski et al. 2018), of two rows."""
    return (float(x @ y) / len(x) + 1) ** 3


def test_kvd_is_the_unbiased_estimate_over_all_pairs():
    real, fake = gaussian(5, 3, 0), gaussian(4, 3, 1)
    metric = KernelVideoDistance()
    metric.update(real[:2], real=True)
    metric.update(fake, real=False)
    metric.update(real[2:], real=True)

    def within(x):
        return np.mean([cubic(x[i], x[j]) for i, j in product(range(len(x)), repeat=2) if i != j])

    wanted = within(real) + within(fake) - 2 * np.mean([cubic(x, y) for x, y in product(real, fake)])
    assert float(metric.compute()) == pytest.approx(wanted)


def test_a_missing_side_is_named():
    metric = KernelVideoDistance()
    for side, name in ((True, "fake"), (False, None)):
        metric.update(gaussian(3, 2, 0), real=side)
        if name:
            with pytest.raises(UserError, match=f"KernelVideoDistance got no {name} clips"):
                metric.compute()
    assert np.isfinite(float(metric.compute()))


@pytest.mark.parametrize("ddof", [0, 1])
def test_fvd_is_the_frechet_distance_of_both_gaussians(ddof):
    real, fake = gaussian(40, 4, 0), gaussian(30, 4, 1)
    metric = FrechetVideoDistance(dim=4, ddof=ddof)
    for part, side in ((real[:7], True), (fake, False), (real[7:], True)):
        metric.update(part, real=side)
    a, b = (np.cov(x.numpy().T, ddof=ddof) for x in (real, fake))
    gap = ((real.mean(0) - fake.mean(0)) ** 2).sum().item()
    wanted = gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert float(metric.compute()) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FrechetVideoDistance(), "needs dim, the number of features"),
        (lambda: FrechetVideoDistance(dim=2, ddof=2), "ddof is 2; it must be 1"),
        (lambda: FrechetVideoDistance(dim=2).update(torch.ones(3, 4), real=True), r"shape \(3, 4\); they must be"),
        (lambda: FrechetVideoDistance(dim=2).update(torch.ones(3), real=True), r"shape \(3,\); they must be"),
        (lambda: InceptionScore(), "needs classes, their number"),
        (lambda: InceptionScore(classes=3).compute(), "InceptionScore got no clips"),
    ],
)
@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_mistakes_are_one_line(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_inception_score_is_the_mean_divergence_from_the_mean():
    logits = gaussian(12, 5, 2)
    metric = InceptionScore(lambda x: x, classes=5)
    for part in logits.split(5):
        metric.update(part)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    wanted = np.exp(np.mean([stats.entropy(row, p.mean(0)) for row in p]))
    assert float(metric.compute()) == pytest.approx(wanted)


def test_an_extractor_says_its_dimensions():
    extractor = type("Mean", (), {"dim": 3, "__call__": lambda self, x: x.float().mean((1, 3, 4))})()
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 2, 3, 4, 4), np.uint8))
    metric = FrechetVideoDistance(extractor)
    metric.update(clips, real=True)
    metric.update(clips + 0, real=False)
    assert metric.dim == 3 and float(metric.compute()) == pytest.approx(0, abs=1e-6)

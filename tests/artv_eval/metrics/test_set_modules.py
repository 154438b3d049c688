"""The torchmetrics classes over processes: a rank without clips, and features in bfloat16."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

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

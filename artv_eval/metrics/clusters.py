"""Clips of one prompt under several seeds: they are alike, so that what varies is the prompts, not the clips.

An interval over G prompts of K clips resamples prompts, each with all of its clips (the pairs cluster bootstrap:
Cameron, Gelbach and Miller 2008, "Bootstrap-based improvements for inference with clustered errors", sec. III.B); its
standard error is the cluster-robust one (Liang and Zeger 1986), with G − 1 degrees of freedom. Tests flip the signs of
a prompt's clips together. ``benchmarks/clustered_coverage.py`` measures the coverage.

Shape suffixes: n clips, G prompts.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def as_groups(keys: Sequence[Hashable]) -> np.ndarray | None:
    """(n,) the number of each clip's prompt; None where no two clips share one, or all do.

    Of one prompt alone an interval speaks of its seeds: there is no other prompt that it could vary with.
    """
    numbers: dict[Any, int] = {}
    found = np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)
    return found if 1 < len(numbers) < len(found) else None


def members(groups_n: np.ndarray) -> list[np.ndarray]:
    """The places of each prompt's clips."""
    order = np.argsort(groups_n, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups_n[order])) + 1)


@dataclass(frozen=True)
class Totals:
    """Values summed by prompt, (G,), and how many there are of each, (G,). Without prompts each clip is its own."""

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values_n: np.ndarray, groups_n: np.ndarray | None) -> "Totals":
        """Groups as :func:`as_groups` gives them."""
        if groups_n is None:
            return cls(values_n, np.ones(len(values_n)))
        parts = members(groups_n)
        return cls(np.array([values_n[part].sum() for part in parts]), np.array([float(len(part)) for part in parts]))

    def means(self, index_RG: np.ndarray) -> np.ndarray:
        """(R,): the mean over the clips of these prompts."""
        return self.sums[index_RG].sum(1) / self.counts[index_RG].sum(1)

    def standard_error(self) -> float:
        """Standard error of the mean over all clips; without prompts the usual one."""
        return float(self.deviations().std(ddof=1) / np.sqrt(len(self.sums)))

    def deviations(self) -> np.ndarray:
        """(G,): how each prompt's clips, however many they are, pull at the mean over all; they sum to 0."""
        mean = self.sums.sum() / self.counts.sum()
        return (self.sums - mean * self.counts) * (len(self.sums) / self.counts.sum())

    def each(self) -> np.ndarray:
        """(G,): independent numbers, one a prompt, whose mean is the mean over all clips: for tests of its being 0."""
        return self.sums * (len(self.sums) / self.counts.sum())

"""JEDi (Luo et al. 2024, "Beyond FVD"): squared MMD of V-JEPA features with a polynomial kernel, × 100.

    k(x, y) = (x·y / d)²                     degree 2, no offset; biased: pairs of a clip with itself count

The formula is that of the authors' videojedi 0.0.1 (``mmd_polynomial.py``, ``JEDi.py``). Their features are of V-JEPA
ViT-H/16 with an attentive probe; those of V-JEPA 2, which transformers loads, give other numbers: the row names the
extractor. Being biased, it falls with the number of clips even between equal sets: compare at the same n.

Shape suffixes: n clips, m reference clips, d features.
"""

import numpy as np

from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.kvd import Kernel, KernelResampler, KvdEvaluator

KERNEL = Kernel(degree=2, offset=0.0, biased=True, scale=100.0)


def jedi_from_features(x_nd: np.ndarray, y_md: np.ndarray) -> float:
    """JEDi of two sets of features."""
    return KernelResampler(x_nd, y_md, kernel=KERNEL)(np.arange(len(x_nd)))


class JediEvaluator(KvdEvaluator):
    """JEDi in the harness; its rows are FVD's."""

    kernel = KERNEL

    def __init__(self, features: FeatureExtractor, *, transform: Transform | None = None, name: str = "jedi"):
        super().__init__(features, transform=transform, name=name)

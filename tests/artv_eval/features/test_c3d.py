"""C3D: the paper's size, crops, and the mean that is subtracted."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.features.c3d import C3D, C3dLogits, c3d


def test_c3d_has_the_papers_size():
    with torch.device("meta"):
        network = C3D(num_classes=487)
        assert network(torch.zeros(2, 3, 16, 112, 112)).shape == (2, 487)
    widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    convolutions = sum(27 * a * b + b for a, b in pairwise(widths))
    dense = 8192 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 487 + 487
    assert sum(p.numel() for p in network.parameters()) == convolutions + dense


def test_c3d_loads_crops_and_subtracts(tmp_path, smooth_pictures):
    torch.manual_seed(0)
    network = C3D(num_classes=5, width=2, hidden=8).eval()
    torch.save(network.state_dict(), tmp_path / "c3d.pt")
    np.save(tmp_path / "mean.npy", np.full((3, 1, 1, 1), 10.0, np.float32))
    clips = smooth_pictures(16, 128, 171)[None]
    with torch.no_grad():
        expected = network(clips.transpose(1, 2)[..., 8:120, 29:141].float() - 10)
    ours = c3d(str(tmp_path / "c3d.pt"), mean=str(tmp_path / "mean.npy"))
    torch.testing.assert_close(ours(clips), expected)
    assert ours.dim == 5 and ours.digest != c3d(str(tmp_path / "c3d.pt")).digest
    assert not torch.allclose(C3dLogits(network, "x", bgr=True)(clips), C3dLogits(network, "x")(clips))
    with pytest.raises(UserError, match="exactly 16"):
        ours(clips[:, :8])

"""VideoMAE against transformers: features are what the classifier sees."""

import pytest
import torch

from artv.errors import UserError
from artv_eval.features.videomae import videomae


def test_videomae_features_are_what_the_classifier_sees(tiny_videomae, smooth_pictures):
    network, folder = tiny_videomae
    clips = smooth_pictures(8, 32, 32).unflatten(0, (2, 4))
    seen = []
    hook = network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(clips.float() / 255)
    hook.remove()
    ours = videomae(folder)
    torch.testing.assert_close(ours(clips), seen[0], atol=1e-5, rtol=1e-5)
    assert ours.dim == 16 and ours.digest != videomae(folder, normalise=True).digest
    with pytest.raises(UserError, match="takes exactly 4"):
        ours(clips[:, :3])


def test_absent_videomae_says_how_to_fetch_it():
    with pytest.raises(UserError, match="hf download nobody/nothing"):
        videomae("nobody/nothing")

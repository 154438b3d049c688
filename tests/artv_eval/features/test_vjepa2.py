"""V-JEPA 2 against transformers: features are what the classifier sees."""

import pytest
import torch
from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2VideoProcessor

from artv.errors import UserError
from artv_eval.features.vjepa2 import vjepa2


def test_vjepa2_features_are_what_the_classifier_sees(tmp_path, smooth_pictures):
    torch.manual_seed(0)
    config = VJEPA2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, crop_size=32, patch_size=16,
        frames_per_clip=4, num_pooler_layers=1, pred_hidden_size=12, pred_num_attention_heads=2,
        pred_num_hidden_layers=1, num_labels=3,
    )  # fmt: skip
    network = VJEPA2ForVideoClassification(config).eval()
    network.save_pretrained(tmp_path)
    clips = smooth_pictures(8, 40, 70).unflatten(0, (2, 4))
    given = VJEPA2VideoProcessor(crop_size=32)(list(clips), return_tensors="pt")
    seen = []
    hook = network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(**given)
        tokens = network.vjepa2(**given, skip_predictor=True).last_hidden_state
    hook.remove()
    ours, mean = vjepa2(str(tmp_path)), vjepa2(str(tmp_path), pool="mean")
    torch.testing.assert_close(ours(clips), seen[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(mean(clips), tokens.mean(1), atol=2e-3, rtol=0)
    assert ours.dim == 24 and ours.digest != mean.digest and mean.name.endswith("-mean")
    torch.testing.assert_close(ours(torch.cat([clips, clips[:, :1]], 1)), ours(clips))  # half a tubelet is not seen
    with pytest.raises(UserError, match="takes at least 2"):
        ours(clips[:, :1])
    with pytest.raises(UserError, match="pool is 'max'"):
        vjepa2(str(tmp_path), pool="max")

"""Clips by the mean of their frames, with DINOv3 against transformers."""

import torch
from PIL import Image
from transformers import BitImageProcessor, DINOv3ViTConfig, DINOv3ViTModel

from artv_eval.features.dinov2 import dinov2
from artv_eval.features.dinov3 import dinov3
from artv_eval.features.of_frames import dinov2_frames, dinov3_frames


def test_dinov3_and_clips_by_the_mean_of_their_frames(tiny_dinov2, tmp_path, smooth_pictures):
    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    network = DINOv3ViTModel(config).eval()
    network.save_pretrained(tmp_path)
    pictures = smooth_pictures(6, 60, 90)
    process = BitImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, resample=Image.Resampling.BICUBIC
    )
    process.image_mean, process.image_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    with torch.no_grad():
        given = process([p.permute(1, 2, 0).numpy() for p in pictures], return_tensors="pt")
        expected = network(**given).pooler_output
    torch.testing.assert_close(dinov3(str(tmp_path), size=32).images(pictures), expected, atol=5e-3, rtol=0)
    clips = dinov3_frames(str(tmp_path), size=32)
    torch.testing.assert_close(
        clips(pictures.unflatten(0, (2, 3))), expected.unflatten(0, (2, 3)).mean(1), atol=5e-3, rtol=0
    )
    two = dinov2_frames(tiny_dinov2[1], size=28)
    assert two.name.endswith("-frames") and len({two.digest, dinov2(tiny_dinov2[1], size=28).digest, clips.digest}) == 3

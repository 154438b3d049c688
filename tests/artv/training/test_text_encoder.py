"""The contact sheet that the image tower sees, and the towers' sizes."""

import numpy as np
import pytest
import torch

from artv.training.text_encoder import contact_sheet, small_clip


@pytest.mark.parametrize(
    ("frames", "seen"), [(1, [0, 0, 0, 0]), (4, [0, 1, 2, 3]), (16, [0, 5, 10, 15]), (7, [0, 2, 4, 6])]
)
def test_four_frames_from_first_to_last_two_by_two(frames, seen):
    clips = torch.randint(0, 256, (2, frames, 3, 5, 6), dtype=torch.uint8)
    sheet = contact_sheet(clips).numpy()
    for b in range(2):
        a, b_, c, d = (clips[b, i].numpy() for i in seen)
        expected = np.concatenate([np.concatenate([a, b_], axis=2), np.concatenate([c, d], axis=2)], axis=1)
        assert np.array_equal(sheet[b], expected)


def test_the_small_clip_takes_sheets_and_tokens_of_its_vocabulary():
    vocabulary = [320, 736, 2866]
    clip = small_clip(vocabulary, 16).eval()
    tokens = torch.tensor([[2, 3, 4, 5, 6] + [0] * 27])
    with torch.no_grad():
        image, text, scale = clip(torch.zeros(1, 3, 32, 32), tokens)[:3]
    assert image.shape == text.shape == (1, 64) and scale.item() == pytest.approx(1 / 0.07, rel=1e-4)
    torch.testing.assert_close(text.norm(), torch.tensor(1.0))

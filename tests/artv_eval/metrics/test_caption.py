"""Caption accuracy with an oracle in place of the classifier."""

import pytest
import torch

from artv.data.shapes import COLOURS, MOTIONS
from artv.errors import UserError
from artv_eval.metrics.caption import CaptionEvaluator


class Oracle:
    """Knows the labels of the clips in the order they come; ``wrong`` of them are mistaken in colour."""

    name, digest = "oracle", "0"

    def __init__(self, labels, wrong=0):
        self.labels, self.wrong, self.seen = labels, wrong, 0

    def attributes(self, clip_BTCHW):
        B = len(clip_BTCHW)
        colour, pair = torch.zeros(B, len(COLOURS)), torch.zeros(B, len(COLOURS), len(MOTIONS))
        for row in range(B):
            for c, m in zip(self.labels[self.seen]["colour"], self.labels[self.seen]["motion_label"], strict=True):
                if c >= 0:
                    c = (c + 4) % 8 if self.seen < self.wrong else c
                    colour[row, c], pair[row, c, m] = 5, 5
            self.seen += 1
        return {"colour": colour, "pair": pair}


def test_caption_accuracy_is_the_share_of_named_things_recognised(world, labels, clip_set):
    for quantity, expected in (("caption", 1.0), ("colour", 1.0), ("motion", 1.0)):
        evaluator = CaptionEvaluator(Oracle(labels), quantity)
        assert evaluator.evaluate(evaluator.describe(clip_set(world[0], labels=labels))) == expected
    single = [label for label in labels if label["colour"][1] < 0]
    frames = world[0][: len(single)]
    evaluator = CaptionEvaluator(Oracle(single, wrong=2), "caption")
    rows = evaluator.describe(clip_set(frames, labels=single))
    assert evaluator.evaluate(rows) == pytest.approx(1 - 2 / len(single))
    assert CaptionEvaluator(Oracle(single), "motion").evaluate(rows) == 1  # the motion was right


def test_caption_metric_needs_labels(world, clip_set):
    with pytest.raises(UserError, match="colours and motions"):
        CaptionEvaluator(Oracle([])).describe(clip_set(world[0]))

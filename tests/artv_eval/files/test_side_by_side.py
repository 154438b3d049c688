"""Metrics of long clips in threads side by side: the rows that one after the other gives, whatever fails."""

import numpy as np
import torch
from torch import nn
from video_folders import clip_file

from artv_eval.files import describe, side_by_side
from artv_eval.files.decoding import Decoders, Excerpt
from artv_eval.files.describe import describe_files
from artv_eval.files.side_by_side import by_work, describing, on_gpu, shared_cores
from artv_eval.metrics.clipsim import AnchorSimilarity
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator, simple
from artv_eval.metrics.frames import FrameFidEvaluator
from artv_eval.metrics.picture_curves import consistency


class Means:
    """Means of nine cells of a picture, and how often it was asked for."""

    name, digest, dim, device = "means", "1", 27, "cpu"

    def __init__(self):
        self.pictures = 0

    def images(self, image_NCHW):
        self.pictures += len(image_NCHW)
        return nn.functional.adaptive_avg_pool2d(image_NCHW.float(), 3).flatten(1)


def broken(view):
    raise ValueError("no such luck")


def test_rows_are_the_same_side_by_side_and_an_encoder_sees_a_frame_once(tmp_path, monkeypatch):
    files = [clip_file(tmp_path / f"{i}.mp4", i, frames=70) for i in range(3)]
    encoder = Means()

    def measured():
        metrics = [AnchorSimilarity(encoder), FrameFidEvaluator(encoder), CurveEvaluator(consistency(encoder))]
        metrics += [curve("motion"), curve("sharpness"), CurveEvaluator(simple("broken", broken))]
        with Decoders(0) as decoders:
            return describe_files(files, metrics, Excerpt(frames=70), decoders=decoders)

    one_by_one = measured()
    assert encoder.pictures == 3 * 70
    monkeypatch.setattr(describe, "on_gpu", lambda evaluators: True)
    together = measured()
    assert encoder.pictures == 2 * 3 * 70
    assert set(one_by_one.rows) == set(together.rows) and len(together.rows) == 6  # of the metrics and of the files
    monkeypatch.setattr(side_by_side, "walked_on", lambda metric: "cpu" if metric.on_device else None)
    walked = measured()
    assert encoder.pictures == 3 * 3 * 70
    for digest, rows in one_by_one.rows.items():
        np.testing.assert_allclose(together.rows[digest], rows, rtol=1e-6)
        np.testing.assert_allclose(walked.rows[digest], rows, rtol=1e-5)
    assert "no such luck" in together.failed["broken-1"] == walked.failed["broken-1"]


def test_metrics_of_one_encoder_stay_together_and_a_gpu_is_seen_wherever_it_is_used():
    encoder = Means()
    metrics = [curve("motion"), AnchorSimilarity(encoder), curve("change"), CurveEvaluator(consistency(encoder))]
    assert [[metric.name for metric in some] for _, some in by_work(metrics)] == [
        ["motion/level"],
        ["anchor_similarity", "consistency/level"],
        ["change/level"],
    ]
    assert not on_gpu(metrics)
    encoder.device = "cuda:1"
    assert on_gpu(metrics[1:2]) and on_gpu(metrics[3:]) and not on_gpu(metrics[:1])


def test_torch_has_its_cores_back():
    before = torch.get_num_threads()
    with shared_cores(2):
        assert torch.get_num_threads() == max(1, before // 2)
    assert torch.get_num_threads() == before


def test_long_clips_are_described_a_few_at_a_time_where_there_are_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert [describing.__wrapped__(*which)[1] for which in ((False,), (True,), (False, True), (True, True))] == [
        1, 2, 4, 4,
    ]  # fmt: skip
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describing.__wrapped__(False, True)[1] == 1

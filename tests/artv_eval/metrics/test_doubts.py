"""Few clips behind a number are named."""

import numpy as np
import pytest

from artv_eval.features.clip import OpenClip
from artv_eval.features.shapes import shapes_clip
from artv_eval.metrics.base import MeanEvaluator
from artv_eval.metrics.clipsim import ClipSimDrift, ClipSimEvaluator
from artv_eval.metrics.doubts import Judged, caption_doubts, doubts
from artv_eval.metrics.frames import FrameFidEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval
from artv_eval.metrics.windows import WindowFvdEvaluator


class Share(MeanEvaluator):
    """The share of ones in the first column."""

    name, digest = "share", "0"

    def describe(self, clips):
        pytest.fail("statistics work on rows, without clips")

    def per_clip(self, rows):
        return rows[:, 0]


def said(found):
    return doubts([Judged(*one) for one in found])


def test_fewer_clips_than_dimensions_are_named_for_a_frechet_distance_only(mean_features):
    rows, reference = np.zeros((20, 64)), np.zeros((512, 64))
    found = [(FvdEvaluator(mean_features), rows, reference), (KvdEvaluator(mean_features), rows, reference)]
    assert said(found) == ["fvd: 20 clips describe a covariance of 64 dimensions; compare only with the same n"]
    assert said([(found[0][0], np.zeros((64, 64)), reference)]) == []
    (line,) = said([(found[0][0], np.zeros((64, 64)), rows)])
    assert "20 reference clips describe a covariance of 64" in line


def test_few_prompts_are_few_however_many_clips_they_have(mean_features):
    """Intervals and tests go by prompt: 4 of 8 clips each are 4, of which signs cannot be as one-sided as 0.05."""
    rows, prompts = np.zeros((32, 2)), [i // 8 for i in range(32)]
    assert said([(Share(), rows, None, prompts), (KvdEvaluator(mean_features), rows, rows, prompts)]) == [
        "share: a test of two models by fewer than 6 pairs, here 4, cannot reach p < 0.05",
        "share, kvd: 4 prompts are too few for the 95 % interval to be relied on; take 20 or more",
    ]
    rows[:8] = np.nan
    assert any("3 prompts are too few" in line for line in said([(Share(), rows, None, prompts)]))
    assert said([(Share(), np.zeros((32, 2)), None, list(range(32)))]) == []
    assert said([(Share(), np.zeros((32, 2)), None, ["one"] * 32)]) == []  # which has no other to vary with


def test_windows_and_frames_have_covariances_of_their_own(mean_features):
    class Encoder:
        name, digest, dim = "encoder", "0", 8

    dim = mean_features.dim
    lines = said([(WindowFvdEvaluator(mean_features), np.zeros((dim - 1, 3 * dim)), None)])
    assert f"window_fvd: {dim - 1} clips describe a covariance of {dim} dimensions" in lines[-1]
    assert said([(FrameFidEvaluator(Encoder()), np.zeros((20, 16 * 8)), None)]) == []
    (line,) = said([(FrameFidEvaluator(Encoder()), np.zeros((20, 8)), np.zeros((1, 16)))])
    assert line.startswith("frame_fid: 2 reference frames describe")


def test_very_few_clips_are_named_once_for_all_metrics(mean_features):
    rows = np.zeros((4, 2))
    found = [(KvdEvaluator(mean_features), rows, rows), (Share(), rows, None), (Share(), rows, None)]
    assert said(found) == [
        "kvd, share: 4 clips are too few for the 95 % interval to be relied on; take 20 or more",
        "share: a test of two models by fewer than 6 pairs, here 4, cannot reach p < 0.05",
    ]
    assert said([(Share(), np.append(np.zeros((20, 1)), [[np.nan]], 0), None), (Share(), None, None)]) == []
    cost = Share()
    cost.is_cost = True
    assert said([(cost, rows, None)]) == []


@pytest.mark.parametrize(("n", "covered"), [(8, False), (20, True)])
def test_the_floor_is_where_intervals_of_a_share_begin_to_cover(n, covered):
    rng = np.random.default_rng(0)
    found = [bootstrap_interval(Share(), (rng.random((n, 1)) < 0.8) * 1.0, resamples=200, seed=k) for k in range(400)]
    assert (np.mean([i.low <= 0.8 + 1e-9 and i.high >= 0.8 - 1e-9 for i in found]) > 0.92) == covered


def test_captions_that_the_encoder_does_not_see_whole_are_noted():
    """By a rule of open_clip's: a word is at least one token, and a text has a start and an end."""
    import open_clip

    network = open_clip.create_model("RN50-quickgelu", pretrained=None, load_weights=False)
    public = OpenClip(network, open_clip.get_tokenizer("RN50-quickgelu"), "clip-RN50", "0")
    whole, cut = " ".join(["cat"] * 75), " ".join(["cat"] * 76)
    assert (public.tokenize([whole]) != 0).sum() == (public.tokenize([cut]) != 0).sum() == 77
    pair = [ClipSimEvaluator(public), ClipSimDrift(public)]
    assert caption_doubts(pair, [whole]) == []
    (line,) = caption_doubts(pair, [cut, whole, cut])
    assert line.startswith("clipsim, clipsim_drift: 2 of 3 captions are not seen whole by clip-RN50: 'cat cat")
    assert line.endswith("…' has 78 tokens and is cut to 77")

    ours = ClipSimEvaluator(shapes_clip())
    (line,) = caption_doubts([ours], ["a red circle moves left", "a red zebra moves left"])
    assert "1 of 2 captions are not seen whole by shapes-clip: 'a red zebra moves left'" in line
    assert line.endswith("has words that it does not know (zebra)")

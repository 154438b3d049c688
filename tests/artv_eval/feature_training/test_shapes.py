"""Training of the shapes world's judges: its loss by hand, its clock, and what is noted of it."""

import math

import numpy as np
import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv_eval.feature_training.shapes import Pool, Run, classifier_loss, main, tenths


def run(tmp_path, **changes):
    asked = {"component": "classifier", "out": tmp_path, "minutes": 1.0, "device": "cpu", "batch_size": 4, "pool": 6}
    return Run(**asked | changes)


@pytest.mark.parametrize("count", [0, 1, 7, 10, 19, 109, 1000])
def test_losses_by_tenth_are_of_all_losses(count):
    values = np.random.default_rng(0).random(count).tolist()
    found = tenths(values)
    assert len(found) == min(count, 10)
    if count >= 10:
        sizes = np.array([count // 10 + (k < count % 10) for k in range(10)])
        assert np.dot(found, sizes) == pytest.approx(sum(values))
        assert found[-1] == pytest.approx(np.mean(values[-sizes[-1] :]))


@pytest.mark.parametrize(
    ("share", "factor"), [(0.0, 0.01), (0.015, 0.51), (0.03, 1.0), (0.5, 1.0), (1.0, 1.0), (7.0, 1.0)]
)
def test_the_rate_warms_up_and_falls_as_a_cosine_of_the_time(tmp_path, monkeypatch, share, factor):
    made = run(tmp_path, started=100.0, rate=2e-3)
    monkeypatch.setattr("time.monotonic", lambda: 100.0 + 60 * share)
    done = min(share, 1.0)
    assert made.progress == pytest.approx(done)
    wanted = 2e-3 * factor * 0.5 * (1 + math.cos(math.pi * done))
    assert made.learning_rate() == pytest.approx(wanted, abs=1e-9)


def test_the_record_says_how_to_make_the_weights_again(tmp_path):
    made = run(tmp_path, minutes=2.5, seed=7)
    made.steps, made.losses = 30, [1.0, 2.0]
    found = made.record({"clips": 5})
    assert found["command"].endswith("--component classifier --minutes 2.5 --device cpu --batch-size 4 --seed 7")
    assert (found["clips_seen"], found["loss_by_tenth"], found["held_out"]) == (120, [1.0, 2.0], {"clips": 5})


def test_clips_are_drawn_from_the_training_split_and_renewed(tmp_path):
    pool = Pool(run(tmp_path))
    first = pool.data.frames.clone()
    assert torch.equal(first, ShapesWorld("train", seed=0).batch(range(6)).frames)
    for _ in range(60):
        rows = pool.draw()
        assert len(rows) == 4 and set(rows.tolist()) <= set(range(6))
    assert pool.next_index > 6 and not torch.equal(pool.data.frames, first)


@pytest.fixture(scope="module")
def batch():
    return ShapesWorld("train", seed=0).batch(range(5))


def outputs(batch, seed=0):
    """Logits of a network that knows nothing."""
    g = torch.Generator().manual_seed(seed)
    shapes = {"colour": (8,), "shape": (6,), "pair": (8, 9), "corruption": (8,), "strength": (8,)}
    found = {key: torch.randn(5, *shape, generator=g) for key, shape in shapes.items()}
    found["background"] = torch.randn(batch.background.shape, generator=g)
    return found


def entropy(logit, target):
    """Binary cross entropy of one logit."""
    p = 1 / (1 + math.exp(-float(logit)))
    return -math.log(p) if target else -math.log(1 - p)


def by_hand(out, batch, strength):
    """The loss, clip by clip and label by label."""
    total, B, motions = 0.0, 5, out["pair"].shape[2]
    for b in range(B):
        there = [o for o in range(2) if batch.colour[b, o] >= 0]
        labels = {
            "colour": {int(batch.colour[b, o]) for o in there},
            "shape": {int(batch.shape[b, o]) for o in there},
            "pair": {int(batch.colour[b, o]) * motions + int(batch.motion_label[b, o]) for o in there},
        }
        for key, weight in (("colour", 1), ("shape", 1), ("pair", 2)):
            if key == "pair" and max(strength[b, 4], strength[b, 6]) >= 0.4:
                continue  # frozen or shuffled: its motion teaches nothing
            logits = out[key][b].flatten()
            total += weight * sum(entropy(logits[k], k in labels[key]) for k in range(len(logits))) / B
    damage = [entropy(out["corruption"][b, k], strength[b, k] > 0) for b in range(B) for k in range(8)]
    total += 8 * float(np.mean(damage)) + 10 * float(((out["strength"] - strength) ** 2).mean())
    return total + 4 * float(((out["background"] - (batch.background - 0.5) / 0.15) ** 2).mean())


@pytest.mark.parametrize("kind", [None, 4, 6, 2])
def test_the_classifiers_loss_is_the_sum_over_its_labels(batch, kind):
    strength = torch.zeros(5, 8)
    if kind is not None:
        strength[:3, kind] = torch.tensor([0.2, 0.4, 0.9])
    out = outputs(batch)
    if out["shape"].shape[1] <= int(batch.shape.max()):
        pytest.fail("the world has more shapes than this test knows")
    assert float(classifier_loss(out, batch, torch.arange(5), strength)) == pytest.approx(
        by_hand(out, batch, strength), rel=1e-5
    )


@pytest.mark.parametrize(
    ("words", "message"), [(("--minutes", "0"), "minutes 0.0"), (("--batch-size", "1"), "batch size 1")]
)
def test_a_training_without_time_or_clips_is_one_line(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        main(["--component", "clip", "--out", str(tmp_path / "x"), *words])
    assert not (tmp_path / "x").exists()

"""The contract tests catch and name what is wrong in parts of the harness: each is right but for one thing."""

import dataclasses

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval import GeneratedClip, testing
from artv_eval.ablations import mask as mask_ablation
from artv_eval.api import CellSpec
from artv_eval.methods.trivial import CopyFirst, Real


def grey(*, level: int = 128):
    """Right: grey frames with a dot that the seed places."""

    def draw(prompts, height, width, seeds):
        frames = np.full((len(prompts), height, width, 3), level, np.uint8)
        for frame, seed in zip(frames, seeds, strict=True):
            frame[seed % height, seed % width] = 255
        return frames

    return draw


def test_wrong_first_frames():
    testing.check_first_frame(grey)
    with pytest.raises(AssertionError, match="uint8"):
        testing.check_first_frame(lambda: lambda *a: grey()(*a).astype(np.float32))
    with pytest.raises(AssertionError, match="shape"):
        testing.check_first_frame(lambda: lambda *a: grey()(*a).transpose(0, 3, 1, 2))
    with pytest.raises(AssertionError, match="same seeds"):
        testing.check_first_frame(
            lambda: lambda p, h, w, s: np.random.default_rng().integers(0, 255, (len(p), h, w, 3), np.uint8)
        )


def test_wrong_readers():
    from artv.data.readers import PyAvReader

    class Bgr(PyAvReader):
        def frames(self, indices):
            return super().frames(indices)[..., ::-1]

    class Sorted(PyAvReader):
        def frames(self, indices):
            return super().frames(sorted(set(indices)))

    class Tolerant(PyAvReader):
        def __init__(self, path):
            try:
                super().__init__(path)
            except Exception:
                self.fps, self.blank = 8.0, True

        def __len__(self):
            return 1 if hasattr(self, "blank") else super().__len__()

        def frames(self, indices):
            return np.zeros((1, 8, 8, 3), np.uint8) if hasattr(self, "blank") else super().frames(indices)

    class Trusting(PyAvReader):
        """Counts keyframes by their place in the file, as decord does."""

        def frames(self, indices):
            shown = super().frames(range(len(self)))
            return shown[[i - 10 if i >= 12 and len(self) > 12 else i for i in indices]]

    wrongs = ((Bgr, "RGB"), (Sorted, "shapes|differ"), (Tolerant, "no video gives frames"), (Trusting, "B-frames"))
    for wrong, message in wrongs:
        with pytest.raises(AssertionError, match=message):
            testing.check_reader(wrong)


class Card:
    """Right."""

    name, hash = "tiny@1", "0123456789abcdef"

    def requests(self, num=None, frames=None, seed=0):
        return testing.toy_requests(num or 4, frames=frames or 6, seed=seed)

    def reference(self):
        return testing.toy_clips(3, start=40)


def test_wrong_protocols():
    testing.check_protocol(Card)

    class LeaksTruth(Card):
        def reference(self):
            return testing.toy_clips(3)

    class IgnoresSeed(Card):
        def requests(self, num=None, frames=None, seed=0):
            return super().requests(num, frames)

    class IgnoresFrames(Card):
        def requests(self, num=None, frames=None, seed=0):
            return super().requests(num, None, seed)

    class DependsOnNumber(Card):
        def requests(self, num=None, frames=None, seed=0):
            return super().requests(num, frames, seed)[::-1]

    class NewHash(Card):
        def __init__(self):
            self.hash = str(np.random.default_rng().integers(10**12))

    class OneIndex(Card):
        def requests(self, num=None, frames=None, seed=0):
            return [dataclasses.replace(r, index=0) for r in super().requests(num, frames, seed)]

    for wrong, message in (
        (LeaksTruth, "ground truth of a request"), (IgnoresSeed, "same seeds"), (IgnoresFrames, "num_frames"),
        (DependsOnNumber, "first of 4"), (NewHash, "different hashes"), (OneIndex, "one index"),
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=message):
            testing.check_protocol(wrong)


class Means:
    """Right: the mean colour of the first and last frame."""

    name, digest, dim = "means", "1", 6

    def __call__(self, clips_BTCHW):
        ends = clips_BTCHW[:, [0, -1]].float().mean((-1, -2))
        return ends.flatten(1)


def test_wrong_features():
    testing.check_feature(Means)
    cases = {
        "float32": lambda self, x: Means.__call__(self, x).double(),
        "dim is 6": lambda self, x: Means.__call__(self, x)[:, :3],
        "alone and in a batch": lambda self, x: Means.__call__(self, x) - Means.__call__(self, x).mean(0),
        "same features": lambda self, x: torch.ones(len(x), 6),
        "finite": lambda self, x: Means.__call__(self, x) / 0,
        "two calls": lambda self, x: Means.__call__(self, x) + torch.rand(6),
    }
    for message, call in cases.items():
        with pytest.raises(AssertionError, match=message):
            testing.check_feature(type("Wrong", (Means,), {"__call__": call}))
    with pytest.raises(AssertionError, match="digest"):
        testing.check_feature(type("Wrong", (Means,), {"digest": ""}))


class Brightness:
    """Right."""

    name, digest, higher_is_better, needs = "brightness", "1", None, frozenset()

    def describe(self, clips):
        return np.array([[clip.frames.mean()] for _, clip in clips])

    def per_clip(self, rows):
        return rows[:, 0]

    def evaluate(self, rows, reference=None):
        return float(rows[:, 0].mean())


def test_wrong_metrics():
    testing.check_metric(Brightness)

    def wrong(**members):
        return type("Wrong", (Brightness,), members)

    cases = {
        "it must be (6, d)": wrong(describe=lambda self, clips: Brightness.describe(self, clips)[:, 0]),
        "alone and among all": wrong(
            describe=lambda self, clips: Brightness.describe(self, clips) - Brightness.describe(self, clips).mean()
        ),
        "must be a float": wrong(evaluate=lambda self, rows, reference=None: rows.mean(0)),
        "another order": wrong(evaluate=lambda self, rows, reference=None: float(rows[0, 0])),
        "mean of per_clip": wrong(per_clip=lambda self, rows: rows[:, 0] * 2),
        "needs is": wrong(needs=frozenset({"masks"})),
        "higher_is_better": wrong(higher_is_better="yes"),
    }
    for message, metric in cases.items():
        with pytest.raises(AssertionError, match=message.replace("(", r"\(").replace(")", r"\)")):
            testing.check_metric(metric)


def test_wrong_methods():
    class Random(Real):
        def generate(self, requests):
            for clip in super().generate(requests):
                yield GeneratedClip(np.random.default_rng().permuted(clip.frames))

    class OneTooFew(Real):
        def generate(self, requests):
            return list(super().generate(requests))[1:]

    class Floats(Real):
        def generate(self, requests):
            return [GeneratedClip(clip.frames / 255) for clip in super().generate(requests)]

    class BatchPosition(Real):
        def generate(self, requests):
            for i, clip in enumerate(super().generate(requests)):
                yield GeneratedClip(np.roll(clip.frames, 16 * i, axis=1))

    class MaskOutOfRange(Real):
        def generate(self, requests):
            for request, clip in zip(requests, super().generate(requests), strict=True):
                yield GeneratedClip(clip.frames, np.full((request.num_frames - 1, 4, 4), 255, np.float32))

    class Touches(CopyFirst):
        def generate(self, requests):
            for request in requests:
                request.first_frame[:] = 0
            return super().generate(requests)

    class ObjectSetting(Real):
        def __init__(self, *, scheduler=object()):
            self.scheduler = scheduler

    class Swallows(Real):
        def __init__(self, **settings):
            self.settings = settings

    for wrong, message in (
        (Random, "draw only from request.seed"), (OneTooFew, "clips for 3 requests"), (Floats, "uint8"),
        (BatchPosition, "alone and among|order of the requests"), (MaskOutOfRange, r"leaves 0\.\.1"),
        (Touches, "written to"), (ObjectSetting, "scheduler"), (Swallows, "accepted in silence"),
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=message):
            testing.check_method(wrong)


def test_wrong_ablations():
    cell = CellSpec(name="a", method="artv")
    cases = {
        "two cells are named": lambda: lambda context: [cell, cell],
        "list of CellSpec": lambda: lambda context: ["a"],
        "nothing to compare": lambda: lambda context: [dataclasses.replace(cell, sanity=True)],
        "is an object": lambda: lambda context: [dataclasses.replace(cell, settings={"sampler": object()})],
        "differ from call": lambda: (
            lambda context: [dataclasses.replace(cell, settings={"seed": int(np.random.default_rng().integers(10**9))})]
        ),
    }
    testing.check_ablation(mask_ablation)
    for message, wrong in cases.items():
        with pytest.raises(AssertionError, match=message):
            testing.check_ablation(wrong)


def test_wrong_executors():
    class Base:
        def run(self, work, tasks):
            for task in tasks:
                yield task, work(task)

    class Loses(Base):
        def run(self, work, tasks):
            yield from list(super().run(work, tasks))[1:]

    class Mixes(Base):
        def run(self, work, tasks):
            done = list(super().run(work, tasks))
            yield from zip([t for t, _ in done], [r for _, r in done[::-1]], strict=True)

    class Swallows(Base):
        def run(self, work, tasks):
            for task in tasks:
                try:
                    yield task, work(task)
                except OSError:
                    yield task, None

    class Waits(Base):
        def run(self, work, tasks):
            return list(super().run(work, tasks))

    testing.check_executor(Base)
    for wrong, message in (
        (Loses, "not every task"), (Mixes, "of another one"), (Swallows, "swallowed"), (Waits, "must be an iterator")
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=message):
            testing.check_executor(wrong)


def test_wrong_reporters():
    def values(results):
        return " ".join(f"{row.cell} {row.metric} {row.value}" for row in results.rows)

    testing.check_reporter(lambda: values)
    cases = {
        "'31.25'": lambda: lambda results: "fvd alpha beta 62.5",
        "must give text": lambda: lambda results: values(results).encode(),
        "differs from call": lambda: lambda results: values(results) + str(np.random.default_rng().random()),
        "a cell is not": lambda: lambda results: values(results).replace("beta", ""),
    }
    for message, wrong in cases.items():
        with pytest.raises(AssertionError, match=message):
            testing.check_reporter(wrong)


def test_check_plugin_finds_targets_that_are_not_there(site):
    site.install("good")
    with pytest.raises(AssertionError, match="no docstring"):
        testing.check_plugin("good")
    hook = "from artv_eval import Component, hookimpl\n@hookimpl\ndef register_samplers():\n"
    site.install("hollow", hook + "    return [Component('a', 'no_such_module:f', 's')]\n")
    with pytest.raises(UserError, match="no_such_module"):
        testing.check_plugin("hollow")
    with pytest.raises(AssertionError, match="no plugin 'nobody'"):
        testing.check_plugin("nobody")

"""The contract tests: what is right passes, a deliberately wrong implementation of each kind is caught and named."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from artv.accelerations import SkipCopied
from artv.errors import UserError
from artv_eval import Component, GeneratedClip, testing
from artv_eval.ablations import mask as mask_ablation
from artv_eval.api import CellSpec
from artv_eval.components import KINDS
from artv_eval.first_frames import FolderOfPictures
from artv_eval.methods import CopyFirst, Real
from artv_eval.plugins import PluginManager


def built_in(kind):
    manager = PluginManager()
    return [pytest.param(manager.target(e), id=e.component.name) for e in manager.entries if e.kind == kind]


@pytest.mark.parametrize("sampler", built_in("samplers"))
def test_our_samplers_hold_the_contract(sampler):
    testing.check_sampler(sampler)


@pytest.mark.parametrize("guidance", [p for p in built_in("guidance") if p.id != "none"])
def test_our_guidance_holds_the_contract(guidance):
    testing.check_guidance(guidance)


@pytest.mark.parametrize("mask", built_in("masks"))
def test_our_mask_rules_hold_the_contract(mask):
    testing.check_mask(mask)


@pytest.mark.parametrize("levels", built_in("noise_levels"))
def test_our_noise_levels_hold_the_contract(levels):
    testing.check_ref_noise(levels)


@pytest.mark.parametrize("acceleration", built_in("accelerations"))
def test_our_accelerations_hold_the_contract(acceleration):
    settings = {"exact": {"threshold": 1.01}} if acceleration is SkipCopied else {}
    testing.check_acceleration(acceleration, **settings)


# image becomes a strategy in the pipeline, which encodes it: tests/artv/test_pipeline.py
@pytest.mark.parametrize("anchor", [p for p in built_in("anchors") if p.id != "image"])
def test_our_anchors_hold_the_contract(anchor):
    testing.check_anchor(anchor)


@pytest.mark.parametrize("captioned", [True, False])
def test_our_first_frames_hold_the_contract(tmp_path, captioned):
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (20, 30), colour).save(tmp_path / f"{i}.png")
    if captioned:
        (tmp_path / "captions.csv").write_text("file,caption\n0.png,a red circle\n1.png,a blue square\n")
    testing.check_first_frame(FolderOfPictures, settings={"path": str(tmp_path)})
    draw = FolderOfPictures(str(tmp_path))
    by_prompt = draw(["a blue square"], 8, 8, [0])
    assert (by_prompt == ((0, 0, 255) if captioned else (255, 0, 0))).all()


def test_first_frames_of_a_folder_name_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        FolderOfPictures(str(tmp_path))
    (tmp_path / "captions.csv").write_text("file,caption\nno.png,a red circle\n")
    with pytest.raises(UserError, match=r"no picture for the prompt 'a red circel'.*a red circle"):
        FolderOfPictures(str(tmp_path))(["a red circel"], 8, 8, [0])
    with pytest.raises(UserError, match=r"no\.png does not exist"):
        FolderOfPictures(str(tmp_path))(["a red circle"], 8, 8, [0])


@pytest.mark.parametrize("reader", built_in("readers"))
def test_our_readers_hold_the_contract(reader):
    testing.check_reader(reader)


@pytest.mark.parametrize("method", [Real, CopyFirst])
def test_our_trivial_methods_hold_the_contract(method):
    testing.check_method(method)


@pytest.mark.parametrize("ablation", built_in("ablations"))
def test_our_ablations_hold_the_contract(ablation):
    testing.check_ablation(ablation)


def test_our_serial_executor_holds_the_contract():
    from artv_eval.executors.serial import SerialExecutor

    testing.check_executor(SerialExecutor)


def test_the_ray_executor_holds_the_contract():
    pytest.importorskip("ray", reason="ray is an optional dependency")
    from artv_eval.executors.ray import RayExecutor

    testing.check_executor(RayExecutor)


@pytest.mark.parametrize("reporter", built_in("reporters"))
def test_our_reporters_hold_the_contract(reporter):
    testing.check_reporter(reporter)


# --- wrong implementations: each is right but for one thing, which the message must name


def euler(denoise, x, sigmas, *, noise=None, callback=None):
    """Euler's method, right."""
    for i in range(len(sigmas) - 1):
        x0 = denoise(x, sigmas[i])
        if callback:
            callback(i, sigmas[i], x, x0)
        x = x0 + (x - x0) * (sigmas[i + 1] / sigmas[i]).to(x)
    return x


def stops_early(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas[: len(sigmas) // 2], callback=callback)


def silent(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas)


def global_noise(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas, callback=callback) + 0.01 * torch.randn_like(x)


def mixes_the_batch(denoise, x, sigmas, *, noise=None, callback=None):
    x = euler(denoise, x, sigmas, callback=callback)
    return x + 0.05 * x.mean(0, keepdim=True)


def shrinks(denoise, x, sigmas, *, noise=None, callback=None):
    return 1.5 + 0.5 * (euler(denoise, x, sigmas, callback=callback) - 1.5)


def writes_to_sigmas(denoise, x, sigmas, *, noise=None, callback=None):
    x = euler(denoise, x, sigmas, callback=callback)
    sigmas[-1] = 1e-3
    return x


def swallows_settings(denoise, x, sigmas, *, noise=None, callback=None, **options):
    return euler(denoise, x, sigmas, callback=callback)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (stops_early, "times, not 40"),
        (silent, "callback"),
        (global_noise, "draw only from noise"),
        (mixes_the_batch, "mean|alone and in a batch"),
        (shrinks, "deviation"),
        (writes_to_sigmas, "sigmas before and after"),
        (swallows_settings, "accepted in silence"),
    ],
)
def test_wrong_samplers(wrong, message):
    testing.check_sampler(euler)
    with pytest.raises(AssertionError, match=message):
        testing.check_sampler(wrong)


class TextOnly:
    """Right: classifier-free guidance by the text."""

    def __init__(self, *, scale: float = 2.0):
        self.scale = scale

    def branches(self, sigma=None):
        return (frozenset(), frozenset({"text"}))

    def combine(self, predictions, sigma=None):
        full, without = predictions
        return full + self.scale * (full - without)


class Unnormalised(TextOnly):
    def combine(self, predictions, sigma=None):
        return self.scale * predictions[0] + predictions[1]


class IdleBranch(TextOnly):
    def branches(self, sigma=None):
        return (*super().branches(), frozenset({"ref"}))

    def combine(self, predictions, sigma=None):
        return super().combine(predictions[:2])


class NoFullBranch(TextOnly):
    def branches(self, sigma=None):
        return (frozenset({"text"}), frozenset())


class StrangeCondition(TextOnly):
    def branches(self, sigma=None):
        return (frozenset(), frozenset({"caption"}))


class InPlace(TextOnly):
    def combine(self, predictions, sigma=None):
        predictions[0] += self.scale * (predictions[0] - predictions[1])
        return predictions[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Unnormalised, "equal predictions"),
        (IdleBranch, "never matters"),
        (NoFullBranch, "must drop no condition"),
        (StrangeCondition, "something else"),
        (InPlace, "called twice|written to"),
    ],
)
def test_wrong_guidance(wrong, message):
    testing.check_guidance(TextOnly)
    with pytest.raises(AssertionError, match=message):
        testing.check_guidance(wrong)


def hard(*, threshold: float = 0.5):
    """Right: 0 or 1."""
    return lambda mask, sigma: (mask > threshold).to(mask)


def test_wrong_masks():
    testing.check_mask(hard)
    with pytest.raises(AssertionError, match=r"leaves 0\.\.1"):
        testing.check_mask(lambda *, gain=2.0: lambda mask, sigma: mask * gain)
    with pytest.raises(AssertionError, match="shape"):
        testing.check_mask(lambda: lambda mask, sigma: mask[:, 0])
    with pytest.raises(AssertionError, match="alone and in a batch"):
        testing.check_mask(lambda: lambda mask, sigma: mask / mask.max())
    with pytest.raises(AssertionError, match="written to"):
        testing.check_mask(lambda: lambda mask, sigma: mask.clamp_(0.2, 0.8))


def test_wrong_anchors():
    class Remembers:
        def __init__(self):
            self.calls = 0

        def __call__(self, past):
            self.calls += 1
            return past.first * self.calls

    with pytest.raises(AssertionError, match="keep no state"):
        testing.check_anchor(Remembers)
    with pytest.raises(AssertionError, match="shape"):
        testing.check_anchor(lambda: lambda past: past.newest[:, :1])
    with pytest.raises(AssertionError, match=r"written to|keep no state"):
        testing.check_anchor(lambda: lambda past: past.newest.mul_(0.9))
    with pytest.raises(AssertionError, match="alone and in a batch"):
        testing.check_anchor(lambda: lambda past: past.newest - past.newest.mean(0, keepdim=True))


def squared(*, high: float = 0.3):
    """Right: mostly near 0."""
    return lambda u: high * u**2


def test_wrong_noise_levels():
    testing.check_ref_noise(squared)
    cases = {
        r"a number in 0\.\.1": lambda *, high=2.0: lambda u: high * u,
        "not a number": lambda: lambda u: (1 - u).log() / u,
        "a tensor": lambda: lambda u: 0.1,
        r"must be \(B,\)": lambda: lambda u: u[:1],
        "draw nothing": lambda: lambda u: 0.2 * torch.rand_like(u),
        "alone and in a batch": lambda: lambda u: 0.2 * u / u.max(),
        "written to": lambda: lambda u: u.mul_(0.5),
        "accepted in silence": lambda **settings: lambda u: u,
        "must be a function": lambda: 0.1,
    }
    for message, wrong in cases.items():
        with pytest.raises(AssertionError, match=message):
            testing.check_ref_noise(wrong)


class ReuseLatest:
    """Right: every so many evaluations, the x0 of the one before."""

    def __init__(self, *, every: int = 4):
        if every < 1:
            raise UserError(f"every is {every}")
        self.every = every

    def __call__(self, denoiser):
        calls, kept = 0, None

        def denoise(x, sigma):
            nonlocal calls, kept
            calls += 1
            if kept is None or self.every == 1 or calls % self.every:
                kept = denoiser(x, sigma)
            return kept

        return denoise


class RemembersFrames(ReuseLatest):
    """Its latest x0 lives on in the next frame."""

    kept = None

    def __call__(self, denoiser):
        def denoise(x, sigma):
            if self.kept is None or self.kept[0] != float(sigma):
                self.kept = float(sigma), denoiser(x, sigma)
            return self.kept[1]

        return denoise


class NeverExact(ReuseLatest):
    def __call__(self, denoiser):
        return ReuseLatest(every=4)(denoiser)


class TakesAnything(ReuseLatest):
    def __init__(self, *, every: int = 4):
        self.every = max(every, 1)


def around(change):
    """An acceleration that is exact but for ``change(x0, x, denoiser, sigma)``."""
    return lambda: lambda denoiser: lambda x, sigma: change(denoiser(x, sigma), x, denoiser, sigma)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RemembersFrames, "in turns with another"),
        (NeverExact, "nothing is reused, but"),
        (TakesAnything, "every=0 is accepted"),
        (around(lambda x0, x, denoiser, sigma: x0 + 0.01 * torch.randn_like(x0)), "draw nothing"),
        (around(lambda x0, x, denoiser, sigma: x0 - 0.1 * x0.mean(0, keepdim=True)), "alone and in a batch"),
        (around(lambda x0, x, denoiser, sigma: denoiser(x, sigma)), "rows of the networks"),
        (around(lambda x0, x, denoiser, sigma: x), "away from the exact one"),
        (around(lambda x0, x, denoiser, sigma: x0 / 0), "not finite"),
        (around(lambda x0, x, denoiser, sigma: x0[:, :1]), "the shape"),
        (around(lambda x0, x, denoiser, sigma: x.copy_(x0)), "written to"),
        (lambda **settings: lambda denoiser: denoiser, "accepted in silence"),
    ],
)
def test_wrong_accelerations(wrong, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_acceleration(wrong)


def test_a_right_acceleration():
    testing.check_acceleration(ReuseLatest)


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
                self._length, self.fps, self.blank = 1, 8.0, True

        def frames(self, indices):
            return np.zeros((1, 8, 8, 3), np.uint8) if hasattr(self, "blank") else super().frames(indices)

    for wrong, message in ((Bgr, "RGB"), (Sorted, "shapes|differ"), (Tolerant, "no video gives frames")):
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


def test_there_is_a_contract_for_every_kind():
    for kind in KINDS.values():
        assert callable(getattr(testing, f"check_{kind.role}")), kind.name
        assert getattr(testing, f"check_{kind.role}").__doc__
    assert Component("a", "b:c", "d").argument is None

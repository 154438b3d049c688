"""A one-file plugin with everything that a sweep needs, small enough to run in milliseconds.

Its world: clips of 4 frames of 8×8 pixels; the caption names a brightness, and a square moves.
"""

import os
import time
from pathlib import Path

import numpy as np

from artv_eval import ClipRequest, ClipSet, Component, FailedClip, GeneratedClip, hookimpl

FRAMES, SIZE = 4, 8


@hookimpl
def register_trainers():
    return [Component("toy-train", f"{__name__}:ToyTrainer", "a number of noise, drawn from the seed")]


@hookimpl
def register_protocols():
    return [Component("toy@1", f"{__name__}:Card", "the toy world")]


@hookimpl
def register_methods():
    return [
        Component("noisy", f"{__name__}:Noisy", "the real clip with noise"),
        Component("breaks", f"{__name__}:Breaks", "raises at clip 3"),
        Component("learnt", f"{__name__}:Learnt", "noise of a strength that was trained"),
        Component("loses", f"{__name__}:Loses", "gives all clips but some"),
        Component("hungry", f"{__name__}:Hungry", "takes more memory than there is for more than one clip"),
    ]


@hookimpl
def register_metrics():
    return [
        Component("brightness", f"{__name__}:Brightness", "mean over pixels, as the caption says"),
        Component("distance", f"{__name__}:Distance", "squared distance of mean rows to the reference's"),
        Component("raises", f"{__name__}:Faulty", "raises"),
        Component("rubbish", f"{__name__}:Rubbish", "gives what is no value"),
        Component("needs-mask", f"{__name__}:NeedsMask", "only for methods with a mask"),
    ]


@hookimpl
def register_ablations():
    return [
        Component("noise", f"{__name__}:noise", "little against much"),
        Component("learning", f"{__name__}:learning", "trained on clean data against noisy data"),
        Component("breaking", f"{__name__}:breaking", "a method that fails beside one that works"),
        Component("losing", f"{__name__}:losing", "a method that loses clips beside one that works"),
        Component("absent", f"{__name__}:absent", "a method that nobody installed"),
        Component("idle", f"{__name__}:idle", "a setting that changes nothing"),
        Component("eating", f"{__name__}:eating", "a hungry method beside one that is not"),
    ]


def clip(index, frames=FRAMES, offset=0):
    rng = np.random.default_rng([index, offset])
    ground = rng.integers(20, 200, (1, SIZE, SIZE, 3), dtype=np.uint8)
    frames_THWC = np.repeat(ground, frames, 0)
    for t in range(frames):
        frames_THWC[t, (index + t) % SIZE, :, :] = 255
    return frames_THWC


class Card:
    name = "toy@1"
    metrics = ("brightness", "distance")

    def __init__(self, *, salt: int = 0):
        self.hash = f"{0xABCDEF + salt:012x}"

    def requests(self, num=None, frames=None, seed=0):
        made = []
        for i in range(num or 6):
            real = clip(i, frames or FRAMES)
            made.append(
                ClipRequest(
                    index=i, prompt=f"clip <{i}>", seed=seed * 1000 + i, num_frames=frames or FRAMES, height=SIZE,
                    width=SIZE, fps=8.0, first_frame=real[0], real=real, labels={"level": real.mean()},
                )
            )  # fmt: skip
        return made

    def reference(self):
        requests = [
            ClipRequest(index=i, prompt="", seed=0, num_frames=FRAMES, height=SIZE, width=SIZE, fps=8.0)
            for i in range(12)
        ]
        return ClipSet(requests, lambda i: GeneratedClip(clip(i, offset=1)))


class Noisy:
    """Adds noise of a given strength.

    Args:
        strength: of the noise, in grey levels.
        masked: whether it says what it copied.
        together: whether all clips of a batch are made before the first is given.
    """

    def __init__(
        self,
        *,
        strength: float = 1.0,
        steps: int = 3,
        masked: bool = False,
        together: bool = False,
        device: str = "cpu",
    ):
        self.strength, self.steps, self.masked, self.device = strength, steps, masked, device
        self.together = together

    def conditions(self):
        return {"precision": f"noise {self.strength:g}", "steps": self.steps}

    def generate(self, requests):
        return list(self._clips(requests)) if self.together else self._clips(requests)

    def _clips(self, requests):
        for request in requests:
            log(f"{self.strength} {request.index}")
            time.sleep(float(os.environ.get("TOY_SECONDS", "0")) / 2)
            if os.environ.get("TOY_INTERRUPT_AT") == f"{self.strength} {request.index}":
                raise KeyboardInterrupt
            rng = np.random.default_rng(request.seed)
            size = (request.num_frames, request.height, request.width, 3)
            real = np.zeros(size) if request.real is None else request.real
            noise = rng.normal(self.strength, self.strength, real.shape) + float(os.environ.get("TOY_SHIFT", "0"))
            mask = np.zeros((request.num_frames - 1, 2, 2), np.float32) if self.masked else None
            yield GeneratedClip((real + noise).clip(0, 255).astype(np.uint8), mask)


class Learnt(Noisy):
    """Noisy, of the strength in a checkpoint."""

    def __init__(self, *, checkpoint: str = "none"):
        super().__init__(strength=float((Path(checkpoint) / "strength").read_text()))


class ToyTrainer:
    """Draws a strength around a mean, a line a step; it is interrupted or fails where the environment says so.

    Args:
        spread: between trainings.
    """

    def __init__(self, *, spread: float = 2.0):
        self.spread = spread

    def settings(self, changes, *, seed, steps):
        known = {"mean": 10.0, "data": "clean"}
        if unknown := set(changes) - set(known):
            from artv.errors import UserError, closest

            raise UserError(f"training has no setting {min(unknown)!r}; {closest(min(unknown), known)}")
        return {**known, **changes, "seed": seed, "steps": steps or 3, "code": 1}

    def train(self, settings, folder):
        done = folder / "steps"
        for step in range(self.steps(folder), settings["steps"]):
            log(f"train {settings['mean']:g} {settings['seed']} {step}")
            time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
            if os.environ.get("TOY_TRAINING_STOPS_AT") == f"{settings['mean']:g} {settings['seed']} {step}":
                raise KeyboardInterrupt
            if os.environ.get("TOY_TRAINING_FAILS") == f"{settings['mean']:g} {settings['seed']}":
                raise ValueError("the loss became\nnan")
            done.write_text(str(step + 1))
        (folder / "pipeline").mkdir(exist_ok=True)
        rng = np.random.default_rng([settings["seed"], int(settings["mean"])])
        strength = settings["mean"] * (1 + 1 / settings["steps"]) + self.spread * rng.normal()
        (folder / "pipeline" / "strength").write_text(str(max(strength, 0.0)))

    def steps(self, folder):
        done = folder / "steps"
        return int(done.read_text()) if done.exists() else 0

    def curves(self, folder):
        return {"loss": [(step, 1 / (1 + step)) for step in range(self.steps(folder))]}

    def cost(self, settings):
        return settings["steps"] * 2.0, int(os.environ.get("TOY_BYTES", "1000"))


class Breaks:
    def generate(self, requests):
        for request in requests:
            if request.index == 3 and "TOY_MENDED" not in os.environ:
                raise RuntimeError("out of\nluck")
            yield GeneratedClip(request.real)


class Loses(Noisy):
    """Noisy, without the clips of ``lost``."""

    def __init__(self, *, lost: tuple[int, ...] = (3,)):
        super().__init__()
        self.lost = lost

    def generate(self, requests):
        for request, clip in zip(requests, super().generate(requests), strict=True):
            yield FailedClip("latent not finite\nat frame 2") if request.index in self.lost else clip


class Hungry(Noisy):
    """Noisy; asks ``library`` for 16 MB for one clip and for 256 TB and more for several, or says what a GPU would."""

    def __init__(self, *, library: str = "numpy"):
        super().__init__(strength=2.0)
        self.library = library

    def generate(self, requests):
        import torch

        log(f"batch {len(requests)}")
        if self.library == "gpu" and len(requests) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256.00 TiB")
        make = torch.empty if self.library == "torch" else np.empty
        make(2 ** min(24 * len(requests), 60), dtype=torch.uint8 if self.library == "torch" else np.uint8)
        return super().generate(requests)


def log(line):
    """Notes every clip that is made, so that tests can count them."""
    if "TOY_LOG" in os.environ:
        with Path(os.environ["TOY_LOG"]).open("a") as file:
            file.write(line + "\n")


class Brightness:
    name = "brightness"
    higher_is_better = None
    needs = frozenset()
    digest = "toy-brightness-1"

    def describe(self, clips):
        log(f"describe {len(clips)}")
        time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
        return np.array([[item.frames.mean()] for _, item in clips])

    def per_clip(self, rows):
        return rows[:, 0]

    def evaluate(self, rows, reference=None):
        return float(rows[:, 0].mean())


class Distance:
    name = "distance"
    higher_is_better = False
    needs = frozenset({"reference"})
    digest = "toy-distance-1"

    def describe(self, clips):
        return np.array([[item.frames.mean(), np.diff(item.frames.astype(float), axis=0).std()] for _, item in clips])

    def evaluate(self, rows, reference=None):
        return float(((rows.mean(0) - reference.mean(0)) ** 2).sum())


class Faulty(Brightness):
    name = "raises"
    digest = "toy-faulty-1"

    def describe(self, clips):
        raise ZeroDivisionError("division\nby zero")


class Rubbish(Brightness):
    """Gives ``what`` in the place of a value, of rows or of values of clips, or cannot be made."""

    name = "rubbish"

    def __init__(self, *, what: str = "nan"):
        if what == "package":
            import a_package_that_nobody_has  # noqa: F401
        self.what, self.digest = what, f"toy-rubbish-{what}"
        if what not in ("a clip's", "too few"):
            self.per_clip = lambda rows: None

    def describe(self, clips):
        rows = super().describe(clips)
        return {"nan rows": rows * np.nan, "text rows": rows.astype(str), "flat rows": rows[:, 0]}.get(self.what, rows)

    def per_clip(self, rows):
        return rows[1:, 0] if self.what == "too few" else [*rows[1:, 0], "dark"]

    def evaluate(self, rows, reference=None):
        given = {"nan": np.nan, "inf": np.inf, "text": "bright", "none": None, "array": rows, "complex": 1j}
        return given.get(self.what, rows.mean())


class NeedsMask(Brightness):
    name = "needs-mask"
    needs = frozenset({"mask"})
    digest = "toy-mask-1"


def spec(name, method, **settings):
    from artv_eval.api import CellSpec

    sanity = settings.pop("sanity", False)
    return CellSpec(name=name, method=method, sanity=sanity, install=settings.pop("install", None), settings=settings)


def noise(*, much: float = 40.0):
    def cells(context):
        return [
            spec("noise=little", "noisy", strength=2.0),
            spec("noise=much", "noisy", strength=much),
            *(spec(name, name, sanity=True) for name in ("real", "copy-first", "wrong-prompt")),
        ]

    return cells


def learning(*, mean: float = 30.0):
    from artv_eval.api import CellSpec

    def cells(context):
        return [
            CellSpec(name=f"data={name}", method="learnt", trainer="toy-train", training=training)
            for name, training in (("clean", {}), ("noisy", {"mean": mean}))
        ] + [spec("real", "real", sanity=True)]

    return cells


def breaking():
    return lambda context: [spec("works", "noisy"), spec("fails", "breaks")]


def losing():
    return lambda context: [spec("works", "noisy"), spec("loses", "loses")]


def absent():
    return lambda context: [spec("works", "noisy"), spec("other", "nobodys", install="pip install somebodys")]


def idle(*, values: tuple[int, ...] = (3, 4)):
    return lambda context: [spec(f"steps={steps}", "noisy", steps=steps) for steps in values]


def eating():
    return lambda context: [spec("modest", "noisy", strength=2.0), spec("hungry", "hungry")]

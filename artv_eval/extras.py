"""What a component may offer beside what its kind must have, each with its default.

A plugin's class may inherit from these and need not: the harness asks for such a member through :func:`optional` alone,
so what is not here is not asked for.

Shape legend: n clips, m reference clips, d numbers a row, R resamples; B clips, T frames, C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from artv_eval.api import ClipRequest, NextFrames


def optional(component: Any, kind: type, name: str) -> Any:
    """A member that a component may leave out: its own, or else the one of its ``kind``, a class of this module.

    Raises:
        AttributeError: the contract of the kind does not name it.
    """
    default = getattr(kind, name)
    if hasattr(component, name):
        return getattr(component, name)
    if isinstance(default, property):
        return default.__get__(component)
    return partial(default, component) if callable(default) else default


def gives(component: Any, kind: type, name: str) -> bool:
    """Whether it has a member of its own in the place of the default one."""
    own = getattr(component, name, None)
    return own is not None and getattr(own, "__func__", own) is not getattr(kind, name)


class MethodExtras:
    """Optional members of a method."""

    efficiency_case: ClassVar[Callable[[], Any] | None] = None
    """The factory's: makes what ``artv-eval efficiency --method NAME`` measures, an ``efficiency.cases.Case``."""

    timed: bool = True
    """False where clips are only fetched: they have no seconds."""

    def unavailable(self) -> str | None:
        """Why it cannot run here and what to fetch, in one line; None where it can. Asked before any work."""
        return None

    def unsuited(self, request: ClipRequest) -> str | None:
        """What such requests lack that it must have, in one line; None where it can make them. Asked with the first."""
        return None

    def digest(self) -> str | None:
        """Digest of the weights and of all other files that clips depend on: part of a cell's id."""
        return None

    def preset(self) -> str | None:
        """``shapes`` or ``paper`` where the weights are of one: a sweep of the other is refused."""
        return None

    def defaults(self, preset: str) -> Mapping[str, Any]:
        """Static. Setting → what None stands for; a component chosen for that role starts from the values there."""
        return {}

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames] | None:
        """What ``generate`` makes, a few frames at a time, for clips too long to be held; None: it cannot.

        The harness asks for it where clips have more than 64 frames.
        """
        return None

    def prepare(self, requests: Sequence[ClipRequest]) -> None:
        """Sees all requests of the run before the first batch."""

    def conditions(self) -> Mapping[str, Any]:
        """For the speed card: ``precision`` of the weights, as torch calls it, ``steps`` of the sampler, and
        ``given_frames``, how many frames of a clip are a request's picture and no work.
        """
        return {}

    def decoder(self) -> tuple[Any, str] | None:
        """An object and the name of its method that turns latents into frames, whose time can be told apart."""
        return None


class SettingExtras:
    """Optional members of a component in a method's setting: a sampler, guidance, anchor, first frame …"""

    def digest(self) -> str:
        """Digest of the files that it reads, if any: part of a cell's id."""
        return ""


class ProtocolExtras:
    """Optional members of a protocol."""

    metrics: Sequence[str] = ()
    """The metrics of a sweep without ``--metrics``."""
    metric_settings: Mapping[str, Mapping[str, Any]] = {}
    """Settings that the protocol fixes, by the metric's name."""
    metric_choices: Mapping[str, Mapping[str, Any]] = {}
    """The same where ``hash`` does not cover them: values by such settings have a hash of their own."""
    extractor_settings: Mapping[str, Mapping[str, Any]] = {}
    """The same for all metrics with a setting ``feature``, by what it describes: ``clips`` or ``pictures``."""
    published: Sequence[Any] = ()
    """Values of papers to show beside ours: ``artv_eval.protocols.cards.Published``."""
    bad_files: float = 0.01
    """Share of unreadable reference files above which metrics are withheld."""
    world: str | None = None
    """``shapes`` where all clips are of the synthetic world: only there do features of that world say anything."""
    seeds_per_prompt: int = 1
    """Requests ``i·K`` to ``i·K + K − 1`` are of one prompt, under other seeds: intervals and tests go by prompt."""
    card: Any = None
    """The fields of a YAML card (``artv_eval.protocols.cards.Card``), for ``protocols show`` and ``score``."""

    @property
    def reference_digest(self) -> str | None:
        """Digest of the list of reference files, where these are the user's; part of ``hash``."""
        return None

    def with_frames(self, frames: int) -> Any:
        """The same protocol with clips of ``frames`` frames, reference clips too; itself where there is one length."""
        return self

    def conventions(self) -> str | None:
        """All choices in one line, to be said with every scoring by it; None where a card shows them."""
        return None

    def reference_files(self) -> tuple[list[Path], Any] | None:
        """The files behind ``reference()`` and the ``artv_eval.files.decoding.Excerpt`` of each; None: no files."""
        return None


class EvaluatorExtras:
    """Optional members of an evaluator."""

    uses_feature: ClassVar[Callable[[str], bool] | None] = None
    """The factory's: whether ``NAME:ARGUMENT`` takes an extractor at all, where only some arguments do; None: yes."""
    is_cost: bool = False
    """It says how clips were made, not what they are: no interval over clips, and no test."""
    quadratic: bool = False
    """It is exactly a square in the set: ``metrics/half_samples.py`` takes a shorter way to its interval."""
    first: int | None = None
    """Clips of so many prompts count, the first ones; None: all. A folder of more files is refused."""
    in_parts: bool = False
    """It asks for a clip's frames a few at a time, by slices, so that a long clip is never held whole; what does not is
    given arrays."""
    least_frames: int = 1
    """Frames that a clip must have for it to have a value: clips of fewer are not made, or read, for it."""
    transform: Any = None
    """What clips go through before they are described (``artv_eval.features.preprocess.Transform``)."""
    said: str | None = None
    """A line to be said below every table with it: what a name stands for here."""
    features: Any = None
    """The extractor of clips, if there is one."""
    clip: Any = None
    """The encoder of captions and pictures, if there is one."""

    def per_clip(self, rows: np.ndarray) -> np.ndarray | None:
        """(n,) values whose mean is the metric, NaN where undefined; None for a metric of the whole set."""
        return None

    def curve(self, rows: np.ndarray) -> np.ndarray | None:
        """The metric against the frame index, or None."""
        return None

    def curve_against(self, rows: np.ndarray, reference: np.ndarray) -> np.ndarray | None:
        """The same of a metric that compares with reference rows."""
        return None

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int] | None:
        """For a metric with a covariance: how many samples describe it, what they are, and its dimensions."""
        return None

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): the metric of ``rows[index]`` for each row of indices.

        To be given where there is a faster way, and for means over pairs of clips, of which two copies of one are none.
        """
        import numpy as np

        evaluate: Any = self.evaluate  # type: ignore[attr-defined]
        return np.array([evaluate(rows[index], reference) for index in index_Rn])

    def resample_prompts(
        self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray, groups_n: np.ndarray
    ) -> np.ndarray:
        """(R,): as :meth:`resample`, of prompts with all of their clips; ``groups_n`` numbers the prompt of each row.

        To be given for means over pairs of clips, of which those of two copies of one prompt are none.
        """
        return optional(self, EvaluatorExtras, "resample")(rows, reference, index_Rn)


class ExtractorExtras:
    """Optional members of a ``features`` component."""

    device: str = "cpu"
    """Where it runs: on a GPU the next clips are put together meanwhile."""
    takes_device: bool = False
    """Pictures that it is given may lie on its device already."""
    world: str | None = None
    """``shapes`` where it was trained on the synthetic world and says nothing of other clips."""
    in_parts: bool = False
    """It takes :class:`artv_eval.features.running.Parts` of what it sees in place of a long clip, which nobody holds
    then."""

    def seen(self, clip_BTCHW: Tensor) -> Tensor | None:
        """What it takes of each frame, floats (B, T, …), which it also takes in place of the clip; None: frames.

        With it a long clip is read a few frames at a time and never there as a whole.
        """
        return None

    def unread(self, text: str) -> str | None:
        """What of a caption a text encoder does not see, as the end of a line; None where it sees all."""
        return None


class ReaderExtras:
    """Optional members of an open video file."""

    used: str | None = None
    """The name of the reader that really reads, where that may be another one."""


class AblationExtras:
    """Optional members of an ``ablations`` component's factory."""

    metrics: Sequence[str] = ()
    """Metrics that a sweep of it computes beside the protocol's."""
    protocols: Mapping[str, str] = {}
    """Preset → the protocol of a sweep of it alone without ``--protocol``, where that is not the preset's."""


class ExecutorExtras:
    """Optional members of an executor."""

    elsewhere: bool = False
    """Whether it may work on machines that do not see the run folder; they are asked before any work."""


class TrainerExtras:
    """Optional members of a trainer."""

    def cost(self, settings: Mapping[str, Any]) -> tuple[float | None, int | None]:
        """Minutes on one device and bytes on disk, as far as they can be told ahead: shown in the plan."""
        return None, None

    def steps(self, folder: Path) -> int:
        """Steps done so far, for the progress."""
        return 0

    def curves(self, folder: Path) -> Mapping[str, Sequence[tuple[int, float]]]:
        """What was noted while it trained, for the report: name, such as ``loss``, → (step, value)."""
        return {}

"""What passes between the harness and its plugins: the contract of every kind of component.

What a component may offer beside is in ``extras.py``.

Shape legend: T frames, H W pixels, h w mask cells; n clips, m reference clips, d numbers a row, R resamples.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from artv.errors import UserError, in_one_line

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True, kw_only=True)
class ClipRequest:
    """One clip to make, as a protocol asks for it.

    Args:
        index: position in the protocol; with the cell's id the key under which the clip is kept.
        prompt: the text that the method is given.
        seed: seed of this clip's own random stream. The same for all methods, so that cells compare in pairs.
        num_frames, height, width, fps: size of the clip.
        first_frame: uint8 (H, W, 3), or None where a method must begin from the text alone.
        real: uint8 (T, H, W, 3), the ground truth, or None where the protocol has none.
        labels: what the protocol knows of the clip (shapes: ``colour``, ``shape``, ``motion_label``, ``motion``).
        original: the prompt as people wrote it, where ``prompt`` is an extended wording of it.
    """

    index: int
    prompt: str
    seed: int
    num_frames: int
    height: int
    width: int
    fps: float
    first_frame: np.ndarray | None = None
    real: np.ndarray | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    original: str | None = None

    @property
    def caption(self) -> str:
        """What metrics compare the clip with: the same text, however methods were given it."""
        return self.original or self.prompt


@dataclass(frozen=True)
class GeneratedClip:
    """A clip: frames uint8 (T, H, W, 3); mask float32 (T−1, h, w) in 0..1, mean over sampling steps, high = copied.

    Of a long clip either may be what has an array's shape, dtype and slices and is read a few frames at a time.
    ``seconds``: what it took to make, its share of a batch; a method that leaves it out is timed by the sweep, unless
    it has ``timed = False``. ``mask_steps``: uint8 (s, T−1, h, w), 255 = copied, the mask at some of the sampling
    steps from noisy to clean: for the report, which shows it of the first clips, and for nothing else.
    """

    frames: np.ndarray
    mask: np.ndarray | None = None
    seconds: float | None = None
    mask_steps: np.ndarray | None = None


@dataclass(frozen=True)
class FailedClip:
    """Given in the place of a clip that could not be made: the others are kept, and this one is counted and reported.

    ``reason``: one line.
    """

    reason: str


@dataclass(frozen=True)
class NextFrames:
    """The next frames of all clips of a batch, by a method that streams: uint8 (B, t, H, W, 3).

    ``mask``: float32 (B, t', h, w) of those of them that have one (all but frame 0), as of a :class:`GeneratedClip`.
    ``failed``: position in the batch → why this clip does not come out; what else comes of it is left out.
    """

    frames: np.ndarray
    mask: np.ndarray | None = None
    failed: Mapping[int, str] = field(default_factory=dict)


@runtime_checkable
class Method(Protocol):
    """Makes clips. What a ``methods`` component's factory returns.

    Optional members: :class:`~artv_eval.extras.MethodExtras`.
    """

    def generate(self, requests: Sequence[ClipRequest]) -> Iterable[GeneratedClip | FailedClip]:
        """One clip a request, in order, each depending on its own request only.

        A :class:`FailedClip` costs one clip; an exception costs the rest of ``requests``, and its cell has no values.
        A list says that all clips are made: an interruption waits until they are stored.
        """
        ...


class ClipSet(Sequence[tuple[ClipRequest, GeneratedClip]]):
    """Clips with their requests, read when asked for and kept by nobody: memory does not grow with their number.

    Args:
        requests: what was asked for, in order.
        load: position → the clip made for it.
        origin: for reference clips that the package renders: the protocol's hash and the frames of a clip, which with
            a request's ``index`` say what the clip is. Rows that ship with the package are found by it.

    ``shared``: where the clips are few and several metrics look at them one after the other, what one leaves for the
    others (features of frames, say); None: nothing is kept.
    """

    shared: dict[str, Any] | None = None

    def __init__(
        self,
        requests: Sequence[ClipRequest],
        load: Callable[[int], GeneratedClip],
        origin: tuple[str, int] | None = None,
    ) -> None:
        self.requests = requests
        self.origin = origin
        self._load = load

    def at(self, positions: Sequence[int]) -> ClipSet:
        """The clips at these positions, in their order."""
        return ClipSet([self.requests[i] for i in positions], lambda k: self._load(positions[k]), self.origin)

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return self.at(range(len(self))[position])
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        position %= len(self)
        return self.requests[position], self._load(position)

    def __iter__(self) -> Iterator[tuple[ClipRequest, GeneratedClip]]:
        return (self[i] for i in range(len(self)))

    @property
    def prompts(self) -> list[str]:
        """The captions, in order."""
        return [request.caption for request in self.requests]


class ProtocolCard(Protocol):
    """What a ``protocols`` component's factory returns, as far as the sweep needs it.

    A protocol fixes everything that a number depends on apart from the method. Optional members:
    :class:`~artv_eval.extras.ProtocolExtras`.
    """

    name: str  # as shown with every row, for example "shapes@1"

    @property
    def hash(self) -> str:
        """Hex digest of every field."""
        ...

    def requests(self, num: int | None = None, frames: int | None = None, seed: int = 0) -> Sequence[ClipRequest]:
        """What to generate; ``num`` and ``frames`` default to the card's own."""
        ...

    def reference(self) -> ClipSet:
        """The real clips that set metrics (FVD) compare with; none of them is a request's ground truth."""
        ...


class Evaluator(Protocol):
    """What a ``metrics`` component's factory returns. Optional members: :class:`~artv_eval.extras.EvaluatorExtras`.

    ``describe`` is the expensive half and is cached, one row a clip; ``evaluate`` is cheap, so that intervals and
    paired tests resample rows. ``higher_is_better`` is None for a metric without a direction. ``needs`` is a subset of
    ``real, captions, first_frame, mask, labels, reference, seconds``: where a set of clips lacks one, the metric is
    absent with that reason.
    """

    name: str
    higher_is_better: bool | None
    needs: frozenset[str]
    digest: str  # of the weights and the preprocessing that describe() depends on

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, d) float: one row a clip."""
        ...

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None) -> float:
        """The value over ``rows`` (n, d), against ``reference`` (m, d) if the metric needs one."""
        ...


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One cell that an ablation asks for.

    Args:
        name: ``setting=value`` for cells of an ablation, the method's name for baselines.
        method: ``[distribution/]name[:argument]`` of a ``methods`` component.
        settings: of the method.
        sanity: a trivial method that shows which metric sees which flaw; it is in the table and in no comparison.
        install: for a method that another distribution brings: how to get it. Such a cell becomes a row with that as
            its status when the method is missing.
        training: in what the training of this cell's model differs from the base's (``{}``: in nothing): fields of the
            trainer's settings, for example ``{"mask": False}``. A sweep with ``--train`` then trains a model for the
            cell under every training seed and gives it to the method as ``checkpoint``. None: nothing to train.
        trainer: ``[distribution/]name`` of the ``trainers`` component that does.
        seed: training seed of a model that is there already: cells of one name and other seeds are one row, and those
            of one seed are compared in pairs.
        fixed: settings that nobody may change because the name speaks of them. Those that the ablation gives its cells
            different values of are so without being named here.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    sanity: bool = False
    install: str | None = None
    training: Mapping[str, Any] | None = None
    trainer: str = "artv-train"
    seed: int | None = None
    fixed: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class AblationContext:
    """What an ablation knows when it is asked for its cells.

    Args:
        preset: ``shapes`` or ``paper``.
        checkpoint: a preset's name, a folder or a hub id.
        names: kind → names of all installed components of it that work without a setting (``image`` needs a FILE).
        train: whether the sweep trains: twins need not be there yet.
        steps: sampling steps that the user asks of all cells; None: the preset's.
        protocol: name of the protocol.
    """

    preset: str
    checkpoint: str
    names: Callable[[str], Sequence[str]]
    train: bool = False
    steps: int | None = None
    protocol: str = ""


Ablation = Callable[[AblationContext], Sequence[CellSpec]]
"""What an ``ablations`` component returns. The first cell that is no sanity cell is compared with the others."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A batch of clips of one cell to be made or described, or a training: what can be sent to another machine.

    Of a training ``cell`` is the id, ``method`` the trainer, and there are no ``indices``; of describing, ``method``
    says by which metrics. An executor reads ``cell`` alone: tasks that share it are better done by one process.
    """

    cell: str
    method: Mapping[str, Any]
    indices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FailedTask:
    """The result of a task that could not be done; the others go on.

    ``error``: one line; ``trace``: where it was raised, for a file in the run folder.
    """

    error: str
    trace: str = ""

    @classmethod
    def of(cls, error: Exception) -> FailedTask:
        """What was raised."""
        line = " ".join(str(error).split()) if isinstance(error, UserError) else in_one_line(error)
        return cls(error=line, trace="".join(traceback.format_exception(error)))


class Trainer(Protocol):
    """What a ``trainers`` component's factory returns: it makes the checkpoints of cells that are trained.

    A trained model is kept under the hash of :meth:`settings`, so they hold all that it depends on: data and what it
    starts from by their digests, the device where that matters, a version of the training code. A mapping under
    ``how`` is no part of the hash: settings of speed, memory and progress. Optional members:
    :class:`~artv_eval.extras.TrainerExtras`.
    """

    def settings(self, changes: Mapping[str, Any], *, seed: int, steps: int | None) -> Mapping[str, Any]:
        """Plain values that determine the model, for the trainer's own settings with ``changes``.

        Raises:
            UserError: a setting that does not exist or does not fit.
        """
        ...

    def train(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Leaves the checkpoint in ``folder / "pipeline"``; called again after an interruption, it continues.

        An exception costs this training; an OSError (a full disk) stops the sweep.
        """
        ...


class Executor(Protocol):
    """What an ``executors`` component's factory returns."""

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Calls ``work`` for every task, anywhere, and yields each with its result as it finishes.

        A task that takes down whoever does it, more than once, has a :class:`FailedTask` for its result.
        """
        ...

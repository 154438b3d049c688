"""What a sweep or a scoring found: rows, paired comparisons, and which metric sees which flaw."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from artv.ending import printable
from artv.errors import UserError, WorkFailed
from artv_eval.api import FailedTask
from artv_eval.results.csv_text import csv_text
from artv_eval.results.documents import in_form

OK = "ok"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One value with its interval. ``value`` is None when ``status`` is not ``ok``: it says why.

    Nothing is ``ok`` without a finite value: such a row becomes a failed one, whoever makes it.

    ``n`` clips are behind it; ``failed`` others could not be made. ``seeds``: trainings behind it, None where nothing
    was trained or the checkpoint is one; ``about``: what the interval speaks of, ``method`` (trainings too) or
    ``checkpoints``. ``sd_trainings``: standard deviation between trainings, clips' share taken out; ``se_clips``:
    standard error of one training's value over its clips; ``standard_error``: of the value, where it is over trainings,
    whose interval's quantile lies between two and does not give it back. ``train_steps``: of a cell's training, where
    the sweep says; ``failed_seeds``: trainings that failed. ``prompts``: how many ``n`` clips are of, where several are
    of one prompt and the interval therefore is over prompts. ``features``: extractor and digest of its weights, where
    there is one. ``excerpt``: of video files, which of their frames these are. ``by_seed``: (training seed, value) of
    each training, where there are several.
    """

    ablation: str | None
    cell: str
    method: str
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    protocol: str
    status: str = OK
    protocol_hash: str = ""
    higher_is_better: bool | None = None
    sanity: bool = False
    failed: int = 0
    seeds: int | None = None
    about: str | None = None
    sd_trainings: float | None = None
    se_clips: float | None = None
    train_steps: int | None = None
    failed_seeds: int = 0
    features: str | None = None
    prompts: int | None = None
    excerpt: str | None = None
    by_seed: tuple[tuple[int, float], ...] | None = None
    standard_error: float | None = None

    def __post_init__(self) -> None:
        if self.status == OK and not is_number(self.value):
            lost = {"status": f"failed: the value is {self.value!r}; it must be a finite number", "value": None}
            for name, value in {**lost, "ci_low": None, "ci_high": None}.items():
                object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``difference`` = a − b over the same prompts and seeds; ``p_holm`` is corrected over the run's comparisons.

    ``standard_error`` of the difference, from which follows how many clips a difference of a given size takes.
    ``seeds``, ``about``, ``prompts`` and the two components: as of a :class:`Row`; ``p_value`` speaks of ``about``,
    ``p_checkpoints`` of these models only, with no other training in mind. ``skewness`` of the differences clip by
    clip, where there are such; ``caveat``: why the p-values may be too small, which tables show as †.
    """

    ablation: str
    metric: str
    a: str
    b: str
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n: int
    p_holm: float
    standard_error: float | None = None
    seeds: int | None = None
    about: str | None = None
    p_checkpoints: float | None = None
    sd_trainings: float | None = None
    se_clips: float | None = None
    prompts: int | None = None
    skewness: float | None = None
    caveat: str | None = None

    @classmethod
    def of(cls, found: Any, **rest: Any) -> "Comparison":
        """From what a paired test ``found`` (:class:`artv_eval.metrics.statistics.Comparison`); ``rest``: the other
        fields, and those that are to be others than the test's."""
        same = ("difference", "p_value", "n", "prompts", "standard_error", "skewness", "caveat")
        taken = {name: getattr(found, name) for name in same}
        return cls(**{**taken, "ci_low": found.low, "ci_high": found.high, **rest})


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Whether a metric tells a sanity method (``flaw``) from the real clips or from a model's cell (``other``).

    ``seen`` is whether their intervals are apart; ``text`` is the report's sentence.
    """

    metric: str
    flaw: str
    other: str
    seen: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric against the frame index.

    ``low``, ``high``: 95 % interval at each frame by itself, over clips, or over trainings where there are several.
    """

    ablation: str | None
    cell: str
    metric: str
    values: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClipValues:
    """The values of a metric that is a mean over clips: index of the request → value; NaN where it has none.

    ``prompts``: index → number of its prompt; one that is not there has a prompt of its own.
    """

    ablation: str | None
    cell: str
    metric: str
    values: Mapping[int, float]
    prompts: Mapping[int, int] = field(default_factory=dict)

    def prompt(self, index: int) -> tuple[bool, int]:
        """What clips of one prompt share."""
        return (True, self.prompts[index]) if index in self.prompts else (False, index)


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """A video file that could not be read. ``side``: fake, real, reference; ``reason``: one line."""

    side: str
    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that tables and reports show. ``run`` is the folder, or None for a scoring without one.

    ``bad_files``: all that were left out; a note names the first of them. ``per_clip`` is in ``per_clip.csv``, not in
    the document.
    """

    run: str | None
    rows: Sequence[Row]
    comparisons: Sequence[Comparison] = ()
    flaws: Sequence[Flaw] = ()
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    bad_files: Sequence[BadFile] = ()
    per_clip: Sequence[ClipValues] = ()

    def document(self) -> dict[str, Any]:
        """What ``--format json`` prints."""
        return {
            "run": self.run,
            "rows": [plain_row(row) for row in self.rows],
            "comparisons": [plain_row(comparison) for comparison in self.comparisons],
        }

    def to_dict(self) -> dict[str, Any]:
        """The document and what the report shows beside it: ``results.json``."""
        rest = {key: [plain_row(item) for item in getattr(self, key)] for key in ("flaws", "curves", "bad_files")}
        return {**self.document(), **rest, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Inverse of :meth:`to_dict`. Raises UserError for what is no results file."""
        try:
            return in_form(cls, values)
        except ValueError as error:
            raise UserError(f"results.json is not what this version writes ({error}); run the sweep again") from None

    def csv(self) -> str:
        """The rows as CSV with a header: ``results.csv``."""
        return _csv(Row, self.rows)

    def comparisons_csv(self) -> str:
        """The paired differences likewise: ``comparisons.csv``."""
        return _csv(Comparison, self.comparisons)

    def printable(self) -> "Results":
        """The same for people's eyes: in every text, what a terminal would obey is written out."""
        return _printable(self)


def _csv(kind: Any, items: Sequence[Any]) -> str:
    return csv_text([f.name for f in fields(kind)], [list(plain_row(item).values()) for item in items])


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, keep="")
    if isinstance(value, list | tuple):
        return type(value)(map(_printable, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _printable(getattr(value, f.name)) for f in fields(value)})
    return value


class Failure(str):
    """The status ``failed: …`` of what was raised; ``trace`` says where, for a file in the run folder."""

    trace: str

    @classmethod
    def of(cls, error: Exception | FailedTask) -> "Failure":
        """Failure of an exception, or of a task that ended with one."""
        task = error if isinstance(error, FailedTask) else FailedTask.of(error)
        found = cls(f"failed: {task.error}")
        found.trace = task.trace
        return found


def reason(error: Exception) -> str:
    """A row's status for what a metric raised: a UserError says why it is absent, anything else is its failure."""
    return f"absent: {' '.join(str(error).split())}" if isinstance(error, UserError) else Failure.of(error)


@contextmanager
def noted(lines: list[str], what: str) -> Iterator[None]:
    """For what stands beside a value that is there: an error in the block costs that alone, and is one of ``lines``."""
    try:
        yield
    except (WorkFailed, OSError):  # of the run folder, not of the metric
        raise
    except Exception as error:
        lines.append(f"{what}: {reason(error)}")


def features_lines(rows: Sequence[Row]) -> list[str]:
    """One line: the metrics by the extractor, with its weights' digest, that describes clips for them."""
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.status == OK and row.features:
            metrics.setdefault(row.features, {})[row.metric] = None
    each = [f"{', '.join(names)} by {features}" for features, names in metrics.items()]
    return [f"features: {'; '.join(each)}"] if each else []


def prompts_lines(rows: Sequence[Row]) -> list[str]:
    """One line where intervals and tests go by prompt: over how many prompts and clips."""
    found = {(row.prompts, row.n) for row in rows if row.prompts is not None}
    if not found:
        return []
    return [
        "intervals and tests are over prompts, each with all of its clips: "
        + ", ".join(f"{prompts} prompts of {n} clips" for prompts, n in sorted(found, reverse=True))
    ]


def caveat_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """What † beside a p-value stands for, a line each, with the metrics whose comparisons have it."""
    metrics: dict[str, dict[str, None]] = {}
    for pair in comparisons:
        if pair.caveat:
            metrics.setdefault(pair.caveat, {})[pair.metric] = None
    return [f"† {', '.join(names)}: {caveat}" for caveat, names in metrics.items()]


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def plain_row(item: Any) -> dict[str, Any]:
    """A dataclass as JSON has it; what is not a finite number becomes null."""
    return {key: _finite(value) for key, value in asdict(item).items()}


def _finite(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""Rows of video files under metrics: decoded once for all of them, kept for the next time.

    found = describe_files(video_files("fake/"), [fvd()], Excerpt(frames=16, fps=8.0))
    found.rows                    # digest of the metric → (n, d)

Files are decoded by processes of their own, while the network works on the clips before. A file that cannot be read is
named and counted. Rows are kept under a key of everything they depend on: the file's content, the excerpt, the
transform, the metric's weights.

Shape suffixes: T frames, H W pixels, n clips, d numbers a row.
"""

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from copy import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from artv.data.listing import VIDEO_SUFFIXES
from artv.data.readers import VERSION
from artv.devices import cores
from artv.errors import UserError, WorkFailed, describe_os_error
from artv.files import check_regular
from artv_eval.api import ClipRequest, ClipSet, Evaluator, GeneratedClip
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.features.base import digest_of
from artv_eval.features.precision import switched
from artv_eval.features.weights import sha256_of
from artv_eval.files.decoding import Decoded, Decoders, Excerpt
from artv_eval.files.side_by_side import METRICS, by_work, describing, on_gpu, shared_cores, side_by_side
from artv_eval.memory import give_back
from artv_eval.metrics.base import described
from artv_eval.metrics.device_views import walk
from artv_eval.metrics.each_clip import of_sets, several_lengths
from artv_eval.results.clips import in_parts
from artv_eval.results.row_cache import SAVE_SECONDS, RowCache, stacked
from artv_eval.results.rows import reason

SUFFIXES = (*VIDEO_SUFFIXES, ".gif", ".m4v")
BATCH = 16
FACTS = "facts-3"
READERS = ("", "decord", "pyav", "pillow")  # as facts name them by number; "" is a plugin's
WORKERS = min(cores(), 16)  # decoding processes


def video_files(folder: str | Path) -> list[Path]:
    """The video files of a folder, sorted by name. Raises UserError when it is no folder or holds none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give a folder of video files ({', '.join(SUFFIXES)})")
    files = sorted(file for file in _walk(folder, set()) if file.suffix.lower() in SUFFIXES and not file.is_dir())
    if not files:
        raise UserError(f"{folder} holds no video files ({', '.join(SUFFIXES)})")
    return files


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """All that lies below, through links to folders too, each folder once."""
    if (real := folder.resolve()) in seen:
        return
    seen.add(real)
    with suppress(OSError):  # of a folder that cannot be read
        for path in sorted(folder.iterdir(), key=lambda path: (path.is_symlink(), path)):  # a clip by its own name
            if path.is_dir():
                yield from _walk(path, seen)
            yield path


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/artv_eval/rows`` or ``~/.cache/artv_eval/rows``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "artv_eval" / "rows"


@dataclass(kw_only=True)
class Described:
    """Rows of the files that could be read, by the digest of the metric; ``bad``: file → why not.

    Of files that count whole and are of several lengths, rows may be too: an array of objects, a row each.
    ``failed``: digest of a metric that could not describe the files → why, as its row's status. ``unkept``: why rows
    could not be kept.
    """

    files: list[Path] = field(default_factory=list)
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    bad: dict[Path, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    rates: dict[float, Path] = field(default_factory=dict)
    sizes: dict[tuple[int, int], Path] = field(default_factory=dict)
    readers: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    unkept: str | None = None
    digest: str = ""  # of the contents of the files, whatever their names and order

    @property
    def bad_share(self) -> float:
        """Files that could not be read, of all."""
        return len(self.bad) / max(len(self.bad) + len(self.files), 1)

    def withheld(self, allowed: float, name: str) -> str | None:
        """The status of a metric of these files, if more of them are bad than ``allowed``."""
        if self.bad_share <= allowed:
            return None
        total, worst = len(self.bad) + len(self.files), next(iter(self.bad.values()))
        return (
            f"withheld: {len(self.bad)} of {total} {name} files cannot be read, more than the {allowed:.0%} allowed "
            f"({worst})"
        )


def describe_files(
    files: Sequence[Path],
    evaluators: Sequence[Evaluator],
    excerpt: Excerpt,
    *,
    captions: Mapping[Path, str] | None = None,
    cache: Path | None = None,
    decoders: Decoders | None = None,
    workers: int = WORKERS,
    timeout: float = 60.0,
    on_clip: Callable[[int], None] | None = None,
) -> Described:
    """Rows of every file under every evaluator; evaluators of one digest share them.

    An evaluator that raises has no rows, and the others have theirs.

    Args:
        decoders: processes to use, for several calls; without, so many ``workers`` with this ``timeout`` are started.

    Raises:
        UserError: files of different sizes without a transform that makes them equal, or of different rates without
            a rate in the excerpt.
    """
    describer = _Describer(files, evaluators, excerpt, captions or {}, RowCache(cache), on_clip)
    if decoders is not None:
        return describer.run(decoders)
    with Decoders(min(workers, len(describer.missing)), timeout) as own:
        return describer.run(own)


class _Describer:
    """One pass over the files: what is kept is not decoded again."""

    def __init__(
        self,
        files: Sequence[Path],
        evaluators: Sequence[Evaluator],
        excerpt: Excerpt,
        captions: Mapping[Path, str],
        cache: RowCache,
        on_clip: Callable[[int], None] | None,
    ):
        self.files, self.excerpt, self.captions, self.cache, self.on_clip = files, excerpt, captions, cache, on_clip
        self.evaluators = {evaluator.digest: evaluator for evaluator in evaluators}
        seen = {name: value for name, value in asdict(excerpt).items() if name != "own_rates"}  # it changes no row
        shape = json.dumps([VERSION, seen], sort_keys=True, default=str)
        # beside the metrics' rows, each file's rate, size and reader: mixtures are seen without decoding again
        self.names = {digest: digest_of([digest, shape]) for digest in (*self.evaluators, FACTS)}
        self.kept = {digest: cache.load(name) for digest, name in self.names.items()}
        single = {evaluator.digest for evaluator in evaluators if not of_sets(evaluator)}
        self.sets, self.counts = self.evaluators.keys() - single, set[int]()
        with ThreadPoolExecutor(WORKERS) as pool:
            self.contents = list(pool.map(_content, files))
        self.keys = [self._key(place, file) for place, file in enumerate(files)]
        self.found = Described()
        for key in self.keys:
            if key in self.kept[FACTS]:
                self._count(self.kept[FACTS][key][-1])
        wanted = [kept for digest, kept in self.kept.items() if digest not in self.found.failed]
        self.missing = [i for i, key in enumerate(self.keys) if any(key not in kept for kept in wanted)]

    def _key(self, place: int, file: Path) -> str:
        seed = str(place) if self.excerpt.which == "random" else ""
        return digest_of([self.contents[place], self.captions.get(file, ""), seed])

    def run(self, decoders: Decoders) -> Described:
        missing = self.missing
        clips = decoders.decode([self.files[i] for i in missing], self.excerpt, missing)
        gpu, long = on_gpu(self.evaluators.values()), self.excerpt.long
        pool, at_once = describing(gpu, long)
        size = 1 if long else BATCH
        each = side_by_side() if long and gpu else map
        batch: list[tuple[int, Decoded]] = []
        waiting: deque[Future[Rows]] = deque()
        saved = time.monotonic()
        with switched(), shared_cores(METRICS if gpu else at_once) if long else nullcontext():
            try:
                for done, (i, clip) in enumerate(zip(missing, clips, strict=True)):
                    if clip.error is not None:
                        self.found.bad[clip.path] = clip.error
                    else:
                        self._check(clip.path, *_facts(clip)[:3])
                        self._count(clip.length)
                        batch.append((i, clip))
                    if len(batch) == size:
                        waiting.append(pool.submit(self._describe, batch, each))
                        batch = []
                    while len(waiting) > at_once:
                        self._keep(waiting.popleft().result())
                        if long:
                            give_back()
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self._save()
                        saved = time.monotonic()
                    if self.on_clip is not None:
                        self.on_clip(done + 1 + len(self.files) - len(missing))
                if batch:
                    waiting.append(pool.submit(self._describe, batch, each))
                while waiting:
                    self._keep(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()
                wait(waiting)
                for future in waiting:  # described before an interruption
                    if not future.cancelled() and future.exception() is None:
                        self._keep(future.result())
                if missing:
                    self._save()
        return self._collect()

    def _check(self, path: Path, fps: float, height: float, width: float) -> None:
        self.found.rates.setdefault(round(fps, 3), path)
        check_rates(self.excerpt, self.found.rates)
        if (size := (int(height), int(width))) not in self.found.sizes:
            self.found.sizes[size] = path
            check_sizes(list(self.evaluators.values()), self.found.sizes)

    def _count(self, length: float) -> None:
        """A file has so many frames. Of the second length on, whole files are no set that can be compared."""
        self.counts.add(self.excerpt.count(int(length)))
        if len(self.counts) > 1:
            self.found.failed |= dict.fromkeys(self.sets, several_lengths(sorted(self.counts)))

    def _describe(self, batch: Sequence[tuple[int, Decoded]], each: Callable[..., Iterable[Any]]) -> "Rows":
        """Rows of a few clips. ``each``: ``map``, or one that works side by side."""
        keys = [self.keys[i] for i, _ in batch]
        found = {FACTS: dict(zip(keys, (np.array(_facts(clip)) for _, clip in batch), strict=True))}
        working = [evaluator for digest, evaluator in self.evaluators.items() if digest not in self.found.failed]
        long = self.excerpt.long
        for rows in each(lambda work: self._rows(work, batch), by_work(working, long)):
            found |= {digest: dict(zip(keys, some, strict=True)) for digest, some in rows.items()}
        return found

    def _rows(
        self, work: tuple[str | None, Sequence[Any]], batch: Sequence[tuple[int, Decoded]]
    ) -> dict[str, np.ndarray]:
        """Those of the evaluators that do not fail, by their digest; ``work`` as of :func:`by_work`."""
        gpu, evaluators = work
        # of a long clip the part that was read last is kept, and others may be elsewhere in it
        frames = [copy(clip.shown) if in_parts(len(clip.shown)) else clip.shown for _, clip in batch]
        requests = [self._request(i, shown) for (i, _), shown in zip(batch, frames, strict=True)]
        clips = ClipSet(requests, lambda k: GeneratedClip(frames[k]))
        clips.shared, rows = {}, {}
        if gpu is not None:
            measures = {evaluator.digest: evaluator.on_device for evaluator in evaluators}
            found = walk(measures, requests[0], frames[0], gpu)
            self.found.failed |= {digest: reason(row) for digest, row in found.items() if isinstance(row, Exception)}
            return {digest: row[None] for digest, row in found.items() if not isinstance(row, Exception)}
        for evaluator in evaluators:
            try:
                rows[evaluator.digest] = described(evaluator, clips)
            except (WorkFailed, OSError):
                raise
            except Exception as error:
                self.found.failed[evaluator.digest] = reason(error)
        return rows

    def _keep(self, found: "Rows") -> None:
        for digest, rows in found.items():
            self.kept[digest].update(rows)

    def _request(self, i: int, frames: np.ndarray) -> ClipRequest:
        return ClipRequest(
            index=i,
            prompt=self.captions.get(self.files[i], ""),
            seed=0,
            num_frames=len(frames),
            height=frames.shape[1],
            width=frames.shape[2],
            fps=self.excerpt.fps or 0.0,
        )

    def _save(self) -> None:
        try:
            for digest, name in self.names.items():
                self.cache.save(name, self.kept[digest])
        except OSError as error:  # what was described is not lost to a home that cannot be written to
            self.found.unkept = f"rows are not kept for the next time: {describe_os_error(error)}"
            self.cache = RowCache(None)

    def _collect(self) -> Described:
        good = [i for i, file in enumerate(self.files) if file not in self.found.bad]
        self.found.files = [self.files[i] for i in good]
        for i in good:
            *facts, reader, length = self.kept[FACTS][self.keys[i]]
            self._check(self.files[i], *facts)
            self._count(length)
            self.found.lengths.append(int(length))
            self.found.readers[READERS[int(reader)]] += 1
        self.found.digest = digest_of(sorted(self.contents[i] for i in good))[:12]
        if good:
            there = {digest: kept for digest, kept in self.kept.items() if digest not in self.found.failed}
            self.found.rows = {digest: stacked([kept[self.keys[i]] for i in good]) for digest, kept in there.items()}
        return self.found


Rows = dict[str, dict[str, np.ndarray]]
"""digest of a metric → key of a file → its row."""


def _content(file: Path) -> str:
    try:
        check_regular(file, "video")  # reading a pipe would not end, and there is no time-out here
        return sha256_of(file)
    except (OSError, UserError) as error:
        return f"unreadable {file} {error}"


def _facts(clip: Decoded) -> tuple[float, float, float, float, float]:
    """Rate, height, width, the number of the reader, and the file's frames at the rate asked for."""
    reader = READERS.index(clip.reader) if clip.reader in READERS else 0
    return clip.fps, float(clip.shown.shape[1]), float(clip.shown.shape[2]), float(reader), float(clip.length)


def check_rates(excerpt: Excerpt, rates: Mapping[float, Path]) -> None:
    """Raises UserError when files differ in rate and the excerpt does not say which one counts."""
    if excerpt.fps is None and not excerpt.own_rates and len(rates) > 1:
        (a, one), (b, other) = sorted(rates.items())[:2]
        raise UserError(f"{one} has {a:g} fps and {other} {b:g}: say at which rate to compare them (frames.fps, --fps)")


def check_sizes(evaluators: Sequence[Evaluator], sizes: Mapping[tuple[int, int], Path]) -> None:
    """Raises UserError when files differ in size and a metric's transform does not make them equal."""
    for transform in {optional(evaluator, EvaluatorExtras, "transform") for evaluator in evaluators}:
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        for size in sizes:
            seen.setdefault(transform.output_size(*size) if transform is not None else size, size)
        if len(seen) > 1:
            a, b = list(seen.values())[:2]
            raise UserError(
                f"{sizes[a]} has {a[0]} x {a[1]} pixels and {sizes[b]} {b[0]} x {b[1]}: say how to make them equal "
                "(--size, a protocol with a transform) or separate them"
            )

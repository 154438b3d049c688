"""Contracts of methods, ablations and executors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from artv_eval.api import AblationContext, CellSpec, ClipRequest, GeneratedClip, Task
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.recipe import plain
from artv_eval.sweep.generate import check_clip
from artv_eval.testing.clips import toy_requests
from artv_eval.testing.settings import check_settings, made, refuses_unknown_settings, same


def check_method(
    method: Any,
    *,
    settings: Mapping[str, Any] | None = None,
    requests: Sequence[ClipRequest] | None = None,
    tolerance: float = 2.0,
) -> None:
    """A ``methods`` target: factory of an object with ``generate(requests)``, one GeneratedClip a request.

    Checks number, size, type and masks of the clips, determinism for a seed (exact), independence of the other requests
    and of their number (mean absolute difference within ``tolerance`` grey levels), that requests are left alone, and
    settings. ``unavailable()``, ``digest()`` and ``prepare()`` are checked where they exist.
    """
    maker = made(method, "methods", "generate", settings or {})
    asked = list(requests) if requests is not None else toy_requests(3, frames=4)
    unavailable, digest, prepare = (
        optional(maker, MethodExtras, name) for name in ("unavailable", "digest", "prepare")
    )
    reason = unavailable()
    assert reason is None or isinstance(reason, str), "unavailable() must give None, or the reason as text"
    assert reason is None, f"the method cannot be checked here: {reason}"
    assert isinstance(digest(), str | None) and digest() == digest(), "digest() must be a text, always one"
    prepare(asked)
    kept = [(request.first_frame.copy() if request.first_frame is not None else None) for request in asked]
    clips = list(maker.generate(asked))
    assert len(clips) == len(asked), f"{len(clips)} clips for {len(asked)} requests"
    for clip, request in zip(clips, asked, strict=True):
        _check(clip, request)
    for before, request in zip(kept, asked, strict=True):
        if before is not None and request.first_frame is not None:
            same(request.first_frame, before, "a request's first frame before and after: it must not be written to")
    for clip, again in zip(clips, list(maker.generate(asked)), strict=True):
        same(again.frames, clip.frames, "the same requests again (draw only from request.seed)")
    (alone,) = list(maker.generate(asked[1:2]))
    off = abs(alone.frames.astype(float) - clips[1].frames).mean()
    assert off <= tolerance, f"a clip alone and among {len(asked)} differ by {off:.1f} grey levels on average"
    backwards = list(maker.generate(asked[::-1]))[::-1]
    worst = max(abs(a.frames.astype(float) - b.frames).mean() for a, b in zip(backwards, clips, strict=True))
    assert worst <= tolerance, f"clips depend on the order of the requests: {worst:.1f} grey levels on average"


def _check(clip: GeneratedClip, request: ClipRequest) -> None:
    try:
        check_clip(clip, request)
    except ValueError as error:
        raise AssertionError(str(error)) from None
    if clip.mask is not None:
        assert float(clip.mask.min()) >= 0 and float(clip.mask.max()) <= 1, "the mask leaves 0..1 (high = copied)"


def check_ablation(ablation: Any, *, settings: Mapping[str, Any] | None = None, preset: str = "shapes") -> None:
    """An ``ablations`` target: factory of ``function(context) -> cells``.

    Checks that there are cells with unique names and settings that JSON can hold, at least one of them no sanity cell,
    and that they are the same every time.
    """
    settings = dict(settings or {})
    check_settings(ablation, "ablations")
    refuses_unknown_settings(ablation, settings)
    context = AblationContext(preset=preset, checkpoint=preset, names=_installed)
    cells = list(ablation(**settings)(context))
    assert cells and all(isinstance(cell, CellSpec) for cell in cells), "it must give a list of CellSpec"
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names), f"two cells are named {max(names, key=names.count)!r}"
    assert not all(cell.sanity for cell in cells), "all cells are sanity cells: there is nothing to compare"
    for cell in cells:
        settled = plain(cell.settings)
        assert json.loads(json.dumps(settled)) == settled, f"cell {cell.name} has settings that JSON cannot hold"
        for value in cell.settings.values():
            assert "<" not in str(value)[:1], f"cell {cell.name}: {value!r} is an object; give a name and settings"
    assert list(ablation(**settings)(context)) == cells, "the cells differ from call to call"


def _installed(kind: str) -> list[str]:
    from artv_eval.plugins.manager import PluginManager

    assert kind in KINDS, f"there is no kind {kind!r}"
    return PluginManager().names(kind)


class _Square:
    """Work that can be sent anywhere."""

    def __call__(self, task: Task) -> int:
        if task.cell == "raises":
            raise OSError(28, "No space left on device")
        return sum(index * index for index in task.indices)


def check_executor(executor: Any, *, settings: Mapping[str, Any] | None = None) -> None:
    """An ``executors`` target: factory of an object with ``run(work, tasks)``, an iterator of (task, result).

    Checks that every task is done once and comes with its own result, that no tasks are no reason to fail, and that an
    OSError of the work (a full disk) comes out as one.
    """
    runner = made(executor, "executors", "run", settings or {})
    tasks = [Task(cell=f"c{i % 2}", method={"name": "x"}, indices=tuple(range(i))) for i in range(1, 6)]
    results = runner.run(_Square(), tasks)
    assert isinstance(results, Iterator), "run() must be an iterator, so that progress can be shown"
    done = list(results)
    assert sorted(task.indices for task, _ in done) == [task.indices for task in tasks], "not every task was done once"
    for task, result in done:
        assert result == _Square()(task), f"the task {task.indices} came with the result {result} of another one"
    assert list(runner.run(_Square(), [])) == [], "no tasks must give no results"
    try:
        list(runner.run(_Square(), [Task(cell="raises", method={}, indices=())]))
    except OSError as error:
        assert error.errno == 28, f"an OSError came out with errno {error.errno} instead of 28"
    else:
        raise AssertionError("an OSError of the work was swallowed: a full disk must stop the sweep")

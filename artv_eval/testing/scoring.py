"""Contracts of feature extractors, metrics and reporters.

Shape suffixes: B clips, T frames, C channels, H W pixels; n clips, d numbers a row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from artv_eval.api import ClipSet
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.results.rows import Comparison, Flaw, Results, Row
from artv_eval.testing.clips import toy_clips
from artv_eval.testing.settings import check_settings, made, refuses_unknown_settings, same

NEEDS = {"real", "captions", "first_frame", "mask", "labels", "reference", "seconds"}


def check_feature(
    features: Any, *, settings: Mapping[str, Any] | None = None, frames: int = 16, size: int = 64
) -> None:
    """A ``features`` target: factory of an extractor, uint8 (B, T, 3, H, W) → float32 (B, dim).

    Checks ``name``, ``digest`` and ``dim``, type and finiteness, that different clips have different features,
    determinism, batch independence, and that the clips are left alone.
    """
    import torch

    extractor = made(features, "features", "digest", settings or {})
    for name in ("name", "digest"):
        value = getattr(extractor, name, None)
        assert isinstance(value, str) and value, f"the extractor's {name} is {value!r}; it must be a text"
    clips = np.stack([clip.frames for _, clip in toy_clips(3, frames=frames, size=size)])
    clips_BTCHW = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).contiguous()
    before = clips_BTCHW.clone()
    rows = extractor(clips_BTCHW)
    assert rows.dtype == torch.float32, f"the features are {rows.dtype}; they must be float32"
    assert tuple(rows.shape) == (3, extractor.dim), f"the features are {tuple(rows.shape)} and dim is {extractor.dim}"
    assert bool(torch.isfinite(rows).all()), "the features are not finite"
    same(clips_BTCHW, before, "the clips before and after: they must not be written to")
    same(extractor(clips_BTCHW), rows, "two calls with the same clips")
    scale = float(rows.abs().max()) or 1.0
    same(extractor(clips_BTCHW[1:2]), rows[1:2], "a clip alone and in a batch", 1e-3 * scale)
    assert not torch.allclose(rows[0], rows[1]), "two different clips have the same features"


def check_metric(metric: Any, *, settings: Mapping[str, Any] | None = None, clips: ClipSet | None = None) -> None:
    """A ``metrics`` target: factory of an evaluator with ``describe(clips)`` and ``evaluate(rows, reference)``.

    Checks the attributes, that rows are one a clip and depend on their own clip only, that the value is a number that
    does not depend on the order of the clips, that it is the mean of ``per_clip`` if there is one, and determinism.

    Args:
        clips: what to describe; by default clips of the shapes world with everything that ``needs`` may name.
    """
    evaluator = made(metric, "metrics", "describe", settings or {})
    _check_attributes(evaluator)
    clips = toy_clips(6, frames=16) if clips is None else clips
    n = len(clips)
    rows = np.asarray(evaluator.describe(clips))
    assert rows.ndim == 2 and len(rows) == n, f"describe() of {n} clips gives {rows.shape}; it must be ({n}, d)"
    assert np.issubdtype(rows.dtype, np.floating), f"the rows are {rows.dtype}; they must be floating point"
    scale = float(np.nanmax(np.abs(rows))) or 1.0
    same(evaluator.describe(clips), rows, "describe() called twice", 1e-6 * scale)
    same(evaluator.describe(clips[1:3]), rows[1:3], "rows of two clips alone and among all", 1e-3 * scale)
    reference = (
        np.asarray(evaluator.describe(toy_clips(6, frames=16, start=50))) if "reference" in evaluator.needs else None
    )
    before = rows.copy()
    value = evaluator.evaluate(rows, reference)
    assert isinstance(value, float), f"evaluate() gives a {type(value).__name__}; it must be a float"
    assert np.isfinite(value), f"evaluate() gives {value}"
    same(rows, before, "the rows before and after evaluate(): they must not be written to")
    shuffled = evaluator.evaluate(rows[::-1].copy(), None if reference is None else reference[::-1].copy())
    same(shuffled, value, "the value of the clips in another order", 1e-6 * max(abs(value), 1.0))
    per_clip = optional(evaluator, EvaluatorExtras, "per_clip")(rows)
    if per_clip is not None:
        assert np.shape(per_clip) == (n,), f"per_clip() gives {np.shape(per_clip)}; it must be ({n},)"
        same(np.nanmean(per_clip), value, "evaluate() and the mean of per_clip()", 1e-6 * max(abs(value), 1.0))


def _check_attributes(evaluator: Any) -> None:
    for name in ("name", "digest"):
        value = getattr(evaluator, name, None)
        assert isinstance(value, str) and value, f"the evaluator's {name} is {value!r}; it must be a text"
    better = getattr(evaluator, "higher_is_better", "missing")
    assert better in (True, False, None), f"higher_is_better is {better!r}; it must be True, False or None"
    needs = getattr(evaluator, "needs", None)
    right = needs is not None and not isinstance(needs, str) and set(needs) <= NEEDS
    assert right, f"needs is {needs!r}; it must be a set of {', '.join(sorted(NEEDS))}"


def check_reporter(reporter: Any, *, settings: Mapping[str, Any] | None = None) -> None:
    """A ``reporters`` target: factory of ``function(results) -> text``.

    Checks that every value and cell is in the text, that results without rows and rows without values are no reason to
    fail, and that the text is the same every time.
    """
    settings = dict(settings or {})
    check_settings(reporter, "reporters")
    refuses_unknown_settings(reporter, settings)
    render = reporter(**settings)
    results = _results()
    text = render(results)
    assert isinstance(text, str), f"the reporter gives a {type(text).__name__}; it must give text"
    for word in ("31.25", "62.5", "fvd"):
        assert word in text, f"{word!r} of the results is not in the text"
    assert "alpha" in text and "beta" in text, "a cell is not in the text"
    assert render(results) == text, "the text differs from call to call"
    assert isinstance(render(Results(run=None, rows=[])), str), "results without rows give no text"


def _results() -> Results:
    def row(cell: str, value: float | None, status: str = "ok") -> Row:
        low, high = (None, None) if value is None else (value - 0.05, value + 0.05)
        return Row(
            ablation="mask", cell=cell, method="artv", metric="fvd", value=value, ci_low=low, ci_high=high, n=8,
            protocol="toy@1", protocol_hash="abcdef123456", status=status, higher_is_better=False,
        )  # fmt: skip

    pair = Comparison(
        ablation="mask", metric="fvd", a="alpha=on", b="beta=off", difference=-31.25, ci_low=-31.3, ci_high=-31.2,
        p_value=0.01, n=8, p_holm=0.02,
    )  # fmt: skip
    rows = [row("alpha=on", 31.25), row("beta=off", 62.5), row("gamma", None, "absent: no weights")]
    flaw = Flaw(metric="fvd", flaw="copy-first", other="real", seen=True, text="fvd sees it")
    return Results(run="run", rows=rows, comparisons=[pair], flaws=[flaw])

"""The ablations of what is learnt: cells that differ in a setting of the training. They need ``sweep --train``."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from artv.errors import UserError
from artv_eval.ablations import SANITY, in_short
from artv_eval.api import Ablation, AblationContext, CellSpec


def copy_noised() -> Ablation:
    """The mask copies the clean reference, against copying the noised one that the adapters see."""
    return _trained("copy", {"clean": {"copy_noised": False}, "noised": {"copy_noised": True}})


def drop_rates(*, rates: Sequence[float] = (0.0, 0.2)) -> Ablation:
    """How often training leaves a condition out, all three alike, which is what guidance needs.

    Args:
        rates: shares to compare with the preset's.
    """
    others = {in_short(rate): {f"drop_{name}": rate for name in ("text", "ref", "anchor")} for rate in rates}
    return _trained("drop", {"preset": {}, **others})


def start_share(*, shares: Sequence[float] = (0.0,)) -> Ablation:
    """How many training samples are like the start of a clip, whose references all repeat one frame.

    Args:
        shares: to compare with the preset's.
    """
    return _trained("start-share", {"preset": {}, **{in_short(share): {"start_share": share} for share in shares}})


def weight_cap(*, caps: Sequence[float] = (1.0,)) -> Ablation:
    """How much more the loss counts an error at high noise: at most ``cap`` times.

    Args:
        caps: to compare with the preset's; 1 is the paper's plain error.
    """
    return _trained("weight-cap", {"preset": {}, **{in_short(cap): {"weight_cap": cap} for cap in caps}})


def training_grid(*, fields: Mapping[str, Sequence[Any]]) -> Ablation:
    """Every combination of values of fields of the training settings: what ``--grid training.FIELD=a,b`` asks for.

    Args:
        fields: field (``mask``, ``model.lr``) → values. The first combination is compared with the others.
    """
    if not fields or not all(isinstance(values, list | tuple) and values for values in fields.values()):
        raise UserError(f"training-grid.fields is {fields!r}; it must be field: [value, value …]")
    combinations = {}
    for values in product(*fields.values()):
        changes: dict[str, Any] = {}
        for field, value in zip(fields, values, strict=True):
            outer, dot, inner = field.partition(".")
            changes |= {outer: {**changes.get(outer, {}), inner: value}} if dot else {field: value}
        combinations[" ".join(f"{f}={v}" for f, v in zip(fields, values, strict=True))] = changes
    if len(combinations) < 2:
        raise UserError("--grid has one combination, and there is nothing to compare; give 2 values or more")
    return _trained("", combinations)


def _trained(setting: str, trainings: Mapping[str, Mapping[str, Any]]) -> Ablation:
    """A cell for each training; ``setting`` comes before their names."""

    def cells(context: AblationContext) -> list[CellSpec]:
        specs = [
            CellSpec(
                name=f"{setting}={name}" if setting else name,
                method="artv",
                settings={"checkpoint": context.checkpoint},
                training=changes,
            )
            for name, changes in trainings.items()
        ]
        return [*specs, *SANITY]

    return cells

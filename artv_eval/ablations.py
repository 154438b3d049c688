"""The built-in ablations: a name for the cells to compare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from artv.errors import UserError
from artv.presets import DEFAULTS, FIRST, LONG, long_seeds
from artv_eval.api import Ablation, AblationContext, CellSpec
from artv_eval.methods.checkpoints import check_partners

PRESETS = ("shapes", "paper")
LONG_PROTOCOL, LONG_STEPS = "shapes@2", 4
BASELINES = ("modelscope", "i2vgen-xl")
SANITY = tuple(CellSpec(name=name, method=name, sanity=True) for name in ("real", "copy-first", "wrong-prompt"))


def mask(*, twin: str | None = None) -> Ablation:
    """The mask network on, against a twin trained without it: same data, steps, seed and size.

    On ``shapes@2`` the packaged twins of long clips, trained under several seeds each.

    Args:
        twin: the checkpoint trained with ``artv train --no-mask``; for a preset, its own twin.
    """
    fixed = frozenset({"use_mask", "mask"})

    def cells(context: AblationContext) -> Sequence[CellSpec]:
        packaged = context.checkpoint == FIRST and twin is None and not context.train
        seeds = long_seeds() if packaged and context.protocol == LONG_PROTOCOL else []
        return _long_twins(context, seeds, fixed) if seeds else _twins("mask", twin, fixed)(context)

    return cells


mask.protocols = {"shapes": LONG_PROTOCOL}  # type: ignore[attr-defined]


def anchor(*, twin: str | None = None) -> Ablation:
    """The anchor frame as a condition, against a twin trained without it.

    Args:
        twin: the checkpoint trained with ``artv train --no-anchor``; for a preset, its own twin.
    """

    return _twins("anchor", twin, frozenset({"anchor"}))


def mask_switched() -> Ablation:
    """The mask turned off in a model that was trained with it: what the network relies on, not what the mask brings."""

    def cells(context: AblationContext) -> list[CellSpec]:
        on = replace(_artv("mask=on", context.checkpoint), fixed=frozenset({"use_mask", "mask"}))
        return [on, _artv("mask=switched-off", context.checkpoint, use_mask=False), *SANITY]

    return cells


def sampler(*, names: Sequence[str] | None = None) -> Ablation:
    """The solvers of the reverse process, those of plugins included.

    Args:
        names: which; None for all that are installed. The first is compared with the others.
    """
    return _installed("samplers", "sampler", names)


def guidance_rule(*, names: Sequence[str] | None = None) -> Ablation:
    """The guidance rules, those of plugins included.

    Args:
        names: which; None for all that are installed. The first is compared with the others.
    """
    return _installed("guidance", "guidance", names)


def mask_rule(*, names: Sequence[str] | None = None) -> Ablation:
    """The mask rules in one model, those of plugins included.

    Args:
        names: which; None for all that are installed. The first is compared with the others.
    """
    return _installed("masks", "mask", names, fixed=frozenset({"use_mask"}))


def anchor_strategy(*, names: Sequence[str] | None = None) -> Ablation:
    """The anchor strategies in one model, those of plugins included.

    Args:
        names: which; None for all that are installed. The first is compared with the others.
    """
    return _installed("anchors", "anchor", names)


def ref_noise(
    *, names: Sequence[str] | None = None, trained: Sequence[str] = ("constant:0", "uniform:0:0.3")
) -> Ablation:
    """The distributions of noise on the references in one model, those of plugins included; or in training.

    Args:
        names: which; None for all that are installed. The first is compared with the others.
        trained: with ``--train``, the distributions to train with beside the preset's.
    """
    in_one_model = _installed("noise_levels", "ref_noise", names)

    def cells(context: AblationContext) -> Sequence[CellSpec]:
        if not context.train:
            return in_one_model(context)
        others = [replace(_artv(f"ref_noise={n}", context.checkpoint), training={"ref_noise": n}) for n in trained]
        return [_artv("ref_noise=preset", context.checkpoint), *others, *SANITY]

    return cells


def steps(*, values: Sequence[int] = (50, 25, 10, 5)) -> Ablation:
    """The number of sampling steps.

    Args:
        values: which; the first (in the paper 50) is compared with the others.
    """

    def cells(context: AblationContext) -> list[CellSpec]:
        return [*(_artv(f"steps={value}", context.checkpoint, steps=value) for value in values), *SANITY]

    return cells


def grid() -> Ablation:
    """One model: what ``--grid`` varies is compared with its first point."""
    return lambda context: [_artv("artv", context.checkpoint), *SANITY]


def cells(*, cells: Sequence[Mapping[str, Any]]) -> Ablation:
    """The cells that a plan file lists.

    Args:
        cells: fields of :class:`~artv_eval.api.CellSpec`; without a method it is ``artv``. The first is compared with
            the others.
    """

    def listed(context: AblationContext) -> list[CellSpec]:
        own = [_listed(cell, context.checkpoint) for cell in cells]
        for cell in own:
            if cell.name in [row.name for row in SANITY] and cell not in SANITY:
                raise UserError(
                    f"a cell of the plan is named {cell.name!r}, as a row that every table has; give it another name"
                )
        return [*own, *(row for row in SANITY if row not in own)]

    return listed


def _listed(fields: Mapping[str, Any], checkpoint: str) -> CellSpec:
    own, known = dict(fields), ("name", "method", "settings", "sanity", "training")
    if "name" not in own or not own.keys() <= set(known):
        raise UserError(
            f"a cell of cells.cells has {', '.join(own)}; it must have a name and may have {', '.join(known[1:])}"
        )
    if own.get("method", "artv") == "artv":
        settings = {"checkpoint": checkpoint, **own.get("settings", {})}
        return CellSpec(**{"method": "artv", "training": {}, **own, "settings": settings})
    return CellSpec(**own)


def speed(*, names: Sequence[str] | None = None) -> Ablation:
    """Exact sampling against what costs less: accelerations, guidance at some levels, fewer steps, a cheaper sampler.

    The report draws quality against seconds a clip.

    Args:
        names: which accelerations; None for all that are installed, those of plugins included.
    """

    def cells(context: AblationContext) -> list[CellSpec]:
        defaults = DEFAULTS[context.preset]
        half = max((context.steps or defaults.steps) // 2, 1)
        # in the middle of the noise levels guidance matters most (Kynkäänniemi et al. 2024)
        interval = {"name": "interval", "low": 0.3, "high": 5.0, **vars(defaults.guidance)}
        chosen = context.names("accelerations") if names is None else names
        cheaper: dict[str, dict[str, object]] = {
            **{name: {"acceleration": name} for name in chosen},
            "interval": {"guidance": interval},
            f"steps-{half}": {"steps": half},
            "dpmpp_2m": {"sampler": "dpmpp_2m"},
            f"dpmpp_2m-steps-{half}": {"sampler": "dpmpp_2m", "steps": half},
        }
        faster = [_artv(f"speed={name}", context.checkpoint, **values) for name, values in cheaper.items()]
        return [_artv("speed=exact", context.checkpoint), *faster, *SANITY]

    return cells


speed.metrics = ("seconds",)  # type: ignore[attr-defined]


def guidance(*, ref: float | None = None, anchor: float | None = None, text: float | None = None) -> Ablation:
    """Equation 1 against itself without each of its terms, and against no guidance.

    Args:
        ref: scale of the full rule; None for the preset's, as with the others. A term of scale 0 is no cell, nor is
            leaving out the only one: that is no guidance.
        anchor: as ``ref``.
        text: as ``ref``.
    """
    given = {term: scale for term, scale in (("ref", ref), ("anchor", anchor), ("text", text)) if scale is not None}

    def rule(**changed: float) -> dict[str, object]:
        return {"name": "three_term", **given, **changed}

    def cells(context: AblationContext) -> list[CellSpec]:
        scales = {**vars(DEFAULTS[context.preset].guidance), **given}
        terms = [term for term, scale in scales.items() if scale]
        if not terms:
            raise UserError("ablation guidance has scales 0 alone; give one that is not, with --set guidance.text=2")
        without = [_artv(f"guidance=no-{term}", context.checkpoint, guidance=rule(**{term: 0.0})) for term in terms]
        return [
            _artv("guidance=full", context.checkpoint, guidance=rule() if given else "three_term"),
            *(without if len(terms) > 1 else []),
            _artv("guidance=none", context.checkpoint, guidance="none"),
            *SANITY,
        ]

    return cells


def baselines(*, names: Sequence[str] = ("artv", *BASELINES)) -> Ablation:
    """Models beside each other. Those whose weights are not there are rows that say how to get them.

    Args:
        names: of methods, those of plugins included: ``artv``, ``my-model``, ``diffusers:ID``, ``folder:PATH``. These
            and no others; the first is compared with the others.
    """

    def cells(context: AblationContext) -> list[CellSpec]:
        return [
            _artv(name, context.checkpoint)
            if name == "artv"
            else CellSpec(name=name, method=name, install="pip install artv-diffusers" if name in BASELINES else None)
            for name in names
        ] + [cell for cell in SANITY if cell.name not in names]

    return cells


def _installed(kind: str, setting: str, names: Sequence[str] | None, fixed: frozenset[str] = frozenset()) -> Ablation:
    """A cell for each component of a kind, given to one and the same model as its ``setting``; nobody changes the
    ``fixed`` settings, without which it would do nothing."""

    def cells(context: AblationContext) -> list[CellSpec]:
        chosen = names or context.names(kind)
        made = [_artv(f"{setting}={name}", context.checkpoint, **{setting: name}) for name in chosen]
        return [*(replace(cell, fixed=fixed) for cell in made), *SANITY]

    return cells


def _artv(name: str, checkpoint: str, **settings: object) -> CellSpec:
    """A cell of the base model, which ``--train`` trains."""
    return CellSpec(name=name, method="artv", settings={"checkpoint": checkpoint, **settings}, training={})


def _twins(switch: str, twin: str | None, fixed: frozenset[str]) -> Ablation:
    """The base model against the one trained with a switch off; nobody changes the ``fixed`` settings."""

    def cells(context: AblationContext) -> list[CellSpec]:
        given = context.checkpoint if context.train else twin or _twin(context.checkpoint, switch)
        if not context.train:
            check_partners(context.checkpoint, given, switch)
        off = replace(_artv(f"{switch}=off", given), training={switch: False})
        on = _artv(f"{switch}=on", context.checkpoint)
        return [*(replace(cell, fixed=fixed) for cell in (on, off)), *SANITY]

    return cells


def _long_twins(context: AblationContext, seeds: Sequence[int], fixed: frozenset[str]) -> list[CellSpec]:
    """The packaged pairs, each cell once a training seed, with fewer sampling steps: a laptop's CPU makes them all."""
    quick = {"steps": LONG_STEPS} if context.steps is None else {}
    made = [
        replace(_artv(f"mask={state}", f"{FIRST}:{LONG}-{seed}{end}", **quick), seed=seed, fixed=fixed)
        for state, end in (("on", ""), ("off", "-no-mask"))
        for seed in seeds
    ]
    return [*made, *SANITY]


def _twin(checkpoint: str, switch: str) -> str:
    """The preset's twin; other checkpoints' twins only their owner knows."""
    if checkpoint in PRESETS:
        return f"{checkpoint}:no-{switch}"
    raise UserError(
        f"ablation {switch!r} compares two trained models, and the twin of {checkpoint!r} is not known; train "
        f"it with artv train --no-{switch} and give it with --set {switch}.twin=FOLDER, or train both with --train"
    )


def in_short(value: Any) -> str:
    """A setting's value in a name: a number as short as it can be without being another one."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)

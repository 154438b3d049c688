"""Protocols and metrics by name: with the settings that a protocol fixes, and with those that ``--set`` changes."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from artv.errors import UserError
from artv_eval.extras import EvaluatorExtras, ExtractorExtras, ProtocolExtras, optional
from artv_eval.features.base import described_by
from artv_eval.features.weights import find as find_weights
from artv_eval.metrics.base import check_evaluator, extractor_of
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import ComponentFailed, Recipe, Setting, build, recipe, settings_of
from artv_eval.results.rows import Failure, reason
from artv_eval.sweep.assignments import Assignments
from artv_eval.sweep.plan import with_components
from artv_eval.sweep.score_cells import Metric


def protocol_recipe(manager: PluginManager, name: str, settings: Mapping[str, Any]) -> Recipe:
    """A registered protocol, or the card in a YAML file."""
    is_file = name.endswith((".yaml", ".yml")) and ":" not in name
    return recipe(manager, "protocols", f"yaml:{name}" if is_file else name, settings)


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The settings of metrics that a protocol fixes, and what ``--features`` changes of them.

    Args:
        by_name: metric → its settings.
        choices: the same where the protocol's hash does not cover them.
        by_extractor: ``clips`` or ``pictures`` → settings of every metric with a setting ``feature`` for such an
            extractor, as far as it has them.
        features: takes the place of the extractor of clips.
    """

    by_name: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    by_extractor: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    features: str | None = None

    @classmethod
    def of(cls, card: Any, features: str | None = None) -> "Conventions":
        """Those of a protocol card."""
        return cls(
            by_name=optional(card, ProtocolExtras, "metric_settings"),
            choices=optional(card, ProtocolExtras, "metric_choices"),
            by_extractor=optional(card, ProtocolExtras, "extractor_settings"),
            features=features,
        )

    def settings(self, name: str, known: Mapping[str, Setting], *, uses_feature: bool = True) -> dict[str, Any]:
        """Those of the metric ``name`` with these settings; ``uses_feature``: it has a use for one of them."""
        kind = described_by(known["feature"].annotation) if uses_feature and "feature" in known else None
        shared = {key: value for key, value in self.by_extractor.get(kind or "", {}).items() if key in known}
        chosen = {"feature": self.features} if kind == "clips" and self.features is not None else {}
        return {**shared, **self.choices.get(name, {}), **self.by_name.get(name, {}), **chosen}


def metric_recipe(manager: PluginManager, name: str, fixed: Conventions, assignments: Assignments) -> Recipe:
    """A metric with what the protocol fixes and, over it, what ``--set`` says."""
    entry = manager.find("metrics", name)
    target = manager.target(entry)
    known, _ = settings_of(target, KINDS["metrics"])
    asked = optional(target, EvaluatorExtras, "uses_feature")
    uses = bool(asked(name.partition(":")[2])) if callable(asked) else True
    settings = {
        **fixed.settings(entry.component.name, known, uses_feature=uses),
        **assignments.take(entry.component.name),
    }
    return recipe(manager, "metrics", name, with_components(manager, settings, known, assignments))


def changed_convention(manager: PluginManager, made: Recipe, fixed: Conventions) -> Mapping[str, Any] | None:
    """The settings of a metric if the protocol's hash does not cover them, such as by ``--set``, else None.

    Its values then have another hash. Where weights lie makes no difference: which they are is checked by sha256.
    """
    own: Any = None
    covered = replace(fixed, choices={})
    with suppress(UserError):  # a setting that only --set gives
        own = _without_places(metric_recipe(manager, made.entry.qualified, covered, Assignments({})).named())
    now = _without_places(made.named())
    return None if now == own else now


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key != "weights"}
    return {key: _without_places(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def metric_of(manager: PluginManager, item: Recipe, runtime: dict[str, Any], card: Any, frames: int) -> Metric:
    """The evaluator with its weights, or why it is absent: a missing weight is never replaced by something else.

    Nor by a network of another world: features of the shapes world serve protocols of the shapes world only. Nor does
    it wait for clips of so few ``frames`` that it has no value.
    """
    try:
        evaluator = build(manager, item, runtime)
        check_evaluator(evaluator)
        if why := _of_another_world(manager, item, evaluator, card):
            return Metric(name=item.name, status=f"absent: {why}")
        if frames < (least := optional(evaluator, EvaluatorExtras, "least_frames")):
            why = f"{evaluator.name} takes clips of at least {least} frames, as it is set, and these have {frames}"
            return Metric(name=item.name, status=f"absent: {why}")
        return Metric(name=item.name, evaluator=evaluator)
    except ComponentFailed as error:
        return Metric(name=item.name, status=Failure.of(error))
    except UserError as error:
        return Metric(name=item.name, status=f"absent: {error}")
    except Exception as error:
        return Metric(name=item.name, status=reason(error))


def _of_another_world(manager: PluginManager, item: Recipe, evaluator: Any, card: Any) -> str | None:
    """Why the extractor says nothing of the protocol's clips, and what would; None where it does."""
    if (why := another_world(evaluator, card)) is None:
        return None
    known, _ = settings_of(manager.target(item.entry), KINDS["metrics"])
    kind = described_by(known["feature"].annotation) if "feature" in known else None
    return f"{why}; {REMEDIES[kind](item.name)}"


def another_world(evaluator: Any, card: Any) -> str | None:
    """Why the evaluator's extractor says nothing of the protocol's clips, or None."""
    extractor = extractor_of(evaluator)
    world = None if extractor is None else optional(extractor, ExtractorExtras, "world")
    if world is None or world == optional(card, ProtocolExtras, "world"):
        return None
    return (
        f"features {extractor.name!r} were trained on the world of {world}@… and say nothing of the clips of protocol "
        f"{card.name}"
    )


def _for_clips(metric: str) -> str:
    return f"{_fetched(partial(find_weights, 'i3d'))}give --set {metric}.feature=i3d"


def _for_pictures(metric: str) -> str:
    from artv_eval.features.clip import cached

    return f"{_fetched(partial(cached, 'ViT-B-32', 'openai'))}give --set {metric}.feature=clip"


REMEDIES: Mapping[str | None, Callable[[str], str]] = {
    "clips": _for_clips,
    "pictures": _for_pictures,
    None: lambda metric: "leave the metric out",
}
"""What describes real videos, by what is described."""


def _fetched(look: Callable[[], Any]) -> str:
    """The command that fetches weights, as their own error says it, or nothing where they are here."""
    try:
        look()
    except UserError as error:
        return f"fetch {str(error).partition('fetch ')[2]} and "
    return ""

"""Protocols and metrics by name: with the settings that a protocol fixes, and with those that ``--set`` changes."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from artv.errors import UserError
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe, build, recipe, settings_of
from artv_eval.sweep.plan import Assignments, with_components
from artv_eval.sweep.score_cells import Metric


def protocol_recipe(manager: PluginManager, name: str, settings: Mapping[str, Any]) -> Recipe:
    """A registered protocol, or the card in a YAML file."""
    is_file = name.endswith((".yaml", ".yml")) and ":" not in name
    return recipe(manager, "protocols", f"yaml:{name}" if is_file else name, settings)


def metric_recipe(
    manager: PluginManager, name: str, fixed: Mapping[str, Mapping[str, Any]], assignments: Assignments
) -> Recipe:
    """A metric with what the protocol fixes and, over it, what ``--set`` says."""
    entry = manager.find("metrics", name)
    known, _ = settings_of(manager.target(entry), KINDS["metrics"])
    settings = {**fixed.get(entry.component.name, {}), **assignments.take(entry.component.name)}
    return recipe(manager, "metrics", name, with_components(settings, known, assignments))


def changed_convention(
    manager: PluginManager, made: Recipe, fixed: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The settings of a metric if ``--set`` made them other than the protocol's, else None.

    Its values then have another hash. Where weights lie makes no difference: which they are is checked by sha256.
    """
    own: Any = None
    with suppress(UserError):  # a setting that only --set gives
        own = _without_places(metric_recipe(manager, made.entry.qualified, fixed, Assignments({})).reference())
    now = _without_places(made.reference())
    return None if now == own else now


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key != "weights"}
    return {key: _without_places(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def metric_of(manager: PluginManager, item: Recipe, runtime: dict[str, Any]) -> Metric:
    """The evaluator with its weights, or why it is absent: a missing weight is never replaced by something else."""
    try:
        return Metric(name=item.name, evaluator=build(manager, item, runtime))
    except UserError as error:
        return Metric(name=item.name, status=f"absent: {error}")

"""What every kind has in common: settings that can be written down, and clear errors about wrong ones."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.recipe import plain, settings_of

NO_SUCH_SETTING = "no_such_setting_of_anything"


def check_settings(target: Callable[..., Any], kind: str) -> None:
    """Defaults survive JSON, so that a manifest can hold them; there are no positional-only or unnamed settings."""
    known, _ = settings_of(target, KINDS[kind])
    for setting in known.values():
        if setting.default is inspect.Parameter.empty:
            continue
        try:
            kept = json.loads(json.dumps(plain(setting.default)))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"setting {setting.name} has a default that JSON cannot hold: {error}") from None
        said = kept == plain(setting.default) and not str(kept).startswith("<")
        assert said, f"setting {setting.name} has the default {setting.default!r}; use numbers, texts, lists, mappings"


def refuses_unknown_settings(target: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """A misspelt setting must not pass in silence."""
    try:
        target(**settings, **{NO_SUCH_SETTING: 1})
    except (TypeError, UserError):
        return
    raise AssertionError("a setting that does not exist is accepted in silence; take no **kwargs, or check them")


def function_of(target: Callable[..., Any], kind: str, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """What a factory of functions makes."""
    check_settings(target, kind)
    refuses_unknown_settings(target, settings)
    function = target(**settings)
    assert callable(function), f"the factory made a {type(function).__name__}; it must be a function"
    return function


def made(target: Any, kind: str, method: str, settings: Mapping[str, Any]) -> Any:
    """The component: ``target`` itself if it already has ``method``, else what the factory makes."""
    if not inspect.isclass(target) and hasattr(target, method):
        return target
    assert callable(target), f"the target is a {type(target).__name__}; it must be a factory or have {method}()"
    check_settings(target, kind)
    refuses_unknown_settings(target, settings)
    component = target(**settings)
    if method:
        assert hasattr(component, method), f"the factory made a {type(component).__name__} without {method}()"
    return component


def same(a: Any, b: Any, what: str, tolerance: float = 0.0) -> None:
    """Asserts that two arrays (or tensors) are equal, exactly or to a tolerance."""
    x, y = (np.asarray(v.detach().cpu() if hasattr(v, "detach") else v, dtype=np.float64) for v in (a, b))
    assert x.shape == y.shape, f"{what}: shapes {x.shape} and {y.shape}"
    if x.size:
        worst = float(np.nanmax(np.abs(x - y))) if not np.isnan(x - y).all() else 0.0
        assert worst <= tolerance and (np.isnan(x) == np.isnan(y)).all(), f"{what}: they differ by {worst:.3g}"

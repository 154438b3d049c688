"""From what a user writes, a name or a mapping of a name and settings, to the object that it stands for.

named("anchor", "sliding", ANCHORS)                          # Sliding()
named("anchor", {"name": "sliding", "every": 4}, ANCHORS)    # Sliding(every=4)
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from artv.errors import UserError, closest

T = TypeVar("T")


def named(what: str, given: Any, factories: Mapping[str, Callable[..., T]], default: str | None = None) -> T:
    """The object that ``given`` names, made by its factory with the settings beside the name.

    Args:
        what: the kind, for errors: ``anchor``.
        given: a name, or a mapping of settings with the key ``name``.
        factories: name → what makes the object. Its signature says which settings there are.
        default: the name of a mapping that has none.

    Raises:
        UserError: neither of these; a name or a setting that there is not; one that is missing. What the factory
            raises about a setting's value is the factory's own.
    """
    if not isinstance(given, str | Mapping):
        raise UserError(f"{what} is {given!r}; give a name, or a mapping such as {{'name': {min(factories)!r}}}")
    settings = {"name": given} if isinstance(given, str) else dict(given)
    name = settings.pop("name", default)
    if name not in factories:
        raise UserError(f"{what} is {name!r}; {closest(str(name), factories)}")
    known = inspect.signature(factories[name]).parameters
    for setting in settings:
        if setting not in known:
            raise UserError(f"{what} {name} has no setting {setting!r}; {closest(str(setting), known)}")
    missing = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in settings]
    if missing:
        raise UserError(f"{what} {name} needs {', '.join(missing)}")
    return factories[name](**settings)

"""Names that changed: the old one works for a release, and says so."""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__``: what is asked for by an old name is the object of the new one, with a warning.

        __getattr__ = renamed(__name__, {"Windows": "Crops"})

    The warning names the package, so ``artv-eval plugins list`` shows it beside a plugin that imports the old name.
    """

    def old(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = names[name]
        warnings.warn(f"{module}.{name} is now {module}.{new}; the old name goes", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], new)

    return old

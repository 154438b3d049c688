"""From a name and settings to an object, with every setting checked before anything is made.

A setting named after a role (``sampler``, ``guidance``, ``anchor`` …) takes a component of that kind: a name, or a
mapping ``{"name": …, its settings}``. The harness finds and builds it, so plugins' components fit wherever ours do.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from artv.errors import UserError, in_one_line
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.plugins.components import KINDS, ROLES, Kind
from artv_eval.plugins.manager import Entry, PluginManager

NUMBERS = (int, float, bool, type(None))
RUNTIME = frozenset({"device", "progress"})
"""Settings that say where and how visibly to compute: filled in by the harness, and no part of a cell's id."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a component, as its signature says. ``default`` is ``inspect.Parameter.empty`` when required."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def takes_component(self) -> bool:
        """Whether it is named after a role and takes a component of it; a number of that name does not."""
        whole = unbounded(self.annotation)
        kinds = get_args(whole) or (whole,)
        return self.name in ROLES and not all(unbounded(kind) in NUMBERS for kind in kinds)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A component with checked settings, not built yet: what plans and manifests hold.

    ``settings`` holds plain values and, for settings named after a role, further recipes.
    """

    entry: Entry
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The component's name."""
        return self.entry.component.name

    def provenance(self) -> list[dict[str, str]]:
        """Provenance of this component and of those in its settings."""
        inner = [item for value in self.settings.values() if isinstance(value, Recipe) for item in value.provenance()]
        return [self.entry.provenance(), *inner]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and for hashing: name, distribution, version, settings."""
        kept = {k: v for k, v in sorted(self.settings.items()) if k not in RUNTIME}
        settings = {k: v.to_dict() if isinstance(v, Recipe) else plain(v) for k, v in kept.items()}
        return {**self.entry.provenance(), "settings": settings}

    def named(self) -> dict[str, Any]:
        """``{"name": distribution/name, its settings}``: what :func:`recipe_from` makes a recipe of elsewhere."""
        settings = {k: v.named() if isinstance(v, Recipe) else v for k, v in self.settings.items()}
        return {"name": self.entry.qualified, **settings}


def unbounded(annotation: Any) -> Any:
    """The type itself, without the range that ``Annotated`` gives it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def bare(name: str) -> str:
    """The component's own name in ``[distribution/]name[:argument]``."""
    return name.partition(":")[0].rpartition("/")[2]


def named_component(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Name and settings of the component that ``value`` names: a text, or ``{"name": …, its settings}``."""
    if isinstance(value, Typed) and isinstance(value.read(), Mapping):
        value = value.read()
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and "name" in value:
        return value["name"], {key: item for key, item in value.items() if key != "name"}
    return None


def plain(value: Any) -> Any:
    """``value`` as JSON has it: mappings, lists, numbers, texts; a dataclass becomes the mapping of its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def recipe_from(manager: PluginManager, kind: str, named: Mapping[str, Any]) -> Recipe:
    """Inverse of :meth:`Recipe.named`."""
    return recipe(manager, kind, named["name"], {k: v for k, v in named.items() if k != "name"})


def settings_of(target: Any, kind: Kind) -> tuple[dict[str, Setting], bool]:
    """The settings that ``target``'s signature has, and whether it takes any others too (``**kwargs``)."""
    read = _read_signature if isinstance(target, Hashable) else _read_signature.__wrapped__
    found, open_ended = read(target, kind.reserved)
    return dict(found), open_ended


@functools.lru_cache(maxsize=1024)  # a grid asks ten thousand times
def _read_signature(target: Any, reserved: Sequence[str]) -> tuple[dict[str, Setting], bool]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # some builtins have no signature
        return {}, True
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except Exception:  # names that exist only for type checkers
        hints = {}
    found = {
        p.name: Setting(name=p.name, annotation=hints.get(p.name, Any), default=p.default)
        for p in parameters
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in reserved
    }
    return found, any(p.kind is p.VAR_KEYWORD for p in parameters)


def recipe(
    manager: PluginManager, kind: str, name: str, settings: Mapping[str, Any] | None = None, *, where: str = ""
) -> Recipe:
    """Finds ``[distribution/]name[:argument]`` and checks ``settings`` against the component's signature.

    Raises:
        UserError: unknown component, unknown setting (with the closest one), wrong type, or a required one missing.
    """
    entry = manager.find(kind, name)
    given = dict(settings or {})
    where = where or entry.component.name
    argument = name.partition(":")[2]
    if argument:
        if entry.component.argument is None:
            raise UserError(f"{KINDS[kind].role} {entry.component.name!r} takes nothing after a colon: {name!r}")
        field = entry.component.argument
        if str(given.get(field, argument)) != argument:
            raise UserError(f"{where}.{field} is {str(given[field])!r} and {name!r} says {argument!r}; give it once")
        given[field] = argument
    known, open_ended = settings_of(manager.target(entry), KINDS[kind])
    checked = {name: _checked(manager, known, open_ended, name, value, where) for name, value in given.items()}
    missing = [s.name for s in known.values() if s.required and s.name not in checked]
    if missing:
        raise UserError(f"{where} needs {', '.join(missing)}; give it with --set {where}.{missing[0]}=VALUE")
    return Recipe(entry=entry, settings=checked)


def check_setting(manager: PluginManager, kind: str, component: str, name: str, value: Any) -> None:
    """Raises UserError if a component has no such setting, or one of another type; others may be missing."""
    entry = manager.find(kind, component)
    known, open_ended = settings_of(manager.target(entry), KINDS[kind])
    _checked(manager, known, open_ended, name, value, entry.component.name)


def check_assignment(manager: PluginManager, component: str, name: str, values: Sequence[Any]) -> None:
    """Raises UserError if ``component`` names components to which ``component.name=value`` may be said, and none of
    them takes these values; says nothing of other names, and of what cannot be imported."""
    errors = []
    for kind in KINDS.values():
        if kind.set_as == "name" and component in manager.names(kind.name):
            try:
                manager.target(manager.find(kind.name, component))
            except UserError:
                return
            try:
                for value in values:
                    check_setting(manager, kind.name, component, name, value)
                return
            except UserError as error:
                errors.append(error)
    if errors:
        raise errors[0]


def _checked(
    manager: PluginManager, known: Mapping[str, Setting], open_ended: bool, name: str, value: Any, where: str
) -> Any:
    if name not in known and not open_ended:
        from artv.errors import closest

        raise UserError(f"{where} has no setting {name!r}; {closest(name, known)}")
    takes = known[name].takes_component if name in known else name in ROLES
    if takes and (chosen := named_component(value)) is not None:
        component, inner = chosen
        return recipe(manager, ROLES[name].name, component, inner, where=f"{where}.{name}" if inner else "")
    return convert(value, known[name].annotation if name in known else Any, f"{where}.{name}")


class Typed(str):
    """A value as typed on the command line: what fits the setting's type of YAML, words between commas, the text."""

    def read(self) -> Any:
        """The value as YAML reads it."""
        return copy.deepcopy(_read_yaml(str(self)))


@functools.lru_cache(maxsize=1024)
def _read_yaml(text: str) -> Any:
    import yaml

    from artv.yaml_files import parse_yaml

    try:
        return parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        return text


def convert(value: Any, annotation: Any, where: str) -> Any:
    """``value`` as ``annotation`` says, or a UserError that names the field ``where``."""
    if isinstance(value, Typed):
        return _typed(value, annotation, where)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return value
    from pydantic import ValidationError

    adapter = (_cached_adapter if isinstance(annotation, Hashable) else _adapter)(annotation)
    if adapter is None:
        return value
    try:
        # without strictness a flag would pass for a number
        return adapter.validate_python(value, strict=True if isinstance(value, bool) else None)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (where, *first["loc"]) if not str(part).startswith("function-"))
        raise UserError(f"{field} is {value!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _typed(value: Typed, annotation: Any, where: str) -> Any:
    """What YAML reads, words between commas or the text: the first that fits. The error is that of a plain value."""
    read = value.read()
    try:
        return convert(read, annotation, where)
    except UserError as error:
        told = None if isinstance(read, str) else error
    with contextlib.suppress(UserError):
        return convert([word.strip() for word in value.split(",")], annotation, where)
    try:
        return convert(str(value), annotation, where)
    except UserError as error:
        raise told or error from None


def _adapter(annotation: Any) -> Any:
    """What checks values for the annotation; None where pydantic knows nothing of it."""
    from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return None
    except PydanticUserError:  # dataclasses and models bring their own configuration
        return TypeAdapter(annotation)


_cached_adapter = functools.lru_cache(maxsize=1024, typed=True)(_adapter)


class ComponentFailed(UserError):
    """A component's factory raised something else than a UserError: a missing package, a mistake of its author."""


def build(manager: PluginManager, made: Recipe, runtime: Mapping[str, Any] | None = None) -> Any:
    """The component itself. A function kind (samplers) gives the function with its settings bound.

    ``runtime`` holds values for settings of :data:`RUNTIME` that the component has and nobody set.
    """
    target = manager.target(made.entry)
    wanted = {k: v for k, v in made.settings.items() if k != "feature" or _uses_feature(made, target)}
    settings = {k: build(manager, v, runtime) if isinstance(v, Recipe) else v for k, v in wanted.items()}
    known, _ = settings_of(target, KINDS[made.entry.kind])
    settings |= {k: v for k, v in (runtime or {}).items() if k in known and k not in settings}
    if KINDS[made.entry.kind].reserved:
        return functools.partial(target, **settings) if settings else target
    try:
        return target(**settings)
    except UserError:
        raise
    except Exception as error:
        what = f"{KINDS[made.entry.kind].role} {made.entry.qualified}"
        raise ComponentFailed(f"{what} cannot be made: {in_one_line(error)}") from error


def _uses_feature(made: Recipe, target: Any) -> bool:
    """False where the component says that with its argument it has no use for one: loading it takes seconds."""
    asked = optional(target, EvaluatorExtras, "uses_feature")
    return not callable(asked) or bool(asked(made.settings.get(made.entry.component.argument or "", "")))


def parse_assignments(assignments: Sequence[str], option: str = "--set") -> dict[str, dict[str, Any]]:
    """``component.field=value`` texts → component → field → value.

    Raises:
        UserError: a text that has not this form, or a field with two values.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in assignments:
        path, equals, value = text.partition("=")
        component, dot, name = path.rpartition(".")
        if not equals or not dot or not component or not name:
            raise UserError(f"{option} is {text!r}; it must be component.field=value, for example sampler.eta=0.5")
        fields, name = found.setdefault(component.strip(), {}), name.strip()
        if fields.setdefault(name, Typed(value)) != value:
            raise UserError(f"{option} gives {path.strip()} twice: {str(fields[name])!r} and {value!r}; give it once")
    return found

"""Components: what a plugin registers, and the table of their kinds.

A component is a name and the place of its factory. The place is imported only when the component is used, so that
listing hundreds of them costs nothing.
"""

from dataclasses import dataclass
from typing import Literal

API_VERSION = 1  # raised when a hook, or what a component is called with, changes incompatibly


@dataclass(frozen=True)
class Component:
    """One entry of a ``register_*`` hook.

    Args:
        name: what users type. No white space, ``/``, ``:`` or ``=``.
        target: ``package.module:attribute`` of the factory (of the function itself for samplers and guidance).
        summary: one line for ``artv-eval plugins list``.
        argument: the setting that takes what follows a colon, as in ``folder:clips/`` (for most components: none).

    >>> Component("euler", "my_package.samplers:sample_euler", "Euler's method, first order").name
    'euler'
    """

    name: str
    target: str
    summary: str
    argument: str | None = None

    def __post_init__(self) -> None:
        for field in ("name", "target", "summary"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value.strip():
                raise TypeError(f"Component.{field} is {value!r}; it must be a text that is not empty")
        if any(c.isspace() or c in "/:=" for c in self.name):
            raise ValueError(f"Component.name is {self.name!r}; it may not hold white space, '/', ':' or '='")
        module, _, attribute = self.target.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
            raise ValueError(f"Component.target is {self.target!r}; it must be like 'package.module:factory'")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of component.

    Args:
        name: plural, as in ``register_<name>``.
        role: singular, as in ``--set <role>.field=value``.
        contract: what using a component of this kind means, for the author.
        reserved: parameters of the target that the caller fills in and that are no settings. When there are any, the
            target *is* the component (a function) and settings are bound to it; else the target is a factory.
        set_as: what stands before the dot in ``--set``: the component's ``name`` (its role too), the ``role`` alone
            where a run has one of the kind, or None where no command sets it.
    """

    name: str
    role: str
    contract: str
    reserved: tuple[str, ...] = ()
    set_as: Literal["name", "role"] | None = "name"

    def assigned(self, name: str) -> str | None:
        """What stands before the dot in ``--set`` for the component ``name``; None where no command sets it."""
        return {"name": name, "role": self.role, None: None}[self.set_as]

    @property
    def hook(self) -> str:
        """Name of this kind's hook."""
        return f"register_{self.name}"


_KINDS = (
    Kind(
        name="methods",
        role="method",
        contract="factory(**settings) -> object with generate(requests) -> one GeneratedClip a request",
    ),
    Kind(
        name="samplers",
        role="sampler",
        contract="function(denoise, x, sigmas, *, noise=None, callback=None, **settings) -> x at the last sigma",
        reserved=("denoise", "x", "sigmas", "noise", "callback"),
    ),
    Kind(
        name="guidance",
        role="guidance",
        contract="factory(**settings) -> guidance rule, as those of artv.guidance",
    ),
    Kind(
        name="masks",
        role="mask",
        contract="factory(**settings) -> mask rule, as those of artv.mask_rules",
    ),
    Kind(
        name="anchors",
        role="anchor",
        contract="factory(**settings) -> anchor strategy, as those of artv.anchors",
    ),
    Kind(
        name="noise_levels",
        role="ref_noise",
        contract="factory(**settings) -> function(uniform numbers (B,)) -> noise levels (B,) in 0..1 of the references",
    ),
    Kind(
        name="accelerations",
        role="acceleration",
        contract="factory(**settings) -> acceleration, as those of artv.accelerations",
    ),
    Kind(
        name="first_frames",
        role="first_frame",
        contract="factory(**settings) -> function(prompts, height, width, seeds) -> uint8 (B, H, W, 3)",
    ),
    Kind(
        name="readers",
        role="reader",
        contract="class(path, **settings) -> open video file with len(), fps and frames(indices)",
        reserved=("path",),
        set_as=None,
    ),
    Kind(
        name="protocols",
        role="protocol",
        contract="factory(**settings) -> protocol card with its requests and its reference clips",
        set_as="role",
    ),
    Kind(
        name="features",
        role="feature",
        contract="factory(**settings) -> extractor: uint8 (B, T, 3, H, W) -> float32 (B, dim); name, digest, dim",
    ),
    Kind(
        name="metrics",
        role="metric",
        contract="factory(**settings) -> evaluator: describe(clips) -> rows (n, d), evaluate(rows, reference) -> float",
    ),
    Kind(
        name="ablations",
        role="ablation",
        contract="factory(**settings) -> function(context) -> the cells to compare",
    ),
    Kind(
        name="trainers",
        role="trainer",
        contract="factory(**settings) -> trainer: settings(changes, seed, steps) name a model, train() makes it",
        set_as="role",
    ),
    Kind(
        name="executors",
        role="executor",
        contract="factory(**settings) -> executor: runs tasks and yields their results as they finish",
        set_as="role",
    ),
    Kind(
        name="reporters",
        role="reporter",
        contract="factory(**settings) -> function(results) -> text",
        set_as=None,
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
ROLES: dict[str, Kind] = {kind.role: kind for kind in _KINDS}

"""VBench loads a dimension's networks at every call; here they are loaded once a process and kept.

Its modules name what loads a network. While a dimension is scored, these names give what they gave before to the same
arguments. Of vbench 0.1.5; a name that another version has not is left alone, and loads every time.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

CLIP = "clip.load"
UNNAMED = " object at 0x"
VICLIP = ("ViCLIP", "SimpleTokenizer")
DETECTOR = ("DenseCaptioning.initialize_model_det", "DenseCaptioning")
LOADERS: dict[str, tuple[str, ...]] = {
    "subject_consistency": ("torch.hub.load",),
    "background_consistency": (CLIP,),
    "motion_smoothness": ("MotionSmoothness",),
    "dynamic_degree": ("DynamicDegree",),
    "aesthetic_quality": ("get_aesthetic_model", CLIP),
    "imaging_quality": ("MUSIQ",),
    "overall_consistency": VICLIP,
    "temporal_style": VICLIP,
    "object_class": DETECTOR,
    "multiple_objects": DETECTOR,
    "spatial_relationship": DETECTOR,
    "color": ("DenseCaptioning.initialize_model", "DenseCaptioning"),
    "human_action": ("torch.load", "create_model"),
    "scene": ("tag2text_caption",),
    "appearance_style": (CLIP,),
}
"""Dimension → what its module calls to load a network, from the module on; methods before their class."""

KEPT: dict[tuple[str, ...], dict[str, Any]] = {}
"""What was loaded, by what loads it: dimensions of the same loaders share their networks."""


@contextmanager
def loaded_once(dimension: str) -> Iterator[None]:
    """While the block runs, networks of ``dimension`` are those that were loaded before."""
    paths = LOADERS.get(dimension, ())
    kept = KEPT.setdefault(paths, {})
    with ExitStack() as stack:
        try:
            module = importlib.import_module(f"vbench.{dimension}")
        except ImportError:  # VBench will say so itself
            module = None
        for path in paths if module is not None else ():
            stack.enter_context(_remembered(module, path, kept))
        yield


@contextmanager
def _remembered(module: Any, path: str, kept: dict[str, Any]) -> Iterator[None]:
    *owners, name = path.split(".")
    owner = module
    for part in owners:
        owner = getattr(owner, part, None)
    load = getattr(owner, name, None)
    if load is None:
        yield
        return
    setattr(owner, name, _remembering(load, path, kept))
    try:
        yield
    finally:
        setattr(owner, name, load)


def _remembering(load: Callable[..., Any], path: str, kept: dict[str, Any]) -> Callable[..., Any]:
    def remembered(*arguments: Any, **others: Any) -> Any:
        key = " ".join([path, *(_named(value, kept) for value in (*arguments, *sorted(others.items())))])
        if UNNAMED in key:  # arguments that say nothing of what they are
            return load(*arguments, **others)
        if key not in kept:
            kept[key] = load(*arguments, **others)
        return kept[key]

    return remembered


def _named(value: Any, kept: dict[str, Any]) -> str:
    """What it is, in words: of what was loaded, as ViCLIP's tokenizer, how it was loaded."""
    if isinstance(value, tuple):
        return f"({', '.join(_named(part, kept) for part in value)})"
    return next((f"<{key}>" for key, loaded in kept.items() if loaded is value is not None), repr(value))

"""``artv-eval plugins new``: a package from the template; it installs, passes its tests and runs as it is."""

import ast
import re
from collections.abc import Sequence
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from jinja2 import Environment, PackageLoader

from artv.errors import UserError, closest
from artv.files import write_text_atomically
from artv.requests import check_writable
from artv_eval.plugins.components import KINDS

DEFAULT_KINDS = ("samplers", "metrics")
TRIALS = {
    "methods": ("The method beside ART-V", "baselines --set baselines.names=artv,{name} --metrics drift"),
    "samplers": (
        "The sampler beside the paper's",
        "sampler --set sampler.names=dpmpp_2s_ancestral,{name} --metrics drift",
    ),
    "guidance": (
        "The rule beside the paper's",
        "guidance-rule --set guidance-rule.names=three_term,{name} --metrics drift",
    ),
    "masks": (
        "The rule beside the mask as learned",
        "mask-rule --set mask-rule.names=learned,{name} --metrics mask_auc",
    ),
    "anchors": (
        "The strategy beside the first frame",
        "anchor-strategy --set anchor-strategy.names=first,{name} --metrics drift",
    ),
    "noise_levels": (
        "The distribution beside clean references",
        "ref-noise --set ref-noise.names=constant,{name} --metrics drift",
    ),
    "accelerations": (
        "The masks' worth, sampled with the acceleration",
        "mask --set method.acceleration={name} --metrics drift",
    ),
    "first_frames": (
        "First frames, where a protocol gives none (the default one does)",
        "mask --set method.first_frame={name} --metrics drift",
    ),
    "readers": (
        "Video files read by the reader (artv data shapes --out clips --num 4 makes some)",
        "baselines --set baselines.names=folder:clips --set folder.reader={name} --metrics drift",
    ),
    "protocols": ("An ablation under the protocol", "mask --protocol {name} --metrics drift"),
    "features": ("The Fréchet distance of the features", "mask --metrics fvd --set fvd.feature={name}"),
    "metrics": ("An ablation scored by the metric", "mask --metrics drift,{name}"),
    "ablations": ("The ablation", "{name} --metrics drift"),
    "trainers": (
        "Models by the trainer, under two training seeds",
        "mask --train --train-seeds 2 --set trainer.name={name} --metrics drift",
    ),
    "executors": ("A sweep run by the executor", "mask --executor {name} --metrics drift"),
    "reporters": ("A sweep reported in the format", "mask --format {name} --metrics drift"),
}
"""Kind → what a first sweep with a component of it shows, and its options."""


def new_plugin(name: str, kinds: Sequence[str], parent: Path) -> Path:
    """Writes ``parent/name`` and returns it.

    Raises:
        UserError: a name that cannot be a distribution's or is taken, an unknown kind, a folder that exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 100:
        raise UserError(
            f"plugin name is {name[:100]!r}; it must be at most 100 small letters, digits and single hyphens, like "
            "my-sampler"
        )
    kinds = tuple(dict.fromkeys(kinds)) or DEFAULT_KINDS
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"unknown kind {kind!r}; {closest(kind, KINDS)}")
    root, module = parent / name, name.replace("-", "_")
    if root.exists():
        raise UserError(f"{root} exists; choose another name, or another folder with --out")
    if iskeyword(module) or find_spec(module) is not None:
        raise UserError(f"plugin name is {name!r}, and Python has {module!r} already; choose another, like my-{name}")
    check_writable(root)
    for path, text in _files(name, module, kinds).items():
        write_text_atomically(root / path, text)
    return root


def trials(name: str, kinds: Sequence[str]) -> list[tuple[str, str]]:
    """What to try first for each of ``kinds``, and its command: seconds of work on a CPU."""
    chosen = [TRIALS[kind] for kind in tuple(dict.fromkeys(kinds)) or DEFAULT_KINDS]
    few = "--num-videos 4 --frames 4"
    steps = {True: " --steps 2", False: ""}  # files that are there take none
    return [
        (what, f"artv-eval sweep --ablation {options.format(name=name)} {few}{steps['folder:' not in options]}")
        for what, options in chosen
    ]


def _files(name: str, module: str, kinds: Sequence[str]) -> dict[str, str]:
    from artv import __version__

    environment = Environment(
        loader=PackageLoader("artv_eval", "template"), trim_blocks=True, keep_trailing_newline=True
    )
    sources = {kind: environment.get_template(f"kinds/{kind}.py").render(name=name, module=module) for kind in kinds}
    values = {
        "name": name,
        "module": module,
        "version": __version__,
        "kinds": kinds,
        "roles": {kind: KINDS[kind].role for kind in kinds},
        "targets": {kind: target_of(source)[0] for kind, source in sources.items()},
        "trials": trials(name, kinds),
        "summaries": {kind: target_of(source)[1] for kind, source in sources.items()},
    }
    whole = {
        "pyproject.toml": "pyproject.toml.j2",
        "README.md": "README.md.j2",
        f"src/{module}/__init__.py": "init.py.j2",  # in src, or the folder of a one-word plugin hides its package
        f"tests/test_{module}.py": "test.py.j2",
    }
    return {
        **{path: environment.get_template(template).render(values) for path, template in whole.items()},
        **{f"src/{module}/{kind}.py": source for kind, source in sources.items()},
    }


def target_of(source: str) -> tuple[str, str]:
    """Name and first sentence of the class or function that a module is about: its last one."""
    tree = ast.parse(source)
    target = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)][-1]
    summary = (ast.get_docstring(target) or target.name).splitlines()[0]
    return target.name, re.split(r"[:.](?:\s|$)", summary)[0]

"""The files of networks that a dimension of VBench reads.

VBench fetches what is missing when it is first needed, in the middle of the work. Here it does so when a metric is
made, and only if the user says so.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BESIDE = {
    "aesthetic_quality": "{cache}/aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth",
    "overall_consistency": "{cache}/ViCLIP/bpe_simple_vocab_16e6.txt.gz",
    "temporal_style": "{cache}/ViCLIP/bpe_simple_vocab_16e6.txt.gz",
    "subject_consistency": "{hub}/checkpoints/dino_vitbase16_pretrain.pth",
}
"""Files that a dimension reads and ``init_submodules`` does not name, in VBench's cache and in torch's."""


def files_of(dimension: str, fetch: bool) -> list[Path]:
    """The files that are there, by name.

    Args:
        fetch: VBench may fetch what is missing.

    Raises:
        FileNotFoundError: a file is missing; the text says which.
    """
    from torch import hub

    utils = importlib.import_module("vbench.utils")
    with _fetching(utils, dimension, fetch):
        used = utils.init_submodules([dimension], local=True)[dimension]
    named = [Path(value) for value in _texts(used) if os.sep in value]
    beside = [Path(BESIDE[dimension].format(cache=utils.CACHE_DIR, hub=hub.get_dir()))] if dimension in BESIDE else []
    if beside and not fetch and not beside[0].is_file():
        raise _missing(dimension, str(beside[0]))
    if lost := [path for path in named if not path.exists() and path.suffix]:
        raise _missing(dimension, str(lost[0]))
    return sorted(path for path in (*named, *beside) if path.is_file())


def _texts(value: Any) -> Iterator[str]:
    """All texts in what ``init_submodules`` gives for a dimension."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


@contextmanager
def _fetching(utils: Any, dimension: str, allowed: bool) -> Iterator[None]:
    """While the block runs, VBench's ``utils`` starts no program that fetches, unless ``allowed``."""
    its = utils.subprocess
    if not allowed:

        def refuse(command: list[str], **_: Any) -> None:
            raise _missing(dimension, next((part for part in command if "://" in part), command[-1]))

        utils.subprocess = SimpleNamespace(run=refuse, CalledProcessError=its.CalledProcessError)
    try:
        yield
    finally:
        utils.subprocess = its


def _missing(dimension: str, what: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"VBench lacks a network for {dimension}: {what}; put it there, or let VBench fetch it with the setting "
        "fetch=true, before the work"
    )

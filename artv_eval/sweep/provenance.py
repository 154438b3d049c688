"""Where and by what a run was made: hardware, git states, versions, digests."""

import hashlib
import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from artv.devices import cores
from artv.errors import counted
from artv.files import read_text
from artv_eval.api import ClipRequest
from artv_eval.plugins.code import ROOT
from artv_eval.results.store import SHOWN, RunStore
from artv_eval.sweep.plan import Cell

MOST = 8  # cells that a line names


@cache
def hardware(device: str) -> dict[str, str]:
    """What computes here: ``device``, the GPU's or the processor's name, and ``host``."""
    return {"device": _gpu(device) if device.startswith("cuda") else _processor(), "host": platform.node()}


def _gpu(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device)


def _processor() -> str:
    try:
        lines = read_text(Path("/proc/cpuinfo"), errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that a folder is in, and whether files of it are changed; None where there is none."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"folder": str(folder), "commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    asked = ["git", "-C", str(folder), *arguments]
    return subprocess.run(asked, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.strip()


def git_states() -> list[dict[str, Any]]:
    """The states of this code and of the folder that the command was given in."""
    found = [git_state(folder) for folder in dict.fromkeys((ROOT, Path.cwd()))]
    return [state for state in found if state is not None]


def requests_digest(requests: Sequence[ClipRequest]) -> str:
    """16 hex digits of what a protocol asked for: index, prompt, seed and size of up to 64 clips, evenly spread.

    Not of all, for each is rendered.
    """
    sha = hashlib.sha256(str(len(requests)).encode())
    for request in (requests[i] for i in range(0, len(requests), -(-len(requests) // SHOWN))):
        asked = (request.index, request.prompt, request.seed, request.num_frames, request.height, request.width)
        sha.update(json.dumps(asked).encode())
    return sha.hexdigest()[:16]


def making(device: str) -> dict[str, Any]:
    """What clips are made on and what their seconds depend on beside: ``threads`` of this process, of which there are
    fewer where several processes share a machine.
    """
    torch = sys.modules.get("torch")
    return {**hardware(device), "threads": cores() if torch is None else torch.get_num_threads()}


NOT_NOTED = "not noted"


def made_on(store: RunStore, cell: str, indices: Sequence[int]) -> dict[str, int]:
    """``device @ host`` → clips of a cell that were made there."""
    notes = store.made_on(cell)
    return dict(Counter(f"{notes[i]['device']} @ {notes[i]['host']}" if i in notes else NOT_NOTED for i in indices))


def mixed_devices(store: RunStore, cells: Sequence[Cell], indices: Sequence[int]) -> list[str]:
    """A line for each ablation whose clips, of a cell or of several, were made on devices of several names.

    As far as that was noted.
    """
    found: dict[str, dict[str, Counter[str]]] = {}
    for cell in cells:
        if cell.method is not None and not cell.sanity:
            notes = store.made_on(cell.id)
            on = Counter(notes[index]["device"] for index in indices if "device" in notes.get(index, {}))
            found.setdefault(cell.ablation, {})[cell.title] = on
    return [_mixed(ablation, by) for ablation, by in found.items() if len(set().union(*by.values())) > 1]


def _mixed(ablation: str, by_cell: Mapping[str, Counter[str]]) -> str:
    kinds = len(set().union(*by_cell.values()))
    of = [f"{name}: {', '.join(f'{n} on {kind}' for kind, n in on.items())}" for name, on in by_cell.items() if on]
    left = f"; {counted(len(of) - MOST, 'cell')} more" if len(of) > MOST else ""
    return (
        f"{ablation}: its clips were made on {kinds} kinds of device, which round otherwise and take other seconds "
        f"({'; '.join(of[:MOST])}{left}); where that matters make all of them on one, with another --out and --store"
    )


def mixed_threads(store: RunStore, cells: Sequence[Cell], indices: Sequence[int]) -> list[str]:
    """A line where seconds that stand beside each other were taken by processes of other numbers of threads: clips that
    are found in a store keep the seconds that they took when fewer, or more, processes shared the machine.
    """
    found: dict[str, set[int]] = {}
    for cell in cells:
        if cell.method is not None and not cell.sanity:
            notes = store.made_on(cell.id)
            found[cell.title] = {notes[index]["threads"] for index in indices if "threads" in notes.get(index, {})}
    if len(set().union(*found.values())) < 2:
        return []
    of = [f"{name}: {' and '.join(map(str, sorted(threads)))}" for name, threads in found.items() if threads]
    left = f"; {counted(len(of) - MOST, 'cell')} more" if len(of) > MOST else ""
    return [
        "seconds of clips do not compare: they were made by processes of other numbers of threads "
        f"({'; '.join(of[:MOST])}{left}); make all of them alike, with another --out and --store"
    ]

"""What a sweep will cost: device hours, energy and room, from making a few of its clips.

A cell is probed by one clip, which loads the model, and then by a batch as large as a few seconds allow; nothing of it
is kept. Cells that the time was too short for count as the probed ones of their method do.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from artv.errors import counted, in_one_line
from artv_eval.api import GeneratedClip
from artv_eval.efficiency.power import PowerMeter
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.recipe import build
from artv_eval.results.store import RunStore
from artv_eval.sweep.devices import BATCH_SIZE
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.trainings import Planned

BATCH_SECONDS = 3.0  # of a probed batch


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a clip of a cell took, made with so many ``clips``. ``watts``: None where nothing measures power."""

    seconds: float
    bytes: float
    clips: int
    watts: float | None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Sums over what is left to do; None for what is not known.

    ``unknown``: cells without an estimate, each with the reason. ``alone``: methods of which
    there was time for single clips only, while a sweep makes several at once.
    """

    clips: int
    seconds: float | None
    bytes: float | None
    training_minutes: float | None
    training_bytes: int
    watts: float | None
    probed: int
    cells: int
    free: int
    device: str
    unknown: Mapping[str, str]
    alone: Sequence[str] = ()

    @property
    def hours(self) -> float | None:
        """Hours of one device."""
        if self.seconds is None or self.training_minutes is None:
            return None
        return self.seconds / 3600 + self.training_minutes / 60

    @property
    def kwh(self) -> float | None:
        """Kilowatt hours, at the power of the probe."""
        return self.hours * self.watts / 1000 if self.hours is not None and self.watts is not None else None

    def document(self) -> dict[str, Any]:
        """Plain values."""
        needed = (self.bytes or 0) + self.training_bytes
        return {
            "clips": self.clips, "device": self.device, "device_hours": self.hours, "kwh": self.kwh,
            "watts": self.watts, "bytes": needed, "bytes_free": self.free, "probed_cells": self.probed,
            "cells": self.cells, "unknown": dict(self.unknown),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """For people."""
        each = f", {self.seconds / self.clips:.3g} s a clip" if self.clips and self.seconds is not None else ""
        hours = "device hours not known" if self.hours is None else f"about {self.hours:.3g} device hours"
        energy = (
            f"{self.kwh:.3g} kWh at {self.watts:.0f} W"
            if self.kwh is not None
            else "kWh not known, for nothing here measures power"
        )
        needed = (self.bytes or 0) + self.training_bytes
        room = f"{needed / 1e9:.3g} GB of {self.free / 1e9:.0f} GB free"
        said = f"{counted(self.clips, 'clip')} to make{each}; {hours} on {self.device}, {energy}; {room}"
        slow = f"{', '.join(self.alone)}: from clips made one by one; in batches they may take less"
        return [
            f"costs: {said} (from clips of {self.probed} of {counted(self.cells, 'cell')})",
            *([slow] if self.alone else []),
            *(f"{name}: cost not known ({why})" for name, why in self.unknown.items()),
            *(["more room is needed than there is"] if needed > self.free else []),
        ]


def costs_of(
    prepared: Prepared, left: Mapping[str, int], trainings: Sequence[Planned], seconds: float, room: Path
) -> Costs:
    """Probes for about ``seconds``.

    Args:
        left: cell id → clips to make.
        room: where they will be kept.
    """
    cells = list({cell.id: cell for cell in prepared.cells if cell.status == READY and left[cell.id]}.values())
    probes, unknown = _probed(prepared, cells, seconds)
    estimates = {cell.id: _estimate(cell, cells, probes) for cell in cells}
    known = [(left[key], item) for key, item in estimates.items() if item is not None]
    for cell in cells:
        if estimates[cell.id] is None:
            unknown.setdefault(cell.title, "no time to probe it")
    minutes = [item.minutes for item in trainings if item.left]
    watts = [probe.watts for probe in probes.values() if probe.watts is not None]
    whole = len(known) == len(cells)
    return Costs(
        clips=sum(left[cell.id] for cell in cells),
        seconds=sum(n * item.seconds for n, item in known) if whole else None,
        bytes=sum(n * item.bytes for n, item in known) if whole else None,
        training_minutes=None if None in minutes else sum(m for m in minutes if m is not None),
        training_bytes=sum(item.bytes or 0 for item in trainings if item.left),
        watts=max(watts) if watts else None,
        probed=len(probes),
        cells=len(cells),
        free=shutil.disk_usage(next(place for place in (room, *room.absolute().parents) if place.exists())).free,
        device=prepared.options.device,
        unknown=unknown,
        alone=_alone(prepared, cells, probes),
    )


def _alone(prepared: Prepared, cells: Sequence[Cell], probes: Mapping[str, Probe]) -> list[str]:
    if _most(prepared) == 1:
        return []
    return list(dict.fromkeys(cell.label for cell in cells if cell.id in probes and probes[cell.id].clips == 1))


def _most(prepared: Prepared) -> int:
    """Clips that the sweep makes at once."""
    most = prepared.options.batch_size or BATCH_SIZE[prepared.options.device.partition(":")[0]]
    return min(most, len(prepared.requests))


def _estimate(cell: Cell, cells: Sequence[Cell], probes: Mapping[str, Probe]) -> Probe | None:
    """Its own, or the mean over the probed cells of its method."""
    if cell.id in probes:
        return probes[cell.id]
    alike = [probes[other.id] for other in cells if other.id in probes and other.label == cell.label]
    if not alike:
        return None
    seconds, size = fmean(item.seconds for item in alike), fmean(item.bytes for item in alike)
    return replace(alike[0], seconds=seconds, bytes=size)


def _probed(prepared: Prepared, cells: Sequence[Cell], seconds: float) -> tuple[dict[str, Probe], dict[str, str]]:
    """By cell id, and the reason by title; one cell of each method first, then the others while there is time.

    Of these the sanity cells, which take next to nothing and without which there is no sum.
    """
    firsts = {cell.label: cell.id for cell in reversed(cells)}.values()
    order = sorted(cells, key=lambda cell: (cell.id not in firsts, not cell.sanity))
    probes: dict[str, Probe] = {}
    unknown: dict[str, str] = {}
    until = time.monotonic() + seconds
    for cell in order:
        if time.monotonic() >= until:
            break
        try:
            probes[cell.id] = _probe(prepared, cell)
        except Exception as error:
            unknown[cell.title] = in_one_line(error)
    return probes, unknown


def _probe(prepared: Prepared, cell: Cell) -> Probe:
    assert cell.method is not None
    made = cell.method
    if cell.training is not None and not Path(str(made.settings["checkpoint"])).is_dir():  # its twin is still to come
        base = prepared.options.request.checkpoint or prepared.options.request.preset
        made = replace(made, settings={**made.settings, "checkpoint": base})
    method = build(prepared.manager, made, prepared.runtime)
    optional(method, MethodExtras, "prepare")(prepared.requests)
    list(method.generate(prepared.requests[:1]))
    started = time.perf_counter()
    clips = list(method.generate(prepared.requests[:1]))
    alone = time.perf_counter() - started
    count = min(_most(prepared), max(1, int(BATCH_SECONDS / max(alone, 1e-4))))
    with PowerMeter(prepared.options.device) as power:
        started = time.perf_counter()
        clips = [clip for clip in method.generate(prepared.requests[:count]) if isinstance(clip, GeneratedClip)]
        took = (time.perf_counter() - started) / count
    return Probe(seconds=took, bytes=_size(clips), clips=count, watts=power.watts)


def _size(clips: Sequence[GeneratedClip]) -> float:
    """Bytes of a clip as it is kept."""
    with TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        for index, clip in enumerate(clips):
            store.save_clip("probe", index, clip)
        return fmean(path.stat().st_size for path in Path(folder, "clips", "probe").iterdir()) if clips else 0.0

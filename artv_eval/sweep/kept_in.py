"""Where the clips and rows of a sweep are kept: which folders of the store its run folder refers to."""

import os

from artv_eval.plugins.code import CLIPS, ROWS, maker
from artv_eval.results.shared_store import SharedStore
from artv_eval.results.store import RunStore
from artv_eval.sweep.plan import Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.twins.store import TwinStore


def makers(prepared: Prepared) -> dict[str, str]:
    """Cell id → what makes its clips, beside what the id stands for; of a cell that has a method and weights."""
    kind, found = prepared.options.device.partition(":")[0], {}
    for cell in prepared.cells:
        weights = _weights(prepared, cell)
        if cell.method is not None and (weights is not None or cell.training is None):
            found[cell.id] = maker(prepared.manager, [cell.method], CLIPS, kind, weights)
    return found


def _weights(prepared: Prepared, cell: Cell) -> str | None:
    """Digest of a twin that is there: training need not repeat itself."""
    options = prepared.options.train
    if cell.training is None or options is None:
        return None
    return (TwinStore(options.store).finished(cell.training.id) or {}).get("digest")


def refer(prepared: Prepared, store: RunStore) -> None:
    """Links the run folder to the store: its cells' clips, their rows and those of reference clips.

    A cell whose twin is not trained yet is left to a later call. A run folder that has all of it in folders of its own,
    or beside which no store can be made, is left alone.
    """
    assert store.shared is not None
    by = makers(prepared)
    rows = maker(prepared.manager, prepared.metric_recipes, ROWS, prepared.options.device.partition(":")[0])
    wanted = [("clips", cell, made_by) for cell, made_by in by.items()]
    wanted += [("features", group, rows) for group in (*by, f"reference-{prepared.protocol.key}")]
    own = [store.root / kind / name for kind, name, _ in wanted]
    if all(path.is_dir() and not path.is_symlink() for path in own) or not _possible(prepared):
        return
    store.shared.begin(store.root)
    for kind, name, made_by in wanted:
        store.shared.refer(store.root, kind, name, made_by)


def _possible(prepared: Prepared) -> bool:
    """Whether the store is there, was asked for, or can be made where nobody asked for it."""
    beside = prepared.store.parent
    return prepared.options.store is not None or prepared.store.is_dir() or os.access(beside, os.W_OK)


def looked_at(prepared: Prepared) -> RunStore:
    """The same to look at, for a plan: nothing is written."""
    return RunStore(prepared.run, to_read=True, shared=SharedStore(prepared.store), makers=makers(prepared))

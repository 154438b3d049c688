"""The rows that a finished run keeps of its cells, taken up again for tests across runs.

A metric of a whole set has no value of a clip, so its test resamples the rows of both cells together. They are used
only if they give the values that the run's results state.

Shape suffixes: n clips, d numbers a row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.plugins.digests import digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.results.documents import read_manifest
from artv_eval.results.rows import OK, Results, Row
from artv_eval.results.store import RunStore
from artv_eval.sweep.over_seeds import Replicates, replicates
from artv_eval.sweep.plan import Cell, ProtocolRef
from artv_eval.sweep.score_cells import Scored


class KeptRows:
    """What a run folder keeps under one metric.

    Raises:
        UserError: the folder does not say how the metric was made, or it cannot be made here.
    """

    def __init__(self, manager: PluginManager, store: RunStore, metric: str) -> None:
        self.store, self.manifest = store, read_manifest(store.root)
        self.evaluator = _evaluator(manager, self.manifest, metric)
        self.file = digest(self.evaluator.digest)[:16]
        needs = "reference" in self.evaluator.needs
        self.reference = self._reference() if needs else None
        self.whole = self.reference is not None or not needs

    def groups(self, results: Results, ablation: str, prefix: str) -> dict[str, Replicates]:
        """Cell → its rows, of the cells that have all; they are named ``prefix`` + name, of ``ablation``."""
        found = []
        for row in results.rows:
            if row.metric == self.evaluator.name and row.status == OK and not row.sanity:
                scored = [self._scored(cell, row, ablation, prefix + row.cell) for cell in self._cells(row)]
                there = [item for item in scored if item.rows is not None]
                found += there if there and agrees(there, row) else []
        return {group.first.cell.name: group for group in replicates(found)}

    def _cells(self, row: Row) -> list[Mapping[str, Any]]:
        return [c for c in self.manifest["cells"] if (c["cell"], c["ablation"]) == (row.cell, row.ablation)]

    def _reference(self) -> np.ndarray | None:
        kept = self.store.rows(f"reference-{self.manifest['protocol']['key']}").load(self.file)
        order = sorted(kept, key=lambda key: (len(key), key))  # numbers in their order
        return np.stack([kept[key] for key in order]) if kept else None

    def _scored(self, cell: Mapping[str, Any], row: Row, ablation: str, name: str) -> Scored:
        """Rows of the first ``row.n`` clips, by the index of their requests; a larger sweep may have left more."""
        rows = self.store.rows(cell["id"]).load(self.file)
        kept = {int(key.partition(":")[0]): value for key, value in rows.items()}
        indices = sorted(kept)[: row.n]
        training = cell.get("training") or {}
        return Scored(
            cell=Cell(
                ablation=ablation,
                name=name,
                label=row.method,
                protocol=ProtocolRef(name=row.protocol, hash=row.protocol_hash),
                checkpoint=cell.get("checkpoint") or training.get("id"),
                seed=training.get("seed"),
            ),
            evaluator=self.evaluator,
            rows=np.stack([kept[i] for i in indices]) if self.whole and len(indices) == row.n > 1 else None,
            reference=self.reference,
            positions=indices,
            seeds_per_prompt=self.manifest["protocol"].get("seeds_per_prompt", 1),
        )


def _evaluator(manager: PluginManager, manifest: Mapping[str, Any], metric: str) -> Any:
    known = {item["name"]: item for item in manifest["metrics"]}
    made = known.get(metric, {}).get("recipe")
    if made is None:
        raise UserError(f"the run does not say how {metric} was made")
    evaluator = build(manager, recipe_from(manager, "metrics", made), {"device": "cpu"})
    if evaluator.digest != known[metric]["digest"]:
        raise UserError(f"{metric} is by other weights here")
    return evaluator


def agrees(scored: Sequence[Scored], row: Row) -> bool:
    """Whether the rows give the value of the results: a cache may hold other clips than those that were scored."""
    values = [item.evaluator.evaluate(item.rows, item.reference) for item in scored]
    same = row.value is not None and bool(np.isclose(np.mean(values), row.value, rtol=1e-6, atol=1e-9))
    return same and len(values) == (row.seeds or 1)

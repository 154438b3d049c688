"""What two plans share: cells and trainings by their ids, for these stand for all that clips and weights depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artv.errors import counted
from artv_eval.plugins.manager import PluginManager
from artv_eval.results.documents import read_manifest
from artv_eval.sweep.kept_in import makers
from artv_eval.sweep.overview import document
from artv_eval.sweep.plan import ProtocolRef
from artv_eval.sweep.plan_file import read_plan
from artv_eval.sweep.prepare import prepare


@dataclass(frozen=True, kw_only=True)
class Side:
    """A plan: its cells' and trainings' names by id, and clips a cell.

    ``makers``: by the cell's id what makes its clips; not of a cell whose model is not trained yet.
    """

    name: str
    protocol: str
    clips: int
    cells: Mapping[str, str]
    trainings: Mapping[str, str]
    makers: Mapping[str, str] = field(default_factory=dict)


def side(manager: PluginManager, place: str) -> Side:
    """The side of a plan file, or of the run folder of a sweep. Raises UserError for what is neither."""
    if Path(place).is_dir():
        found = read_manifest(Path(place))
        trainings = {
            cell["training"]["id"]: f"{cell['cell']}, seed {cell['training']['seed']}"
            for cell in found["cells"]
            if cell.get("training")
        }
        its = found["protocol"]
        label = ProtocolRef(name=its["name"], hash=its["key"], frames=its.get("frames"), seed=its.get("seed", 0)).label
        protocol = f"{label} ({its['key']})"
        by = {cell["id"]: cell["maker"] for cell in found["cells"] if cell.get("maker")}
    else:
        prepared = prepare(manager, read_plan(manager, place, {}).options())
        found, by = document(prepared), makers(prepared)
        trainings = {item["id"]: f"{' = '.join(item['cells'])}, seed {item['seed']}" for item in found["trainings"]}
        protocol = f"{found['protocol']} ({found['protocol_hash']})"
    cells = {cell["id"]: f"{cell['ablation']} · {cell.get('title') or _title(cell)}" for cell in found["cells"]}
    return Side(name=place, protocol=protocol, clips=found["num_videos"], cells=cells, trainings=trainings, makers=by)


def _title(cell: Mapping[str, Any]) -> str:
    return cell["cell"] if cell.get("seed") is None else f"{cell['cell']}, seed {cell['seed']}"


def compared(a: Side, b: Side) -> dict[str, Any]:
    """Plain values: what both have, and what only one has."""
    both, other = a.cells.keys() & b.cells.keys(), _made_otherwise(a, b)
    return {
        "protocols": [a.protocol, b.protocol],
        "clips_a_cell": [a.clips, b.clips],
        "made_otherwise": sorted(other),
        "shared_clips": len(both - other) * min(a.clips, b.clips),
        **{
            kind: {
                "shared": {key: name for key, name in mine.items() if key in theirs},
                "only_a": {key: name for key, name in mine.items() if key not in theirs},
                "only_b": {key: name for key, name in theirs.items() if key not in mine},
            }
            for kind, mine, theirs in (("cells", a.cells, b.cells), ("trainings", a.trainings, b.trainings))
        },
    }


def _made_otherwise(a: Side, b: Side) -> set[str]:
    """Cells of both whose clips neither finds at the other: of another device, other code or other weights."""
    return {key for key in a.makers.keys() & b.makers.keys() & a.cells.keys() if a.makers[key] != b.makers[key]}


def lines(a: Side, b: Side) -> list[str]:
    """For people."""
    found = compared(a, b)
    said = [f"{side} {x.name}: {x.protocol}, {counted(x.clips, 'clip')} a cell" for side, x in (("A", a), ("B", b))]
    for kind in ("cells", "trainings"):
        parts = found[kind]
        counts = {name: len(items) for name, items in parts.items()}
        if any(counts.values()):
            said.append(
                f"{kind}: {counts['shared']} in both, {counts['only_a']} in A alone, {counts['only_b']} in B alone"
            )
        for name, mark in (("shared", "="), ("only_a", "A"), ("only_b", "B")):
            said += [f"  {mark} {title} · {key}" for key, title in parts[name].items()]
    if other := found["made_otherwise"]:
        said.append(f"{counted(len(other), 'cell')} of both, but on another device, by other code or of other weights")
    return [*said, f"clips that one makes and the other finds: {found['shared_clips']}"]

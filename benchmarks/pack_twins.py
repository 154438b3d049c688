"""Puts trained twins into the package, with what each is and where it comes from in ``artv/assets/twins.json``.

    python benchmarks/pack_twins.py runs/twins --seeds 1,2,3        # model_long_SEED in 8 bits, …_no_mask in 16
    python benchmarks/pack_twins.py runs/twins --steps 11036 --best RUN/results.json --dry-run

STORE is the ``--twins`` folder of the sweep that trained them: benchmarks/results/twins-shapes2-h200 has the command of
the first, twins-h200 of the second, which are ``model``, ``model_no_mask`` and ``model_no_anchor`` of one training
seed, in 16 bits. The seed is that whose model with mask and anchor has the best mean rank among the seeds, over
``METRICS`` of the sweep's results; FVD decides between equal ones.

Those without a mask lose 0.9 to 1.7 of background_error by 8 bits, those with one nothing that was seen.
"""

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata

from artv import int8
from artv.presets import ASSETS, LONG

HALF = "diffusion_pytorch_model.safetensors"
METRICS = ["fvd", "kvd", "clipsim", "caption", "background_error", "object_survival", "position_error"]
WHOLE = "mask=on"


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A training in the store: its folder and settings."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def switches(self) -> str:
        """What its folder in the package ends with: nothing, ``_no_mask``, ``_no_anchor`` or both."""
        return "".join(f"_no_{name}" for name in ("mask", "anchor") if not self.config[name])

    @property
    def network(self) -> Path:
        """Where its weights and their configuration are: a store that was carried along may be flat."""
        inside = self.folder / "pipeline" / "model"
        return inside if inside.is_dir() else self.folder

    def record(self) -> dict[str, Any]:
        """What is said of it in the package."""
        done = json.loads((self.folder / "finished.json").read_text(encoding="utf-8"))
        loop = self.config["model"]
        return {
            "training": self.folder.name, "weights": done["digest"], "seed": self.config["seed"],
            "steps": loop["steps"], "batch": loop["batch_size"], "device": done["device"],
        }  # fmt: skip


def twins(store: Path, seeds: Sequence[int], steps: int | None) -> Iterator[Twin]:
    """The trainings of some seeds, of one length where it is said."""
    for note in sorted(store.glob("*/twin.json")):
        config = json.loads(note.read_text(encoding="utf-8"))["settings"]["config"]
        if config["seed"] in seeds and steps in (None, config["model"]["steps"]):
            yield Twin(folder=note.parent, config=config)


def mean_ranks(results: Mapping[str, Any], metrics: Sequence[str] = METRICS) -> dict[int, float]:
    """Training seed → mean rank of its whole model, 1 the best; the first is the one to take."""
    rows = {row["metric"]: row for row in results["rows"] if row["cell"] == WHOLE and row.get("by_seed")}
    if missing := [name for name in metrics if name not in rows]:
        raise SystemExit(f"the results have no values by seed of {', '.join(missing)}")
    seeds = [seed for seed, _ in rows[metrics[0]]["by_seed"]]
    values_MS = np.array([[dict(rows[name]["by_seed"])[seed] for seed in seeds] for name in metrics])
    signs_M = np.array([-1.0 if rows[name]["higher_is_better"] else 1.0 for name in metrics])
    ranks_S = rankdata(signs_M[:, None] * values_MS, axis=1).mean(0)
    order = np.lexsort((values_MS[metrics.index("fvd")], ranks_S))
    return {seeds[k]: float(ranks_S[k]) for k in order}


def pack(twin: Twin, target: Path, *, eight_bits: bool) -> None:
    """Writes its configuration and weights in place of what is there."""
    weights = {name: w for part in twin.network.glob("*.safetensors") for name, w in load_file(part).items()}
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(twin.network / "config.json", target / "config.json")
    if eight_bits:
        int8.save(weights, target)
    else:
        save_file({name: w.half().contiguous() for name, w in weights.items()}, target / HALF)
    for file in target.iterdir():
        file.chmod(0o644)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--steps", type=int, help="of the trainings to take")
    parser.add_argument(
        "--best", type=Path, metavar="RESULTS", help="results.json of the sweep: packs one seed as model"
    )
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--dry-run", action="store_true", help="say what would be packed")
    args = parser.parse_args()
    seeds, prefix = [int(seed) for seed in args.seeds.split(",")], None
    if args.best:
        ranks = mean_ranks(json.loads(args.best.read_text(encoding="utf-8")))
        seeds, prefix = [next(iter(ranks))], "model"
        print("mean rank by seed:", ", ".join(f"{seed}: {rank:.2f}" for seed, rank in ranks.items()))
    chosen = list(twins(args.store, seeds, args.steps))
    if prefix and {twin.switches for twin in chosen} != {"", "_no_mask", "_no_anchor"}:
        raise SystemExit(f"{args.store}: seed {seeds[0]} has no model with all, without mask and without anchor")
    note = args.assets / "twins.json"
    records = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    for twin in chosen:
        name = (prefix or f"model_{LONG}_{twin.config['seed']}") + twin.switches
        records[name] = twin.record()
        if not args.dry_run:
            pack(twin, args.assets / name, eight_bits=prefix is None and twin.config["mask"])
        print(name, json.dumps(records[name]))
    if not args.dry_run:
        note.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n", encoding="utf-8")
        size = sum(file.stat().st_size for file in args.assets.rglob("*.safetensors"))
        print(f"all weights in {args.assets}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

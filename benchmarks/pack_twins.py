"""Puts trained twins into the package: ``artv/assets/model_long_SEED`` in 8 bits and ``…_no_mask`` in 16.

Those without a mask lose 0.9 to 1.7 of background_error by 8 bits, those with one nothing that was seen.

    python benchmarks/pack_twins.py runs/twins --seeds 1,2,3

STORE is the ``--twins`` folder of the sweep that trained them: benchmarks/results/twins-shapes2-h200 has its command.
"""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from artv import int8
from artv.presets import ASSETS, LONG

HALF = "diffusion_pytorch_model.safetensors"


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    args = parser.parse_args()
    for note in sorted(args.store.glob("*/twin.json")):
        config = json.loads(note.read_text(encoding="utf-8"))["settings"]["config"]
        if str(config["seed"]) in args.seeds.split(","):
            end = "" if config["mask"] else "_no_mask"
            target = args.assets / f"model_{LONG}_{config['seed']}{end}"
            target.mkdir(parents=True, exist_ok=True)
            model = note.parent / "pipeline" / "model"
            shutil.copy(model / "config.json", target / "config.json")
            weights = {name: w for part in model.glob("*.safetensors") for name, w in load_file(part).items()}
            if config["mask"]:
                int8.save(weights, target)
            else:
                save_file({name: w.half().contiguous() for name, w in weights.items()}, target / HALF)
            size = sum(file.stat().st_size for file in target.glob("*.safetensors"))
            print(f"{target.name}: {size / 1e6:.2f} MB, of {note.parent.name}")


if __name__ == "__main__":
    main()

"""One 16-frame clip of the shapes preset on the CPU: the model itself against the inference networks.

    python benchmarks/shapes_cpu.py                       # all cores
    OMP_NUM_THREADS=1 python benchmarks/shapes_cpu.py     # one core: steadier on a busy machine

Both run in one process, in turn, so that a busy machine slows both. Weights are random: time does not depend on them.
The last line is JSON.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from artv import ArtVModel, ArtVPipeline, OpenClipTextEncoder
from artv.autoencoder import shapes_autoencoder
from artv.tokenizer import build_vocabulary

PROMPT = "a red circle moves left"


def pipeline(mask: bool, anchor: bool) -> ArtVPipeline:
    """The preset's sizes with random weights, none of them zero."""
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes", mask=mask, anchor=anchor)
    for name, parameter in model.named_parameters():
        if "anchor_blocks" in name and "proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    text = OpenClipTextEncoder(width=96, heads=4, layers=3, context_length=24, vocabulary=build_vocabulary([PROMPT]))
    return ArtVPipeline(model.eval(), shapes_autoencoder().eval(), text.eval())


def measured(make: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """(seconds, CPU seconds, result)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = make()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=None, help="default: the preset's")
    parser.add_argument(
        "--guidance", default=None, help="default: the preset's; for instance ref=0.25,anchor=0.25,text=6.5"
    )
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    pipe = pipeline(mask=True, anchor=True)
    settings = {"num_frames": arguments.frames, "steps": arguments.steps, "guidance": arguments.guidance, "seed": 0}
    variants = {"model itself": False, "inference networks": True}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in variants}
    clips: dict[str, np.ndarray] = {}
    for repeat in range(arguments.repeats + 1):
        for name, fast in variants.items():
            pipe.fast = fast
            wall, cpu, clips[name] = measured(lambda: pipe(PROMPT, **settings).frames)
            if repeat:  # the first round warms up
                seconds[name].append(wall)
                cpu_seconds[name].append(cpu)

    first, second = variants
    rows = {
        name: {"wall_s": statistics.median(seconds[name]), "cpu_s": statistics.median(cpu_seconds[name])}
        for name in variants
    }
    ratios = {key: rows[first][key] / rows[second][key] for key in ("wall_s", "cpu_s")}
    difference = int(np.abs(clips[first].astype(int) - clips[second].astype(int)).max())
    print(f"{'one clip, median of ' + str(arguments.repeats):32}{'wall s':>10}{'CPU s':>10}")
    for name, row in rows.items():
        print(f"{name:32}{row['wall_s']:10.2f}{row['cpu_s']:10.2f}")
    print(f"{'ratio':32}{ratios['wall_s']:10.2f}{ratios['cpu_s']:10.2f}")
    print(f"largest difference of a pixel: {difference} of 255")
    record = {"rows": rows, "ratio": ratios, "max_pixel_difference": difference, "frames": arguments.frames}
    record |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "machine": platform.machine()}
    print(json.dumps(record))


if __name__ == "__main__":
    main()

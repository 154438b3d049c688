"""Approximate accelerations on the packaged shapes model: CPU seconds, and distance from the exact clips.

    OMP_NUM_THREADS=1 python benchmarks/accelerations_cpu.py

Each clip starts from a given first frame, so that all variants make the same one. A difference is the mean over pixels
of the absolute difference in grey levels; that of a still is what no motion at all would cost. Variants run in turn,
so that a busy machine slows all. The last line is JSON.
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from artv import ArtVPipeline

PROMPTS = [
    "a red circle moves left",
    "a blue star spins",
    "a green square moves up",
    "a yellow triangle grows",
    "a white ring moves right and shrinks",
    "a purple cross moves down",
]
VARIANTS: dict[str, dict[str, Any]] = {
    "exact": {},
    "reuse-guidance": {"acceleration": "reuse-guidance"},
    "reuse-evaluations": {"acceleration": "reuse-evaluations"},
    **{
        f"reuse-features every={every} blocks={blocks}": {
            "acceleration": {"name": "reuse-features", "every": every, "blocks": blocks}
        }
        for every, blocks in ((2, 1), (2, 2), (2, 3), (3, 2))
    },
    **{
        f"skip-copied threshold={threshold}": {"acceleration": {"name": "skip-copied", "threshold": threshold}}
        for threshold in (0.8, 0.85, 0.9)
    },
    "skip-copied largest=1": {"acceleration": {"name": "skip-copied", "largest": 1.0}},
    "skip-copied largest=0": {"acceleration": {"name": "skip-copied", "largest": 0.0}},
    "half the steps": {"steps": 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    pipe = ArtVPipeline.from_pretrained("shapes")
    first = list(pipe(PROMPTS, num_frames=1, seed=0).frames[:, 0])
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    clips: dict[str, np.ndarray] = {}
    for _ in range(arguments.repeats):
        for name, settings in VARIANTS.items():
            start = time.process_time()
            frames = pipe(PROMPTS, num_frames=arguments.frames, seed=0, image=first, **settings).frames
            seconds[name].append((time.process_time() - start) / len(PROMPTS))
            clips[name] = frames.astype(float)

    exact, made = clips["exact"], slice(1, None)
    still = float(np.abs(exact[:, made] - exact[:, :1]).mean())
    rows = {
        name: {
            "cpu_s": statistics.median(seconds[name]),
            "speedup": statistics.median(seconds["exact"]) / statistics.median(seconds[name]),
            "difference": float(np.abs(clips[name] - exact)[:, made].mean()),
            "last_frame": float(np.abs(clips[name] - exact)[:, -1].mean()),
        }
        for name in VARIANTS
    }
    print(f"{'':36}{'CPU s a clip':>14}{'speedup':>10}{'difference':>12}{'last frame':>12}")
    for name, row in rows.items():
        print(
            f"{name:36}" + "".join(f"{row[key]:{width}.2f}" for key, width in zip(row, (14, 10, 12, 12), strict=True))
        )
    print(f"{'a still':60}{still:12.2f}")
    print(json.dumps({"frames": arguments.frames, "clips": len(PROMPTS), "still": still, **rows}))


if __name__ == "__main__":
    main()

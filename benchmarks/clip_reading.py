"""Reading stored clips of 48 frames, 64 × 64, beside zipfile and numpy alone: time of the thread.

    python benchmarks/clip_reading.py        # half a minute

In turns, all clips by one and then by the other: the ratio is of each pair of turns. Prints one JSON line.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from artv.data.shapes import ShapesWorld
from artv_eval.api import GeneratedClip
from artv_eval.results.clips import read_clip, write_clip


def by_numpy(path: Path) -> np.ndarray:
    """The frames, when every member was read to its end."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        found = {}
        for name in archive.namelist():
            with archive.open(name) as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
                assert not member.read(1)
    assert str(found["of.npy"]) == "cell"
    return found["frames.npy"]


def ours(path: Path) -> np.ndarray:
    """The frames as a sweep has them."""
    return np.asarray(read_clip(path, "cell", RuntimeError).frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--turns", type=int, default=80)
    arguments = parser.parse_args()
    clips = ShapesWorld("test", num_frames=48).batch(range(arguments.clips)).frames.permute(0, 1, 3, 4, 2)
    readers: dict[str, Callable[[Path], np.ndarray]] = {"numpy": by_numpy, "ours": ours}
    taken: dict[str, list[float]] = {name: [] for name in readers}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{i}.npz") for i in range(len(clips))]
        for path, clip in zip(paths, clips.contiguous().numpy(), strict=True):
            write_clip(path, "cell", GeneratedClip(clip, None, 1.0))
            assert all(np.array_equal(read(path), clip) for read in readers.values())
        for _ in range(arguments.turns):
            for name, read in readers.items():
                began = time.thread_time()
                for path in paths:
                    read(path)
                taken[name].append((time.thread_time() - began) / len(paths) * 1e3)
    ratios = [a / b for a, b in zip(taken["ours"], taken["numpy"], strict=True)]
    found: dict[str, Any] = {f"{name}_ms": round(statistics.median(its), 3) for name, its in taken.items()}
    found["ratio"] = [round(value, 3) for value in np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()]  # quartiles
    print(json.dumps(found | {"clips": len(clips), "turns": arguments.turns, "load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    main()

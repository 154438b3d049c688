"""Memory of describing one long clip on a GPU, by its length: of the process, and of the device.

    python benchmarks/memory_gpu.py
    python benchmarks/memory_gpu.py --device cpu --encoder shapes-clip --frames 70 140 --size 64x64 --out /tmp/memory.md

Frames lie raw in a temporary file, as decoded ones of ``artv-eval score`` do. All measures of frames go along the clip
in one walk; I3D, which sees it as a whole, has random weights, and so have encoders of pictures. Peaks are those of a
clip after another one of the least length, for what is loaded first is no clip's: of the process what was resident
(VmHWM, Linux), of the device what torch had in tensors and what it had taken.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from long_scoring import ALL, encoder, measures_of

from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.features.i3d import I3dFeatures, InceptionI3d
from artv_eval.features.precision import switched
from artv_eval.files.spool import Spool
from artv_eval.memory import give_back
from artv_eval.metrics.device_views import walk
from artv_eval.metrics.fvd import FvdEvaluator

MB = 2**20
SELF = Path("/proc/self")


def spooled(count: int, height: int, width: int) -> Any:
    """A texture that moves, (T, H, W, 3)."""
    y, x = np.ogrid[:height, :width]
    wave = np.sin(x / 9) + np.cos(y / 7)
    texture = np.stack([127 + 40 * wave, 127 + 30 * wave, 127 - 40 * wave], -1).astype(np.uint8)
    spool = Spool((count, height, width, 3))
    for i in range(count):
        spool.add(np.roll(texture, (i, 3 * i), (0, 1))[None])
    return spool.frames()


def peaks(work: Callable[[], object], device: torch.device) -> tuple[float, float, float]:
    """MB of the process, of tensors on the device, and of what was taken there for them."""
    give_back()
    (SELF / "clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    work()
    lines = (SELF / "status").read_text(encoding="utf-8").splitlines()
    host = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    if not cuda:
        return host, 0.0, 0.0
    return host, torch.cuda.max_memory_allocated(device) / MB, torch.cuda.max_memory_reserved(device) / MB


def works(name: str, device: str) -> Iterator[tuple[str, Callable[[ClipRequest, Any], object]]]:
    """What is done to a clip, by its name; a model is there while its turn is."""
    measures = {each.digest: each.on_device for each in measures_of(encoder(name, device), False, device)[ALL]}
    yield f"one walk, {len(measures)} measures", lambda request, frames: walk(measures, request, frames, device)
    measures.clear()
    metric = FvdEvaluator(I3dFeatures(InceptionI3d(), "random", device=device))
    yield "i3d", lambda request, frames: metric.describe(ClipSet([request], lambda i: GeneratedClip(frames)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--encoder", default="ViT-B-32", help="a model of open_clip, or shapes-clip")
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 500, 1000, 2000])
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory_gpu.md")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    where = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "CPU"
    lines = ["# Memory of describing a long clip on a GPU", ""]
    lines += [f"{where}, torch {torch.__version__}, clips of {args.size}, {time.strftime('%Y-%m-%d')}.", ""]
    lines += [
        "| what | frames | process, MB | tensors on the device, MB | taken there, MB | seconds |",
        "|" + "---|" * 6,
    ]
    rows = []
    for name, work in works(args.encoder, args.device):
        for k, count in enumerate([min(args.frames), *args.frames]):
            frames = spooled(count, height, width)
            request = ClipRequest(index=0, prompt="", seed=0, num_frames=count, height=height, width=width, fps=16.0)
            started = time.perf_counter()
            with switched():
                found = peaks(
                    lambda work=work, request=request, frames=frames: work(request, frames), torch.device(args.device)
                )
            seconds = time.perf_counter() - started
            if k:
                rows.append([name, count, *(round(number) for number in found), round(seconds, 1)])
                lines.append("| " + " | ".join(map(str, rows[-1])) + " |")
                print(lines[-1], flush=True)
                args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")  # as it grows: a call may be cut off
    print(json.dumps({"benchmark": "memory_gpu", "rows": rows}))


if __name__ == "__main__":
    main()

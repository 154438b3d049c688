"""One 16-frame clip of the shapes preset on the CPU: the first version, today's model itself, and today's fast path.

    git worktree add --detach ../first f48e429        # the first commit that samples a clip
    python benchmarks/shapes_cpu.py --first-version ../first                        # all cores
    OMP_NUM_THREADS=1 python benchmarks/shapes_cpu.py --first-version ../first      # one core
    python benchmarks/shapes_cpu.py --clips 10                                      # ten clips at once
    python benchmarks/shapes_cpu.py --openvino                                      # and through OpenVINO, if installed

Each runs in a process of its own, in turn, so that a busy machine slows all. Settings, sizes, weights (random: time
does not depend on them) and libraries are the same. First clips, which wait for what is made once, are told apart;
OpenVINO's with nothing kept from before, then with the converted networks on disk. The last line is JSON.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
PROMPT = "a red circle moves left"
GUIDANCE = {"ref": 0.0, "anchor": 0.0, "text": 2.0}  # the preset's of today; the first version's default was text 1


def pipeline(mask: bool = True, anchor: bool = True) -> Any:
    """The preset's sizes with random weights, none of them zero. Runs in every version."""
    import torch

    from artv import ArtVModel, ArtVPipeline, OpenClipTextEncoder
    from artv.autoencoder import shapes_autoencoder
    from artv.tokenizer import build_vocabulary

    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes", mask=mask, anchor=anchor)
    for name, parameter in model.named_parameters():
        if "anchor_blocks" in name and "proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    text = OpenClipTextEncoder(width=96, heads=4, layers=3, context_length=24, vocabulary=build_vocabulary([PROMPT]))
    return ArtVPipeline(model.eval(), shapes_autoencoder().eval(), text.eval())


def serve(way: str, frames: int, steps: int, clips: int) -> None:
    """A child: for each file named on stdin makes the clips, saves them there, and prints seconds and CPU seconds."""
    import numpy as np
    import torch

    import artv
    from artv.guidance import ThreeTerm

    pipe = pipeline()
    pipe.fast = {"plain": False, "fast": True, "openvino": "openvino"}[way]
    prompt = PROMPT if clips == 1 else [PROMPT] * clips
    about = {"from": str(Path(artv.__file__).resolve().parents[1]), "threads": torch.get_num_threads()}
    about["torch"] = torch.__version__
    if way == "openvino":
        from artv.networks.openvino.graph import imported

        about["openvino"] = imported().get_version()
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        made = pipe(prompt, num_frames=frames, steps=steps, guidance=ThreeTerm(**GUIDANCE), seed=0).frames
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        np.save(line.strip(), made)
        print(json.dumps([wall, cpu]), flush=True)


class Child:
    """A version of the code in a process of its own."""

    def __init__(self, checkout: Path, way: str, arguments: argparse.Namespace, cache: str) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", way]
        for name in ("frames", "steps", "clips"):
            command += [f"--{name}", str(getattr(arguments, name))]
        pipe = subprocess.PIPE
        path = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": cache}
        self.process = subprocess.Popen(
            command, env=environment, cwd=checkout, stdin=pipe, stdout=pipe, encoding="utf-8"
        )
        self.about = self.read()
        if Path(self.about["from"]) != checkout.resolve():
            raise SystemExit(f"the code came from {self.about['from']}, not from {checkout}")

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a child ended with status {self.process.wait()}")
        return json.loads(line)

    def make(self, file: Path) -> list[float]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{file}\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-version", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--clips", type=int, default=1, help="made at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--openvino", action="store_true", help="also through OpenVINO")
    parser.add_argument("--serve", choices=("fast", "plain", "openvino"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.frames, arguments.steps, arguments.clips)
        return

    import numpy as np

    variants = {"model itself": (HERE, "plain"), "fast": (HERE, "fast")}
    variants |= {"openvino": (HERE, "openvino")} if arguments.openvino else {}
    if arguments.first_version:
        variants = {"first version": (arguments.first_version.resolve(), "plain")} | variants
    times: dict[str, list[list[float]]] = {name: [] for name in variants}
    first: dict[str, float] = {}
    clips: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.openvino:
            child = Child(HERE, "openvino", arguments, folder)
            first["openvino, nothing kept"], _ = child.make(Path(folder) / "clip.npy")
            child.end()
        children = {name: Child(*variant, arguments, folder) for name, variant in variants.items()}
        for repeat in range(arguments.repeats + 1):
            for name, child in children.items():
                file = Path(folder) / "clip.npy"
                measured = child.make(file)
                clips[name] = np.load(file).astype(int)
                if repeat:  # the first round warms up
                    times[name].append(measured)
                else:
                    first[name] = measured[0]
        for child in children.values():
            child.end()

    base = next(iter(variants))
    rows = {}
    title = f"{arguments.clips} clip(s), median of {arguments.repeats}"
    print(f"{title:28}{'wall s':>8}{'range':>16}{'CPU s':>8}{'times as fast':>15}{'range':>14}{'pixels off by':>15}")
    for name, seconds in times.items():
        wall, cpu = zip(*seconds, strict=True)
        ratios = [theirs[0] / mine for theirs, mine in zip(times[base], wall, strict=True)]  # within a round
        rows[name] = {
            "wall_s": statistics.median(wall),
            "wall_range_s": [min(wall), max(wall)],
            "cpu_s": statistics.median(cpu),
            "times_as_fast": statistics.median(ratios),
            "times_as_fast_range": [min(ratios), max(ratios)],
            "max_pixel_difference": int(np.abs(clips[name] - clips[base]).max()),
        }
        spread, ratio_spread = f"{min(wall):.2f} – {max(wall):.2f}", f"{min(ratios):.2f} – {max(ratios):.2f}"
        print(
            f"{name:28}{rows[name]['wall_s']:8.2f}{spread:>16}{rows[name]['cpu_s']:8.2f}"
            f"{rows[name]['times_as_fast']:15.2f}{ratio_spread:>14}{rows[name]['max_pixel_difference']:15}"
        )
    print("first clip, s: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in first.items()))
    about = {key: value for key, value in children[[*children][-1]].about.items() if key != "from"}
    settings = {name: getattr(arguments, name) for name in ("frames", "steps", "clips", "repeats")} | GUIDANCE
    load = [round(value, 2) for value in os.getloadavg()]
    print(
        json.dumps(
            {"rows": rows, "first_clip_s": first, "load": load, "machine": platform.machine()} | about | settings
        )
    )


if __name__ == "__main__":
    main()

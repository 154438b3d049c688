"""Makes every weight that comes with the package: one command, one to four GPUs, side by side.

    python benchmarks/make_shapes_assets.py --out runs/assets --steps 10000 --feature-minutes 5

Phase 1: autoencoder, text encoder, the metrics' video classifier and CLIP, each on a GPU of its own.
Phase 2: the twins of ``--twins`` (same data, steps, seed and size; one switch different), a GPU each.
Phase 3: half-precision copies under OUT/packed, laid out as artv/assets and artv_eval/assets, and a tar file of each.
A phase whose results exist is skipped; the same command continues.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

TWINS = {
    "model": [],
    "model_no_mask": ["--no-mask"],
    "model_no_anchor": ["--no-anchor"],
    "model_plain_loss": ["--config", "benchmarks/configs/plain_loss.yaml"],
    "model_clean_refs": ["--ref-noise", "constant:0"],
    "model_noisy_refs": ["--ref-noise", "uniform:0:0.3"],
}


class Gpus:
    """Runs commands, each on the first free GPU (or on the CPU when there is none)."""

    def __init__(self, count: int, logs: Path) -> None:
        self.free, self.logs = list(range(count)), logs
        self.running: dict[subprocess.Popen, tuple[int, str]] = {}

    def start(self, name: str, command: list[str]) -> None:
        while not self.free:
            self.poll()
        gpu = self.free.pop(0)
        print(f"[{time.strftime('%X')}] gpu {gpu}: {name}", flush=True)
        log = (self.logs / f"{name}.log").open("a", encoding="utf-8")
        env = os.environ | {"CUDA_VISIBLE_DEVICES": str(gpu), "PYTHONUNBUFFERED": "1"}
        self.running[subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=env)] = gpu, name

    def poll(self) -> None:
        time.sleep(0.5)
        for process in [p for p in self.running if p.poll() is not None]:
            gpu, name = self.running.pop(process)
            self.free.append(gpu)
            print(f"[{time.strftime('%X')}] done: {name} (exit {process.returncode})", flush=True)
            if process.returncode:
                sys.exit(f"{name} failed; see {self.logs / name}.log")

    def wait(self, names: set[str]) -> None:
        while names & {name for _, name in self.running.values()}:
            self.poll()


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gpus", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10_000, help="of each twin")
    parser.add_argument("--clips", type=int, default=65_536)
    parser.add_argument("--feature-minutes", type=float, default=5.0)
    parser.add_argument("--twins", default="model,model_no_mask,model_no_anchor")
    parser.add_argument("--init", type=Path, help="folder of packed twins to start from (a second cycle)")
    parser.add_argument("--lr", type=float, help="peak learning rate of the twins")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    base, packed = args.out / "base", args.out / "packed"
    packed.mkdir(parents=True, exist_ok=True)
    gpus = Gpus(args.gpus, args.out)
    common = ["-m", "artv", "train", "--preset", "shapes", "--device", args.device, "--clips", str(args.clips)]
    if args.device == "cpu":
        common += ["--steps", str(args.steps), "--batch-size", "8"]
    if not (packed / "autoencoder").exists():
        gpus.start("autoencoder", [*common, "--out", str(base / "a"), "--stages", "autoencoder"])
        gpus.start("text_encoder", [*common, "--out", str(base / "t"), "--stages", "text_encoder"])
    for component in ("classifier", "clip"):
        target = packed / f"shapes_{component}"
        if not target.exists() and args.feature_minutes > 0:
            batch = {"cuda": {"classifier": 512, "clip": 1024}, "cpu": {"classifier": 8, "clip": 16}}[args.device][
                component
            ]
            gpus.start(
                component,
                [
                    *("-m", "artv_eval.feature_training.shapes", "--component", component, "--out", str(target)),
                    *("--minutes", str(args.feature_minutes), "--device", args.device, "--batch-size", str(batch)),
                ],
            )
    gpus.wait({"autoencoder", "text_encoder"})
    if not (packed / "autoencoder").exists():
        pack(base / "a" / "autoencoder" / "weights", packed / "autoencoder", "AutoencoderKL")
        pack(base / "t" / "text_encoder" / "weights", packed / "text_encoder", "OpenClipTextEncoder")
    for twin in args.twins.split(","):
        extra = ["--init", str(args.init / twin)] if args.init else []
        extra += ["--lr", str(args.lr)] if args.lr else []
        steps = ["--steps", str(args.steps), "--components", str(packed), "--stages", "model"]
        gpus.start(twin, [*common, *steps, "--out", str(args.out / twin), *TWINS[twin], *extra])
    while gpus.running:
        gpus.poll()
    for twin in args.twins.split(","):
        pack(args.out / twin / "pipeline" / "model", packed / twin, "ArtVModel")
    for folder in sorted(p for p in packed.iterdir() if p.is_dir()):
        with tarfile.open(packed / f"{folder.name}.tar", "w") as tar:
            tar.add(folder, folder.name)


def pack(source: Path, target: Path, kind: str) -> None:
    """A half-precision copy of a saved component."""
    import diffusers
    import torch

    import artv

    cls = getattr(artv, kind, None) or getattr(diffusers, kind)
    cls.from_pretrained(source, torch_dtype=torch.float16).save_pretrained(target)


if __name__ == "__main__":
    main()

"""Scoring folders of mp4 files with I3D on a GPU, end to end: clips a second, where they go, and against cd-fvd.

    python benchmarks/scoring_gpu.py --clips 1000 --out benchmarks/results                       # on a GPU
    python benchmarks/scoring_gpu.py --clips 1000 --source DIR      # clips made elsewhere; nothing here encodes
    python benchmarks/scoring_gpu.py --device cpu --clips 2 --size 64 --workers 2 --batches 0    # a rehearsal

Random weights, the same file for both; clips are made here (H.264, moving textures). End to end is: files on disk →
the Fréchet distance, the network and CUDA warm. Ours is timed in float32 (what protocols mean by default) and in TF32,
which is what cd-fvd computes in, since it leaves cuDNN's default. cd-fvd is timed in two ways, and the faster counts:
fed by a DataLoader as its own loader is (4 processes, batches of 16, the same decoder as ours in place of torchvision's
VideoClips, which no longer exists), and fed with arrays that were read before, one file after the other.

Beside that: decoding alone, the network alone in every memory layout, our second scoring, and the interval.

Prints tables, then one JSON line; --out writes them to files.
"""

import argparse
import json
import os
import platform
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scoring import FRAMES, cd_fvd, make_clip, make_weights

from artv.data.readers import read_video
from artv_eval.features.i3d import InceptionI3d, i3d
from artv_eval.features.precision import PRECISIONS, inference
from artv_eval.files.decoding import Decoders, Excerpt, decode
from artv_eval.files.describe import describe_files, video_files
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval

BATCH = 16
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it returns."""
    start = time.monotonic()
    found = work()
    return time.monotonic() - start, found


class Ours:
    """Two folders to one distance with this package."""

    def __init__(self, root: Path, device: str, workers: int, precision: str):
        self.root, self.workers = root, workers
        self.features = i3d(str(root / "i3d.pt"), precision=precision, device=device)
        self.fvd = FvdEvaluator(self.features, ddof=0)  # cd-fvd divides by n

    def rows(self, evaluators: list[Any], cache: Path | None = None, limit: int | None = None) -> dict[str, Any]:
        """side → rows of its files, as ``score_folders`` has them described."""
        found, excerpt = {}, Excerpt(frames=FRAMES)
        with Decoders(self.workers) as decoders:
            for side in ("real", "fake"):
                files = video_files(self.root / side)[:limit]
                described = describe_files(files, evaluators, excerpt, cache=cache, decoders=decoders)
                assert not described.bad, described.bad
                found[side] = described.rows[evaluators[0].digest]
        return found

    def score(self, cache: Path | None = None, limit: int | None = None) -> float:
        """FVD."""
        rows = self.rows([self.fvd], cache, limit)
        return self.fvd.evaluate(rows["fake"], rows["real"])

    def second(self, cache: Path) -> float:
        """Another metric on kept features."""
        kvd = KvdEvaluator(self.features)
        rows = self.rows([kvd], cache)
        return kvd.evaluate(rows["fake"], rows["real"])


class Clips(torch.utils.data.Dataset):
    """What cd-fvd's own loader gives: float (3, T, H, W) in [0, 1]."""

    def __init__(self, files: list[Path]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        video = torch.from_numpy(read_video(self.files[i], limit=FRAMES))
        return {"video": (video.permute(3, 0, 1, 2).float() / 255).contiguous()}


class Theirs:
    """Two folders to one distance with cd-fvd."""

    def __init__(self, root: Path, device: str):
        self.root, self.device = root, device

    def _new(self) -> Any:
        return cd_fvd().cdfvd("i3d", ckpt_path=str(self.root / "i3d.pt"), n_fake="full", device=self.device)

    def loader(self, limit: int | None = None) -> float:
        """Through a DataLoader with the settings of ``load_videos``."""
        scorer = self._new()
        sides = (("real", scorer.compute_real_stats), ("fake", scorer.compute_fake_stats))
        for side, compute in sides:
            data = Clips(video_files(self.root / side)[:limit])
            compute(torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=4, pin_memory=True))
        return float(scorer.compute_fvd_from_stats())

    def arrays(self, limit: int | None = None) -> float:
        """Through arrays, a batch at a time."""
        scorer = self._new()
        for side, add in (("real", scorer.add_real_stats), ("fake", scorer.add_fake_stats)):
            files = video_files(self.root / side)[:limit]
            for start in range(0, len(files), BATCH):
                add(np.stack([read_video(file, limit=FRAMES) for file in files[start : start + BATCH]]))
        return float(scorer.compute_fvd_from_stats())


def network_alone(weights: Path, device: str, batches: int) -> Iterator[dict[str, Any]]:
    """Clips a second from frames on the device, for every layout, precision and cuDNN's search for the best kernel."""
    x_BCTHW = torch.rand(BATCH, 3, FRAMES, 224, 224, device=device) * 2 - 1
    network = InceptionI3d()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.fuse().to(device)
    for (layout, format_), precision, search in product(LAYOUTS.items(), PRECISIONS, (False, True)):
        network.to(memory_format=format_)
        torch.backends.cudnn.benchmark = search
        x = x_BCTHW.contiguous(memory_format=format_)

        def run(x: torch.Tensor = x, count: int = 1) -> float:
            return [float(network(x).sum()) for _ in range(count)][-1]

        with inference(precision):
            run()
            run()
            took, _ = seconds(lambda run=run: run(count=batches))
        torch.backends.cudnn.benchmark = False
        rate = round(BATCH * batches / took, 1)
        yield {"layout": layout, "precision": precision, "cudnn_benchmark": search, "clips_per_s": rate}


def deal(source: Path, root: Path, clips: int) -> None:
    """``real`` and ``fake`` from the files of a folder, over and over; an unused box at the end tells copies apart."""
    files = video_files(source)
    for s, side in enumerate(("real", "fake")):
        (root / side).mkdir()
        for k in range(clips):
            payload = files[(s + 2 * k) % len(files)].read_bytes()
            tail = struct.pack(">I4sQ", 16, b"free", k)
            (root / side / f"{k:05d}.mp4").write_bytes(payload + tail)


def make_folders(root: Path, clips: int, size: int) -> None:
    """``real`` and ``fake`` with so many mp4 files each."""
    for side, seed in (("real", 0), ("fake", 1)):
        (root / side).mkdir()
        paths = [root / side / f"{k:05d}.mp4" for k in range(clips)]
        with ProcessPoolExecutor() as pool:
            list(pool.map(make_clip, paths, [size] * clips, [(seed, k) for k in range(clips)], chunksize=8))


def measure(root: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All figures; each is said on stderr as it is found."""
    record: dict[str, Any] = {"end_to_end": {}}

    def keep(name: str, value: Any) -> None:
        record[name] = value
        print(f"{name}: {value}", file=sys.stderr, flush=True)

    def keep_rate(name: str, took: float, clips: int = args.clips) -> None:
        keep("end_to_end", record["end_to_end"] | {name: round(2 * clips / took, 1)})

    if args.source is None:
        make_folders(root, args.clips, args.size)
    else:
        deal(args.source, root, args.clips)
    make_weights(root / "i3d.pt")
    files, few = video_files(root / "real"), min(2 * BATCH, args.clips)
    took, _ = seconds(lambda: sum(1 for _ in decode(files, Excerpt(frames=FRAMES), workers=args.workers)))
    keep("decoding_alone_clips_per_s", round(len(files) / took, 1))
    values = {}
    for precision in PRECISIONS:
        ours = Ours(root, args.device, args.workers, precision)
        ours.score(limit=few)
        took, values[precision] = seconds(lambda ours=ours, name=precision: ours.score(cache=root / name))
        keep_rate(f"ours, {precision}", took)
    exact = Ours(root, args.device, args.workers, "float32")
    took, _ = seconds(lambda: exact.second(root / "float32"))
    keep("second_scoring_seconds", round(took, 2))
    rows = exact.rows([exact.fvd], root / "float32")
    took, _ = seconds(lambda: bootstrap_interval(exact.fvd, rows["fake"], rows["real"], resamples=1000))
    keep("interval_1000_resamples_seconds", round(took, 2))
    theirs, peer_clips = Theirs(root, args.device), min(args.peer_clips or args.clips, args.clips)
    for name, score in (("arrays", theirs.arrays), ("DataLoader", theirs.loader)):
        try:
            score(limit=few)
            took, values[name] = seconds(lambda score=score: score(limit=peer_clips))
        except RuntimeError as error:  # a DataLoader needs more shared memory than some containers have
            keep(f"cd-fvd, {name}, failed", " ".join(str(error).split())[:200])
            continue
        keep_rate(f"cd-fvd, {name}", took, peer_clips)
    best = max(rate for name, rate in record["end_to_end"].items() if name.startswith("cd-fvd"))
    for precision in PRECISIONS:
        keep(f"ratio_{precision}", round(record["end_to_end"][f"ours, {precision}"] / best, 2))
    keep("fvd", values)
    keep("cd_fvd_clips_in_each_folder", peer_clips)
    # the arrays are the very frames that ours got; a loader's floats lose a grey level here and there
    same = exact.score(cache=root / "float32", limit=peer_clips)
    keep("relative_difference_of_fvd", abs(same / values["arrays"] - 1))
    keep("network_alone", list(network_alone(root / "i3d.pt", args.device, args.batches)) if args.batches else [])
    return record


def tables(record: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| end to end | clips a second |", "|---|---|"]
    lines += [f"| {name} | {rate} |" for name, rate in record["end_to_end"].items()]
    lines += ["", "| network alone | precision | cudnn.benchmark | clips a second |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in record["network_alone"]]
    lines += ["", "| what | value |", "|---|---|"]
    rest = {name: value for name, value in record.items() if name not in ("end_to_end", "network_alone")}
    return "\n".join([*lines, *(f"| {name.replace('_', ' ')} | {value} |" for name, value in rest.items())])


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=1000, help="in each folder")
    parser.add_argument("--peer-clips", type=int, help="in each folder for cd-fvd, which takes long; default: all")
    parser.add_argument("--size", type=int, default=224, help="of the files, pixels")
    parser.add_argument("--source", type=Path, help="folder of mp4 files of 16 frames; default: they are made")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="decoding processes")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, default=20, help="for the network alone; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="folder for scoring_gpu.md and .json")
    args = parser.parse_args()
    # libraries print progress; stdout is for the result
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr), redirect_stderr(sys.stderr):
        record = measure(Path(folder), args)
    on_gpu = torch.device(args.device).type == "cuda"
    record = {
        "theme": "scoring folders of mp4 files with I3D, end to end, beside cd-fvd",
        "command": "python benchmarks/scoring_gpu.py " + " ".join(sys.argv[1:]),
        "hardware": f"{torch.cuda.get_device_name() if on_gpu else platform.machine()}, {os.cpu_count()} CPU cores",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "clips": f"2 x {args.clips} of {FRAMES} x {args.size} x {args.size}",
        "decoding_processes": args.workers,
        **record,
    }
    shown = tables(record)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "scoring_gpu.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (args.out / "scoring_gpu.md").write_text(f"# Scoring on a GPU, end to end\n\n{shown}\n", encoding="utf-8")
    print(shown)
    print(json.dumps(record))


if __name__ == "__main__":
    main()

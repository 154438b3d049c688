"""Are long clips scored as fast as they are decoded? Frames a second of decoding alone, and of scoring by each measure.

    python benchmarks/long_scoring.py --device cuda              # on a GPU; files of 832 × 480, made here
    python benchmarks/long_scoring.py --encoder shapes-clip --frames 80 --files 2 --size 208x120 --out /tmp/long.md

``consistency`` is by CLIP ViT-B/32 with random weights, which cost what trained ones do, or on a CPU by a small one.
Scoring decodes beside describing, as ``artv-eval score`` does; nothing is kept from one run to the next. It needs PyAV,
to write the files, and reads them with decord where that is installed.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artv.video import write_stream
from artv_eval.features.clip import OpenClip
from artv_eval.features.shapes import shapes_clip
from artv_eval.files.decoding import Decoders, Excerpt
from artv_eval.files.describe import describe_files, video_files
from artv_eval.metrics.clipsim import AnchorSimilarity
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator
from artv_eval.metrics.frames import FrameFidEvaluator
from artv_eval.metrics.picture_curves import consistency


def encoder(name: str, device: str) -> Any:
    """A model of open_clip with random weights, or the small one of the package."""
    if name == "shapes-clip":
        return shapes_clip(device=device)
    import open_clip

    network = open_clip.create_model(name, pretrained=None)
    return OpenClip(network, open_clip.get_tokenizer(name), "random-clip", "random", device)


def write_files(folder: Path, files: int, frames: int, height: int, width: int) -> None:
    """mp4 files of textures that move."""
    y, x = np.ogrid[:height, :width]
    wave = np.sin(x / 9) + np.cos(y / 7)
    texture = np.stack([127 + 40 * wave, 127 + 30 * wave, 127 - 40 * wave], -1).astype(np.uint8)
    for k in range(files):
        clip = (np.roll(texture, (i, (3 + k) * i), (0, 1)) for i in range(frames))
        write_stream(folder / f"{k}.mp4", clip, 16.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="ViT-B-32", help="a model of open_clip, or shapes-clip")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "long_scoring.md")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    clip, excerpt = encoder(args.encoder, args.device), Excerpt(frames=args.frames)
    measures = {
        "consistency": [CurveEvaluator(consistency(clip))],
        "anchor_similarity": [AnchorSimilarity(clip)],
        "frame_fid": [FrameFidEvaluator(clip)],
        **{name: [curve(name)] for name in ("sharpness/vde_even", "motion", "exposure")},
    }
    measures["all of these"] = [metric for each in measures.values() for metric in each]
    lines, rates = ["| what | frames/s | of decoding |", "|---|---|---|"], {}
    with tempfile.TemporaryDirectory() as name, Decoders(args.workers) as decoders:
        write_files(Path(name), args.files, args.frames, height, width)
        files = video_files(name)
        # processes start, the files are in memory
        reader = "read by " + " and ".join({clip.reader for clip in decoders.decode(files, excerpt)})
        clip.images(torch.zeros(8, 3, height, width, dtype=torch.uint8))
        for what in ("decoding", *measures):
            started = time.perf_counter()
            if what == "decoding":
                for _ in decoders.decode(files, excerpt):
                    pass
            else:
                describe_files(files, measures[what], excerpt, decoders=decoders)
            rates[what] = args.files * args.frames / (time.perf_counter() - started)
            lines.append(f"| {what} | {rates[what]:.0f} | {rates[what] / rates['decoding']:.2f} |")
            print(lines[-1], flush=True)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else platform.machine() + " CPU"
    title = f"# Scoring of long clips against decoding\n\n`python benchmarks/long_scoring.py --device {args.device} "
    title += f"--encoder {args.encoder} --files {args.files} --frames {args.frames} --size {args.size} --workers "
    title += f"{args.workers}`, {where}, torch {torch.__version__}, {reader}, {time.strftime('%Y-%m-%d')}.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "long_scoring", "frames_a_second": rates}))


if __name__ == "__main__":
    main()

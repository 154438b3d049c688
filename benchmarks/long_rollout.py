"""256 frames of the shapes model and its twins: how far they drift from the first frame.

    python benchmarks/long_rollout.py --checkpoint shapes --checkpoint shapes:no-anchor --frames 256 --num 32 \
        --device cuda --out runs/long
    python benchmarks/long_rollout.py --plot runs/long        # the picture again, from the stored curves

Prompts: test clips whose objects stay in the picture (sway, hop, spin), first frame given. Per frame: the median over
pixels of |frame − first frame| (the still background, grey levels), sharpness (variance of the Laplacian), contrast
and saturation, each as mean and standard error over clips. Prints a table, then one JSON line.
"""

import argparse
import json
from pathlib import Path

import numpy as np

SHOWN = (0, 1, 4, 8, 15, 31, 63, 127, 191, 255)
STAYING = (-1, 4, 5, 6)  # no object, sways, hops, spins
CURVES = {"distance": "background distance to frame 0", "sharpness": "sharpness", "saturation": "saturation"}


def measure(frames_BHWC: np.ndarray, first_BHWC: np.ndarray) -> dict[str, np.ndarray]:
    """Per clip, of one frame: uint8 (B, H, W, 3) against the first."""
    frames, first = frames_BHWC.astype(np.float32), first_BHWC.astype(np.float32)
    grey = frames.mean(-1)
    laplacian = (
        grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] + grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] - 4 * grey[:, 1:-1, 1:-1]
    )
    return {
        "distance": np.median(np.abs(frames - first).mean(-1), axis=(1, 2)),
        "sharpness": laplacian.var((1, 2)),
        "contrast": frames.std((1, 2, 3)),
        "saturation": (frames.max(-1) - frames.min(-1)).mean((1, 2)),
    }


def roll(checkpoint: str, args: argparse.Namespace) -> dict:
    """Curves of one checkpoint; also writes a filmstrip of eight clips."""
    from artv import ArtVPipeline
    from artv.data.shapes import ShapesWorld
    from artv.progress import progress_bar
    from artv.video import filmstrip

    batch = ShapesWorld("test").batch(range(20_000, 20_000 + 20 * args.num))
    rows = [i for i, motions in enumerate(batch.motion_label.tolist()) if set(motions) <= set(STAYING)][: args.num]
    first = batch.frames[rows, 0].permute(0, 2, 3, 1).numpy()
    captions = [batch.captions[i] for i in rows]
    pipe = ArtVPipeline.from_pretrained(checkpoint).to(args.device)
    curves, kept = [], []
    with progress_bar(checkpoint, total=args.frames) as bar:
        stream = pipe.stream(captions, image=list(first), num_frames=args.frames, steps=args.steps, seed=args.seed)
        for i, frames in enumerate(stream):
            curves.append(measure(frames, kept[0] if kept else frames))
            if i in SHOWN:
                kept.append(frames)
            bar.update(i + 1)
    filmstrip(list(np.stack(kept, 1)[:8]), scale=2).save(args.out / f"{checkpoint.replace(':', '_')}.png")
    return summarise([{k: v.tolist() for k, v in c.items()} for c in curves]) | {"captions": captions, "n": len(rows)}


def summarise(curves: list[dict]) -> dict:
    """Mean and standard error over clips of every curve, each (frames,)."""
    columns = {name: np.array([frame[name] for frame in curves]) for name in curves[0]}
    return {
        name: {
            "mean": v.mean(1).round(3).tolist(),
            "stderr": (v.std(1, ddof=1) / np.sqrt(v.shape[1])).round(3).tolist(),
        }
        for name, v in columns.items()
    }


def plot(results: dict, out: Path) -> None:
    """Curves over the frame index, a band of ±1.96 standard errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(CURVES), figsize=(12, 3.4), constrained_layout=True)
    for axis, (name, title) in zip(axes, CURVES.items(), strict=True):
        for checkpoint, result in results.items():
            mean, error = np.array(result[name]["mean"]), 1.96 * np.array(result[name]["stderr"])
            axis.plot(mean, label=checkpoint)
            axis.fill_between(range(len(mean)), mean - error, mean + error, alpha=0.2)
        axis.set(title=title, xlabel="frame")
        axis.axvline(15, color="grey", linestyle=":", linewidth=1)
    axes[0].legend(frameon=False)
    figure.savefig(out / "drift.png", dpi=110)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", action="append", default=[])
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--num", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/long"))
    parser.add_argument("--plot", type=Path, help="only draw the curves stored here")
    args = parser.parse_args()
    folder = args.plot or args.out
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "curves.json"
    if args.plot is None:
        file.write_text(
            json.dumps({name: roll(name, args) for name in args.checkpoint or ["shapes"]}), encoding="utf-8"
        )
    results = json.loads(file.read_text(encoding="utf-8"))
    plot(results, folder)
    for name, result in results.items():
        values = [result["distance"]["mean"][i] for i in SHOWN if i < len(result["distance"]["mean"])]
        print(f"{name:20s} n={result['n']}", " ".join(f"{v:6.2f}" for v in values))
    print(json.dumps({name: result["distance"]["mean"][-1] for name, result in results.items()}))


if __name__ == "__main__":
    main()

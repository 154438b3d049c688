"""The README's moving picture, of a finished `sweep --ablation mask`: real clips, with the mask, the mask, without it.

python benchmarks/readme_gif.py RUN docs/shapes.gif
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from artv_eval.results.store import RunStore

CLIPS, SIDE, GAP, COLOURS = (0, 1, 6, 9, 10), 96, 3, 96


def square(picture: np.ndarray) -> Image.Image:
    """A frame (H, W, 3) or a mask (h, w) in 0 … 1, bright = copied."""
    grey = picture.ndim == 2
    image = Image.fromarray((picture * 255).astype(np.uint8) if grey else picture).convert("RGB")
    return image.resize((SIDE, SIDE), Image.Resampling.NEAREST if grey else Image.Resampling.BICUBIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    store = RunStore(options.run, to_read=True)
    cells = json.loads((options.run / "manifest.json").read_text(encoding="utf-8"))["cells"]
    ids = {cell["cell"]: cell["id"] for cell in cells}
    clips = {name: [store.load_clip(ids[name], index) for index in CLIPS] for name in ("real", "mask=on", "mask=off")}
    last = [clip.mask_steps[-1] / 255 for clip in clips["mask=on"]]  # of the last step, where it is sharpest
    masks = [np.concatenate([np.ones_like(mask[:1]), mask]) for mask in last]  # frame 0 is given
    frames = {name: [clip.frames for clip in its] for name, its in clips.items()}
    rows = [frames["real"], frames["mask=on"], masks, frames["mask=off"]]
    pictures = []
    for t in range(len(frames["real"][0])):
        picture = Image.new("RGB", (len(CLIPS) * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP), "white")
        for y, row in enumerate(rows):
            for x, clip in enumerate(row):
                picture.paste(square(clip[t]), (x * (SIDE + GAP), y * (SIDE + GAP)))
        pictures.append(picture.quantize(COLOURS, dither=Image.Dither.NONE))
    pictures[0].save(options.out, save_all=True, append_images=pictures[1:], duration=125, loop=0, optimize=True)
    print(f"{options.out}: {pictures[0].size}, {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

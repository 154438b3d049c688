"""First frames that exist already: pictures of a folder.

Shape legend: B prompts, H W pixels.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from artv.errors import UserError, closest
from artv.images import load_images

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
CAPTIONS = "captions.csv"

Draw = Callable[[Sequence[str], int, int, Sequence[int]], np.ndarray]


def folder(path: str) -> Draw:
    """Pictures of a folder, cropped and resized to what is asked for.

    With a ``captions.csv`` (file,caption) each prompt gets its own picture. Without one the seed chooses, in the order
    of the names, so that a clip's first frame depends on nothing but its seed.

    Args:
        path: the folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"first frames: folder {path!r} does not exist; give a folder with pictures")
    captioned = _captioned(root)
    files = sorted(file for file in root.iterdir() if file.suffix.lower() in PICTURES)
    if not files and not captioned:
        raise UserError(f"first frames: folder {path!r} holds no pictures ({', '.join(PICTURES)})")

    def draw(prompts: Sequence[str], height: int, width: int, seeds: Sequence[int]) -> np.ndarray:
        if captioned:
            chosen = [_of(prompt, captioned, root) for prompt in prompts]
        else:
            chosen = [files[seed % len(files)] for seed in seeds]
        return load_images(chosen, len(prompts), height, width)

    return draw


def _captioned(root: Path) -> dict[str, Path]:
    table = root / CAPTIONS
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"file", "caption"} <= set(reader.fieldnames or ()):
            raise UserError(f"{table} has the columns {reader.fieldnames}; it must have file and caption")
        return {row["caption"]: root / Path(row["file"]).name for row in reader}


def _of(prompt: str, captioned: dict[str, Path], root: Path) -> Path:
    if prompt not in captioned:
        raise UserError(f"{root / CAPTIONS} has no picture for the prompt {prompt!r}; {closest(prompt, captioned)}")
    return captioned[prompt]

"""First frames that exist already: pictures of a folder.

Shape legend: B prompts, H W pixels.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artv.data.captions import CAPTIONS, read_captions
from artv.errors import UserError, closest
from artv.files import read_bytes
from artv.images import load_images

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class FolderOfPictures:
    """Pictures of a folder, cropped and resized to what is asked for.

    With a ``captions.csv`` (file,caption) each prompt gets its own picture. Without one the seed chooses, in the order
    of the names, so that a clip's first frame depends on nothing but its seed.

    Args:
        path: the folder.

    Raises:
        UserError: no such folder, no pictures in it, or a table without these columns.
    """

    def __init__(self, path: str) -> None:
        self.root = Path(path)
        if not self.root.is_dir():
            raise UserError(f"first frames: folder {path!r} does not exist; give a folder with pictures")
        self.captioned = _captioned(self.root)
        self.files = sorted(file for file in self.root.iterdir() if file.suffix.lower() in PICTURES)
        if not self.files and not self.captioned:
            raise UserError(f"first frames: folder {path!r} holds no pictures ({', '.join(PICTURES)})")

    def digest(self) -> str:
        """Digest of the pictures and of which prompt gets which: other pictures are other clips."""
        sha = hashlib.sha256(repr(sorted((caption, file.name) for caption, file in self.captioned.items())).encode())
        for file in sorted(file for file in {*self.files, *self.captioned.values()} if file.is_file()):
            sha.update(file.name.encode() + hashlib.sha256(read_bytes(file)).digest())
        return sha.hexdigest()[:16]

    def __call__(self, prompts: Sequence[str], height: int, width: int, seeds: Sequence[int]) -> np.ndarray:
        """uint8 (B, H, W, 3). Raises UserError for a prompt without a picture, or a picture that cannot be read."""
        if self.captioned:
            chosen = [self._of(prompt) for prompt in prompts]
        else:
            chosen = [self.files[seed % len(self.files)] for seed in seeds]
        return load_images(chosen, len(prompts), height, width)

    def _of(self, prompt: str) -> Path:
        if prompt not in self.captioned:
            hint = closest(prompt, self.captioned)
            raise UserError(f"{self.root / CAPTIONS} has no picture for the prompt {prompt!r}; {hint}")
        return self.captioned[prompt]


def _captioned(root: Path) -> dict[str, Path]:
    table = root / CAPTIONS
    if not table.is_file():
        return {}
    return {caption: root / Path(file).name for file, caption in read_captions(table).lines}

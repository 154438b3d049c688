"""First frames from the user: any mode and size of picture to uint8 RGB of the size that is made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from artv.errors import UserError
from artv.files import check_regular

Picture = str | Path | Image.Image | np.ndarray


def load_image(picture: Picture, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): EXIF rotation applied, alpha over white, grey to RGB, centre-cropped and resized."""
    if isinstance(picture, np.ndarray):
        picture = _from_array(picture)
    elif isinstance(picture, (str, Path)):
        picture = open_image(Path(picture))
    image = on_white(ImageOps.exif_transpose(picture))
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)


def load_images(pictures: Picture | Sequence[Picture], count: int, height: int, width: int) -> np.ndarray:
    """uint8 (count, height, width, 3): one picture a sample, or one for all."""
    single = isinstance(pictures, (str, Path, Image.Image)) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4)
    items = [pictures] * count if single else list(pictures)  # type: ignore[list-item, arg-type]
    if len(items) != count:
        raise UserError(f"{len(items)} images for {count} prompts; give one for each prompt, or one for all")
    return np.stack([load_image(item, height, width) for item in items])  # type: ignore[arg-type]


def on_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent lets white through."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def open_image(path: str | Path) -> Image.Image:
    """Decoded. Raises :class:`UserError` where there is none, or none that Pillow reads."""
    check_regular(path, "image")
    try:
        image = Image.open(path)
        image.load()
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"image {path} cannot be read: {str(error).splitlines()[0][:120]}") from None
    return image


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise UserError(f"image is {array.dtype} {array.shape}; it must be uint8 (H, W), (H, W, 3) or (H, W, 4)")
    return Image.fromarray(array)

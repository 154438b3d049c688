"""``artv data shapes``: the synthetic world as files."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, help="Make training data.")


@data.callback()
def _group() -> None:
    """Make training data."""


@data.command()
def shapes(
    out: Annotated[Path, typer.Option(help="folder to write to")],
    num: Annotated[int, typer.Option(help="number of clips")],
    split: Annotated[str, typer.Option(help="train or test; they share no background")] = "train",
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 0,
    frames: Annotated[int, typer.Option(help="frames a clip, at 8 fps")] = 16,
) -> None:
    """Write clips of the shapes world: mp4 files, captions.csv, and the motion region of each clip as png."""
    from artv.data.clips import write_shapes

    write_shapes(out, num, split, seed, frames)

"""``artv sample``: a clip from text, from text and an image, or from several prompts in a row."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    prompt: Annotated[list[str], typer.Option(help="what to show; give several to have them in a row, --frames each")],
    out: Annotated[Path, typer.Option(help="clip to write: .mp4 or .gif")],
    image: Annotated[Path | None, typer.Option(help="first frame; without it the model makes one")] = None,
    checkpoint: Annotated[str, typer.Option(help="shapes, shapes:no-mask, …, a folder or a hub id")] = "shapes",
    frames: Annotated[int, typer.Option(help="frames a prompt")] = 16,
    steps: Annotated[int | None, typer.Option(help="sampling steps; default: 8 of shapes, 50 of paper")] = None,
    guidance: Annotated[str | None, typer.Option(help="such as ref=0.25,anchor=0.25,text=6.5")] = None,
    sampler: Annotated[str, typer.Option(help="see artv.samplers")] = "dpmpp_2s_ancestral",
    anchor: Annotated[
        str, typer.Option(help="first, last-of-prompt, sliding, blend, image:FILE or none")
    ] = "last-of-prompt",
    seed: Annotated[int, typer.Option(help="same seed, same machine: the same clip")] = 0,
    height: Annotated[int | None, typer.Option(help="in pixels")] = None,
    width: Annotated[int | None, typer.Option(help="in pixels")] = None,
    fps: Annotated[float | None, typer.Option(help="of the written clip")] = None,
    save_masks: Annotated[Path | None, typer.Option(help="png of the masks over the sampling steps (Fig. 1)")] = None,
    revision: Annotated[str | None, typer.Option(help="revision of a hub id")] = None,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; default: what there is")] = None,
    openvino: Annotated[
        bool, typer.Option("--openvino", help='faster on a CPU; needs pip install "artv[openvino]"')
    ] = False,
) -> None:
    """Make one clip."""
    from artv.cli.sample_command import sample_command

    sample_command(
        prompts=prompt,
        out=out,
        checkpoint=checkpoint,
        revision=revision,
        device=device,
        openvino=openvino,
        fps=fps,
        save_masks=save_masks,
        settings={
            "image": image,
            "num_frames": frames,
            "steps": steps,
            "guidance": guidance,
            "sampler": sampler,
            "anchor": anchor,
            "seed": [seed],
            "height": height,
            "width": width,
        },
    )

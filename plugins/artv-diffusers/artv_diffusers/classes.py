"""The video pipelines that the installed diffusers ships, found by how they are called.

python -m artv_diffusers.classes              # the table of the plugin's README
"""

import importlib
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artv_diffusers.chunks import PARTITION, PER_CHUNK
from artv_diffusers.method import NAMES

GIVEN = {"self", "prompt", "image"}
OTHER_INPUTS = {
    "control": "a control video or image",
    "video_to_video": "a video",
    "videotovideo": "a video",
    "inpaint": "a video and a mask",
    "upsample": "a video's latents",
    "edit": "something to edit",
    "vace": "a video, a mask or pictures to refer to",
    "transfer": "control videos",
    "modular": "blocks, and has no call of its own",
}
"""Parts of names of pipelines that take more than a text and a picture, and what that is."""
KINDS = "Model|Encoder|Transformer|UNet|VAE|Adapter|Tokenizer|Processor|Generation|Vocoder"
PART = re.compile(rf"\b(?:[A-Z]\w*(?:{KINDS})\w*|Autoencoder\w+|LTX2TextConnectors)\b")
"""A network or tokenizer in the annotations of a pipeline's constructor."""


@dataclass(frozen=True)
class VideoPipeline:
    """``starts``: from text, image, or either; ``frames``, ``rate``: its names; ``progress``: of its callback;
    ``memory``: what it takes of offload, vae_slicing and vae_tiling."""

    name: str
    starts: str
    frames: str
    rate: str
    progress: str
    windows: bool
    memory: str


def video_pipelines() -> list[VideoPipeline]:
    """All that make a video of a text, of a picture, or of both."""
    return [found for name, target in _pipelines() if (found := _described(name, target)) is not None]


def left_out() -> dict[str, str]:
    """Class → why it is none of these, of those called for a number of frames or with video in a name of theirs."""
    found, ours = {}, {pipeline.name for pipeline in video_pipelines()}
    for name, target in _pipelines(all_of_them=True):
        parameters = inspect.signature(target.__call__).parameters
        names = " ".join([name, *parameters]).lower()
        if name not in ours and ({*NAMES["num_frames"], "frames"} & parameters.keys() or "video" in names):
            word = next((word for word in OTHER_INPUTS if word in name.lower()), None)
            found[name] = f"takes {OTHER_INPUTS[word]}" if word else f"needs {', '.join(_needed(parameters))}"
    return found


def parts(name: str) -> set[str]:
    """Networks, tokenizers and processors that a pipeline's class is made of, by its annotations."""
    given = inspect.signature(_class(name).__init__).parameters.values()
    return {part.rpartition(".")[2] for p in given for part in PART.findall(str(p.annotation))}


def _memory(name: str, target: Any) -> str:
    """The settings that save memory which it takes, by its class and its autoencoders'."""
    import diffusers

    kinds = [getattr(diffusers, part, None) for part in parts(name) if part.startswith("Autoencoder")]
    made = [inspect.unwrap(kind.__init__).__code__.co_names for kind in kinds if kind and "Audio" not in kind.__name__]
    decoding = [word for word in ("slicing", "tiling") if made and all(f"use_{word}" in names for names in made)]
    return ", ".join(["offload" if target.model_cpu_offload_seq else "sequential", *decoding])


def _needed(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Arguments that must be given and that we have none for."""
    return [
        n
        for n, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and n not in GIVEN
    ]


def _pipelines(*, all_of_them: bool = False) -> Iterator[tuple[str, Any]]:
    """``all_of_them``: those of other inputs too."""
    import diffusers

    for name in sorted(set(dir(diffusers))):
        if name.endswith("Pipeline") and (all_of_them or not any(word in name.lower() for word in OTHER_INPUTS)):
            try:
                target = _class(name)
            except Exception:
                continue
            if isinstance(target, type):
                yield name, target


def _class(name: str) -> Any:
    """A pipeline's class, also where a package that it needs is absent and diffusers shows another in its place."""
    import diffusers

    found = getattr(diffusers, name)
    if not isinstance(found, diffusers.utils.DummyObject):
        return found
    module = name.removesuffix("Pipeline").lower()
    return getattr(importlib.import_module(f"diffusers.pipelines.{module}.pipeline_{module}"), name)


def _described(name: str, target: Any) -> VideoPipeline | None:
    try:
        parameters = inspect.signature(target.__call__).parameters
    except (TypeError, ValueError):
        return None
    frames = next((n for n in (*NAMES["num_frames"], "frames") if n in parameters), None)
    if frames is None or _needed(parameters) or not {"prompt", "image"} & parameters.keys():
        return None
    must_have_image = "image" in parameters and parameters["image"].default is inspect.Parameter.empty
    starts = "image" if must_have_image or "ImageToVideo" in name else "text"
    starts = "either" if "image" in parameters and starts == "text" else starts
    callback = next((n for n in ("callback_on_step_end", "callback") if n in parameters), "–")
    rate = next((n for n in NAMES["fps"] if n in parameters), "–")
    windows = bool({"overlap_history", PARTITION, PER_CHUNK} & parameters.keys())
    return VideoPipeline(name, starts, frames, rate, callback, windows, _memory(name, target))


def table(run: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    """Markdown. ``run``: class → what of it was run; ``reasons``: class → why it was not, where not for its parts."""
    built = {part for name in run for part in parts(name)}
    lines = ["| class | starts from | frames | rate | progress | memory | run here |", "|---|---|---|---|---|---|---|"]
    for p in video_pipelines():
        shown = run.get(p.name) or f"no: {reasons.get(p.name) or unbuilt(p.name, built)}"
        lines.append(f"| `{p.name}` | {p.starts} | `{p.frames}` | {p.rate} | {p.progress} | {p.memory} | {shown} |")
    return "\n".join(lines)


def unbuilt(name: str, built: Collection[str]) -> str:
    """Which parts of a class there is no tiny one of."""
    return f"no tiny {', '.join(f'`{part}`' for part in sorted(parts(name) - set(built)))}"


def table_of_left_out() -> str:
    """Markdown."""
    return "\n".join(["| class | why |", "|---|---|", *(f"| `{name}` | {why} |" for name, why in left_out().items())])

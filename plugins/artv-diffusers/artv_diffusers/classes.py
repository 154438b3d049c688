"""The video pipelines that the installed diffusers ships, found by how they are called.

python -m artv_diffusers.classes              # the table of the plugin's README
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from artv_diffusers.method import NAMES

GIVEN = {"self", "prompt", "image"}
OTHER_INPUTS = (
    "control",
    "video_to_video",
    "videotovideo",
    "inpaint",
    "upsample",
    "edit",
    "vace",
    "transfer",
    "modular",
)
"""Parts of names of pipelines that take more than a text and a picture: another video, a pose, a mask."""


@dataclass(frozen=True)
class VideoPipeline:
    """``starts``: from text, image, or either; ``frames``, ``rate``: its names; ``progress``: of its callback."""

    name: str
    starts: str
    frames: str
    rate: str
    progress: str
    windows: bool


def video_pipelines() -> list[VideoPipeline]:
    """All that make a video of a text, of a picture, or of both."""
    return [found for name, target in _pipelines() if (found := _described(name, target)) is not None]


def _pipelines() -> Iterator[tuple[str, Any]]:
    import diffusers

    for name in sorted(set(dir(diffusers))):
        if name.endswith("Pipeline") and not any(word in name.lower() for word in OTHER_INPUTS):
            try:
                target = getattr(diffusers, name)
                target.__call__  # noqa: B018 one that needs an absent package fails here
            except Exception:
                continue
            if isinstance(target, type):
                yield name, target


def _described(name: str, target: Any) -> VideoPipeline | None:
    try:
        parameters = inspect.signature(target.__call__).parameters
    except (TypeError, ValueError):
        return None
    frames = next((n for n in (*NAMES["num_frames"], "frames") if n in parameters), None)
    needed = {
        n
        for n, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and n not in GIVEN
    }
    if frames is None or needed or not {"prompt", "image"} & parameters.keys():
        return None
    must_have_image = "image" in parameters and parameters["image"].default is inspect.Parameter.empty
    starts = "image" if must_have_image or "ImageToVideo" in name else "text"
    starts = "either" if "image" in parameters and starts == "text" else starts
    callback = next((n for n in ("callback_on_step_end", "callback") if n in parameters), "–")
    rate = next((n for n in NAMES["fps"] if n in parameters), "–")
    return VideoPipeline(name, starts, frames, rate, callback, "overlap_history" in parameters)


def table(run: Mapping[str, str]) -> str:
    """Markdown. ``run``: class → what of it was run."""
    lines = ["| class | starts from | frames | rate | progress | run here |", "|---|---|---|---|---|---|"]
    for p in video_pipelines():
        shown = run.get(p.name, "–")
        lines.append(f"| `{p.name}` | {p.starts} | `{p.frames}` | {p.rate} | {p.progress} | {shown} |")
    return "\n".join(lines)

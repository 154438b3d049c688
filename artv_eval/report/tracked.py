"""What a run tells an experiment tracker: its sentences and table, final values, curves, and the first clips.

Shape legend: T frames, H W pixels.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from artv.errors import UserError
from artv_eval.report.findings import findings_of
from artv_eval.report.markdown import markdown
from artv_eval.report.training_curves import training_curves
from artv_eval.report.training_runs import is_training
from artv_eval.results.documents import Gallery, Manifest, read_json
from artv_eval.results.rows import OK, Results
from artv_eval.results.store import RunStore

CLIPS, FRAMES = 8, 64  # prompts whose clips are sent, and frames of each


@dataclass(frozen=True, kw_only=True)
class TrackedClip:
    """A clip as an animated gif, which every tracker shows; ``step`` counts prompts."""

    cell: str
    step: int
    prompt: str
    gif: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """``values``: tag → final value; ``curves``: tag → (step, value); ``texts``: tag → Markdown.

    ``settings``: how the run was made. Tags are paths with ``/``, of names as they are.
    """

    name: str
    values: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    texts: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    clips: Sequence[TrackedClip] = ()


def tracked(results: Results, store: RunStore) -> Tracked:
    """All of it. Raises UserError for the folder of a training."""
    if is_training(store.root):
        raise UserError(
            f"{store.root} is a training, which has trackers of its own (artv train --tracker); leave --to out"
        )
    manifest = read_json(store.root / "manifest.json", Manifest)
    findings = "\n\n".join(finding.text for finding in findings_of(results))
    return Tracked(
        name=store.root.resolve().name,
        values=dict(_values(results)),
        curves=dict(_curves(results, store, manifest)),
        texts={"findings": findings, "table": markdown()(results)},
        settings={
            "command": " ".join(manifest["command"]),
            "started": manifest["started"],
            "clips": manifest["num_videos"],
            **{f"version/{name}": version for name, version in manifest["versions"].items()},
        },
        clips=list(_clips(store, manifest)),
    )


def _values(results: Results) -> Iterator[tuple[str, float]]:
    for row in results.rows:
        if row.status == OK and row.value is not None:
            tag = f"{row.ablation or 'scores'}/{row.metric}/{row.cell}"
            yield tag, row.value
            if row.ci_low is not None and row.ci_high is not None:
                yield f"{tag}/low", row.ci_low
                yield f"{tag}/high", row.ci_high


def _curves(
    results: Results, store: RunStore, manifest: Mapping[str, Any]
) -> Iterator[tuple[str, Sequence[tuple[float, float]]]]:
    for curve in results.curves:
        points = [(i + 1, value) for i, value in enumerate(curve.values) if value is not None]
        yield f"frames/{curve.ablation or 'scores'}/{curve.metric}/{curve.cell}", points
    for name, lines in training_curves(store, manifest).items():
        for cell, trainings in lines.items():
            for i, noted in enumerate(trainings):
                yield f"training/{name}/{cell}" + (f"/{i + 1}" if len(trainings) > 1 else ""), noted


def _clips(store: RunStore, manifest: Mapping[str, Any]) -> Iterator[TrackedClip]:
    path = store.root / "gallery.json"
    requests = read_json(path, Gallery)["requests"][:CLIPS] if path.is_file() else []
    cells = {cell["cell"]: cell["id"] for cell in reversed(manifest["cells"]) if cell["status"] == OK}
    for name, cell in reversed(cells.items()):
        for step, request in enumerate(requests):
            if store.fingerprint(cell, request["index"]) is not None:
                frames = store.load_clip(cell, request["index"]).frames
                height, width = frames.shape[1:3]
                yield TrackedClip(
                    cell=name, step=step, prompt=request["prompt"], gif=_gif(frames, request["fps"]), width=width,
                    height=height,
                )  # fmt: skip


def _gif(frames_THW3: Any, fps: float) -> bytes:
    pictures = [Image.fromarray(frame) for frame in frames_THW3[:FRAMES]]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=max(round(1000 / fps), 20), loop=0
    )
    return buffer.getvalue()

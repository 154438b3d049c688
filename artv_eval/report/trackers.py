"""Sends a finished run to TensorBoard, Weights & Biases or MLflow; each needs its package, none is needed otherwise."""

import re
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from artv.errors import UserError, WorkFailed, closest
from artv_eval.report.tracked import Tracked


def to_tensorboard(run: Tracked, where: str | None) -> str:
    """Event files below the folder ``where`` (default ``tensorboard``), in one named as the run; returns that."""
    SummaryWriter = _package("torch.utils.tensorboard", PACKAGES["tensorboard"]).SummaryWriter
    from tensorboard.compat.proto.summary_pb2 import Summary

    folder = Path(where or "tensorboard") / run.name
    with SummaryWriter(str(folder)) as writer:
        for tag, text in {**run.texts, "settings": _as_table(run.settings)}.items():
            writer.add_text(tag, text)
        for tag, value in run.values.items():
            writer.add_scalar(tag, value)
        for tag, points in run.curves.items():
            for step, value in points:
                writer.add_scalar(tag, value, round(step))
        for clip in run.clips:  # an animated gif as it is: the writer's own add_video needs another package
            image = Summary.Image(height=clip.height, width=clip.width, colorspace=3, encoded_image_string=clip.gif)
            summary = Summary(value=[Summary.Value(tag=f"clips/{clip.cell}", image=image)])
            writer._get_file_writer().add_summary(summary, clip.step)
            writer.add_text(f"clips/{clip.cell}", clip.prompt, clip.step)
    return f"{folder}; look with: tensorboard --logdir {folder.parent}"


def to_wandb(run: Tracked, where: str | None) -> str:
    """A run of the project ``where`` (default ``artv-eval``); offline where WANDB_MODE says so. Returns its folder."""
    wandb = _package("wandb", PACKAGES["wandb"])
    sent = wandb.init(project=where or "artv-eval", name=run.name, config=dict(run.settings))
    with tempfile.TemporaryDirectory() as folder:
        sent.summary.update(dict(run.values))
        sent.log({tag: wandb.Html(f"<pre>{_escaped(text)}</pre>") for tag, text in run.texts.items()})
        for tag, points in run.curves.items():
            data = wandb.Table(data=[list(point) for point in points], columns=["step", "value"])
            sent.log({tag: wandb.plot.line(data, "step", "value", title=tag)})
        for clip in run.clips:
            file = Path(folder) / f"{_plain(clip.cell)}-{clip.step}.gif"
            file.write_bytes(clip.gif)
            sent.log({f"clips/{clip.cell}": wandb.Video(str(file), caption=clip.prompt, format="gif")})
        sent.finish()
    return str(sent.dir)


def to_mlflow(run: Tracked, where: str | None) -> str:
    """A run of the tracking server, or the store, ``where`` (default: as MLflow is set up). Returns its address."""
    mlflow = _package("mlflow", PACKAGES["mlflow"])
    if where:
        mlflow.set_tracking_uri(where)
    mlflow.set_experiment("artv-eval")
    with mlflow.start_run(run_name=run.name) as made:
        mlflow.log_params({_plain(name): str(value)[:500] for name, value in run.settings.items()})
        mlflow.log_metrics({_plain(tag): value for tag, value in run.values.items()})
        for tag, points in run.curves.items():
            for step, value in points:
                mlflow.log_metric(_plain(tag), value, step=round(step))
        for name, text in run.texts.items():
            mlflow.log_text(text, f"{name}.md")
        with tempfile.TemporaryDirectory() as folder:
            for clip in run.clips:
                file = Path(folder) / "clips" / _plain(clip.cell) / f"{clip.step}.gif"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(clip.gif)
            mlflow.log_artifacts(folder)
    return str(made.info.artifact_uri)


TRACKERS: dict[str, Callable[[Tracked, str | None], str]] = {
    "tensorboard": to_tensorboard,
    "wandb": to_wandb,
    "mlflow": to_mlflow,
}
DATABASE = ("sqlalchemy", "alembic")  # what MLflow writes a database file with, and its small package lacks
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}


def tracker(asked: str) -> Callable[[Tracked], str]:
    """What ``--to NAME[:WHERE]`` names: sends a run, and says where it is.

    Raises:
        UserError: none of ours, or one whose package is not here. WorkFailed: when sending, whatever the tracker says.
    """
    name, _, where = asked.partition(":")
    if name not in TRACKERS:
        raise UserError(f"--to is {asked!r}; {closest(name, TRACKERS)}, each with :WHERE if you like")
    _package(name, PACKAGES[name])
    for package in DATABASE if name == "mlflow" and where.startswith("sqlite:") else ():
        _package(package, package, asked)

    def send(run: Tracked) -> str:
        try:
            return TRACKERS[name](run, where or None)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise WorkFailed(f"--to {asked} failed ({text[:300]}); the run itself is as it was") from error

    return send


def _package(module: str, distribution: str, asked: str | None = None) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UserError(
            f"--to {asked or module.partition('.')[0]} needs the package {distribution!r}, which is not installed; "
            f"pip install {distribution}"
        ) from None


def _plain(name: str) -> str:
    """A name that every store and file system takes."""
    return re.sub(r"[^\w\-. /]", "_", name).replace("..", "_")[:200]


def _as_table(settings: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in settings.items())])


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))

"""Where a training's numbers and pictures also go: TensorBoard, Weights & Biases, MLflow, each through accelerate.

``RUN/…/log.jsonl`` is written whatever they do; what they raise while training ends them, not the training.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv.requests import check_name

TRACKERS = ("tensorboard", "wandb", "mlflow")
_PACKAGES = {"mlflow": ("mlflow", "sqlalchemy", "alembic")}
"""What they need beside the package of their name: MLflow's small one lacks what it writes its file with."""


def chosen_trackers(names: Sequence[str] | None) -> tuple[str, ...]:
    """The trackers that are asked for; None: TensorBoard, where it is installed. ``none`` is none.

    Raises:
        UserError: a name that there is not, or whose package is not installed.
    """
    if names is None:
        return TRACKERS[:1] if find_spec("tensorboard") else ()
    for name in names:
        check_name("tracker", name, (*TRACKERS, "none"))
        lacking = [package for package in _PACKAGES.get(name, (name,)) if name != "none" and find_spec(package) is None]
        if lacking:
            raise UserError(f'tracker {name} needs {lacking[0]}; pip install "artv[{name}]", or leave it out')
    return tuple(dict.fromkeys(name for name in names if name != "none"))


class Trackers:
    """The trackers of one stage, in the process that writes.

    Attributes:
        where: a line for each, saying where to look.

    Args:
        folder: of the stage; TensorBoard's and MLflow's files go to ``folder/trackers``, MLflow's to where
            MLFLOW_TRACKING_URI says, if that is set.
        settings: of the stage, shown beside its curves.
    """

    def __init__(self, names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> None:
        self.where: list[str] = []
        self._open: dict[str, Any] = {}
        self._after = ExitStack()
        for name in names:
            self._try(name, self._start, name, folder, settings)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their names."""
        for name, tracker in list(self._open.items()):
            named = {_plain(key): value for key, value in values.items()} if name == "mlflow" else dict(values)
            self._try(name, tracker.log, named, step)

    def picture(self, step: int, title: str, picture_HW3: np.ndarray) -> None:
        """A uint8 picture."""
        for name, tracker in list(self._open.items()):
            self._try(name, _show, name, tracker, step, title, picture_HW3)

    def finish(self) -> None:
        """Writes what they still hold."""
        for name, tracker in list(self._open.items()):
            self._try(name, tracker.finish)
        self._open.clear()
        self._after.close()

    def _start(self, name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        from accelerate import PartialState, tracking

        PartialState()  # W&B's tracker logs through it and would not start without
        place = folder / "trackers"
        run = f"{folder.parent.name}-{folder.name}"
        if name == "tensorboard":
            tracker = tracking.TensorBoardTracker(".", str(place))
            where = f"tensorboard --logdir {place}"
        elif name == "wandb":
            tracker, where = tracking.WandBTracker("artv", name=run, dir=str(folder)), ""
        else:
            own = self._mlflow_file(place)
            tracker = tracking.MLflowTracker("artv", logging_dir=str(place) if own else None, run_name=run)
            where = f"mlflow ui --backend-store-uri {own or os.environ['MLFLOW_TRACKING_URI']}"
        if hasattr(tracker, "start"):  # older ones have started by now
            tracker.start()
        if name == "wandb":  # offline it has no page
            where = tracker.run.url or f"wandb sync {Path(tracker.run.dir).parent}"
        plain = {key: value for key, value in settings.items() if isinstance(value, bool | int | float | str)}
        if name != "tensorboard":  # which would show them as a run of their own
            tracker.store_init_configuration(plain)
        self._open[name] = tracker
        self.where.append(f"{name}: {where}")

    def _mlflow_file(self, place: Path) -> str | None:
        """Has MLflow write to a file there (it would to one in the folder that it is started in), unless it was told
        where.
        """
        if os.environ.get("MLFLOW_TRACKING_URI"):
            return None
        import mlflow

        place.mkdir(parents=True, exist_ok=True)
        address = f"sqlite:///{place.resolve() / 'mlflow.db'}"
        mlflow.set_tracking_uri(address)
        forget: Any = mlflow.set_tracking_uri
        self._after.callback(forget, None)  # another run of this process has a file of its own
        return address

    def _try(self, name: str, call: Callable[..., Any], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._open.pop(name, None)
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            print(f"artv: tracker {name} ended: {reason}; training goes on without", file=sys.stderr)


def _plain(name: str) -> str:
    """``loss@100`` is no name for MLflow."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _show(name: str, tracker: Any, step: int, title: str, picture_HW3: np.ndarray) -> None:
    if name == "tensorboard":
        tracker.log_images({title: picture_HW3[None]}, step=step, dataformats="NHWC")
    elif name == "wandb":
        tracker.log_images({title: [picture_HW3]}, step=step)
    else:
        import mlflow

        mlflow.log_image(picture_HW3, key=title, step=step)

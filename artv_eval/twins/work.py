"""Training a twin as a task of an executor: whoever runs it, wherever, leaves it in the store."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv_eval.api import FailedTask, Task
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.twins.store import TwinStore


@dataclass(frozen=True)
class Elsewhere:
    """Another process was training it."""


class TrainingWork:
    """Trains what a task names, unless it is there by now.

    It can be pickled: the other process loads the same plugins.

    Args:
        manager: with the plugins.
        store: folder of the twins.
        runtime: for example ``{"device": "cuda"}``.
        wait: for another process that trains the same; else the answer is :class:`Elsewhere`, and there may be others
            to be done meanwhile.
    """

    def __init__(self, *, manager: PluginManager, store: Path, runtime: Mapping[str, Any], wait: bool = True) -> None:
        self.manager, self.store, self.runtime, self.wait = manager, store, dict(runtime), wait

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "manager": self.manager.options.elsewhere(), "store": self.store.absolute()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, manager=PluginManager(state["manager"]))

    def __call__(self, task: Task) -> FailedTask | Elsewhere | None:
        """None when the twin is there. A full disk is an OSError."""
        store = TwinStore(self.store)
        with store.locked(task.cell, wait=self.wait) as ours:
            if store.finished(task.cell) is not None:
                return None
            if not ours:
                return Elsewhere()
            named = {key: value for key, value in task.method.items() if key != "training"}
            trainer = build(self.manager, recipe_from(self.manager, "trainers", named), self.runtime)
            started = time.monotonic()
            try:
                trainer.train(task.method["training"], store.folder(task.cell))
                if not store.checkpoint(task.cell).is_dir():
                    raise UserError(f"the trainer left no {store.checkpoint(task.cell).name}")
            except OSError:
                raise
            except Exception as error:
                return FailedTask.of(error)
            finally:  # an interrupted training goes on later, and costs both parts
                seconds = store.spend(task.cell, time.monotonic() - started)
            device = device_name(self.runtime.get("device", "cpu"))
            store.finish(task.cell, {"seconds": round(seconds, 1), "device": device})
        return None


def device_name(device: str) -> str:
    """The GPU's name, or ``cpu``."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)

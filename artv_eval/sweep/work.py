"""What tasks of a sweep have in common wherever they are done: the plugins, the protocol and the run folder."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from artv import __version__
from artv.errors import UserError, WorkFailed
from artv_eval.api import ClipRequest, Task
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.plugins.code import CLIPS, code_digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.results.noted_runs import run_id
from artv_eval.results.store import RunStore


def this_code() -> str:
    """Version and digest of what makes clips, for messages."""
    return f"artv {__version__} ({code_digest(CLIPS)})"


class SeesFolder:
    """Work that says whether it was sent to where the run folder is the same."""

    def __init__(self, run: Path) -> None:
        self.run, self.id = run.absolute(), run_id(run)

    def __call__(self, task: Task) -> bool:
        return run_id(self.run) == self.id


class SweepWork:
    """What a task needs of its sweep.

    It can be pickled: the other process loads the same plugins and asks the same protocol for the requests.

    Args:
        manager: with the plugins.
        protocol: the protocol card by name and settings, as :meth:`artv_eval.plugins.recipe.Recipe.named` gives it.
        num, frames, seed: what the protocol is asked for.
        run: the run folder.
        runtime: for example ``{"device": "cuda"}``.
    """

    here: tuple[str, ...] = ()
    """Members that are of this process only."""

    def __init__(
        self,
        *,
        manager: PluginManager,
        protocol: dict[str, Any],
        num: int,
        frames: int | None,
        seed: int,
        run: Path,
        runtime: dict[str, Any],
    ) -> None:
        self.manager, self.protocol, self.run, self.runtime = manager, protocol, run, runtime
        self.num, self.frames, self.seed = num, frames, seed

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name not in ("card", "requests", "store")}
        return {
            **kept,
            **dict.fromkeys(self.here),
            "manager": self.manager.options.elsewhere(),
            "run": self.run.absolute(),
            "runtime": {**self.runtime, "progress": False},
            "_folder": str(Path.cwd()),
            "_code": this_code(),
            "_run_id": run_id(self.run),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        with suppress(OSError):  # protocols, methods and settings may name files relative to where the sweep began
            os.chdir(state.pop("_folder"))
        if (there := state.pop("_code")) != (here := this_code()):
            raise UserError(
                f"{platform.node()} has {here}, and the sweep was begun by {there}: install the same on all machines"
            )
        self.__dict__.update(state, manager=PluginManager(state["manager"]))

    _run_id: str | None = None

    @property
    def apart(self) -> bool:
        """Whether this was sent to where the run folder is another one, or none."""
        return self._run_id is not None and run_id(self.run) != self._run_id

    @cached_property
    def card(self) -> Any:
        """The protocol, with clips as long as they were asked for."""
        card = build(self.manager, recipe_from(self.manager, "protocols", self.protocol))
        return card if self.frames is None else optional(card, ProtocolExtras, "with_frames")(self.frames)

    @cached_property
    def requests(self) -> Sequence[ClipRequest]:
        """What the protocol asks for."""
        return self.card.requests(num=self.num, frames=self.frames, seed=self.seed)

    @cached_property
    def store(self) -> RunStore:
        """The run folder, which whoever works here must see."""
        if not self.run.is_dir():
            raise WorkFailed(
                f"the run folder {self.run} is not there on {platform.node()}: all machines must share it; give "
                "--out on a file system that they share"
            )
        return RunStore(self.run)

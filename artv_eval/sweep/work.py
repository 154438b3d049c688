"""What tasks of a sweep have in common wherever they are done: the plugins, the protocol and the run folder."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from artv.errors import WorkFailed
from artv_eval.api import ClipRequest
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.results.store import RunStore


class SweepWork:
    """What a task needs of its sweep.

    It can be pickled: the other process loads the same plugins and asks the same protocol for the requests.

    Args:
        manager: with the plugins.
        protocol: reference of the protocol card, as :meth:`artv_eval.plugins.recipe.Recipe.reference` gives it.
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
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        with suppress(OSError):  # protocols, methods and settings may name files relative to where the sweep began
            os.chdir(state.pop("_folder"))
        self.__dict__.update(state, manager=PluginManager(state["manager"]))

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

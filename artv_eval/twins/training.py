"""One training of a plan: everything that determines the model that comes out, and the name that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artv_eval.plugins.digests import digest
from artv_eval.plugins.recipe import Recipe, plain


@dataclass(frozen=True, kw_only=True)
class Training:
    """A model to be trained, unless it is there.

    Args:
        trainer: who trains.
        changes: in what its settings differ from the trainer's own, by the cell and by the user.
        settings: all that determines the model, as the trainer resolved it from ``changes``, ``seed`` and
            ``steps``; what lies under ``how`` does not.
        seed: training seed; cells of one seed are compared in pairs.
        steps: None for the trainer's own number.
    """

    trainer: Recipe
    changes: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    steps: int | None

    @property
    def id(self) -> str:
        """16 hex digits, of the trainer and of the resolved settings: two plans that mean the same model share it."""
        what = {key: value for key, value in self.settings.items() if key != "how"}
        return digest({"trainer": self._trainer(), "settings": plain(what)})[:16]

    @property
    def family(self) -> str:
        """The same whatever the seed and the steps: more of both continue a run."""
        return digest({"trainer": self._trainer(), "changes": plain(self.changes)})[:16]

    def _trainer(self) -> dict[str, Any]:
        # not its distribution's version: what counts for the model, the trainer states in its settings
        return {"name": self.trainer.entry.qualified, "settings": self.trainer.to_dict()["settings"]}

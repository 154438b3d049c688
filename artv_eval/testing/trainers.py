"""The contract of trainers."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv_eval.plugins.recipe import plain
from artv_eval.testing.settings import NO_SUCH_SETTING, made


def check_trainer(
    trainer: Any, *, settings: Mapping[str, Any] | None = None, changes: Mapping[str, Any] | None = None
) -> None:
    """A ``trainers`` target: factory of an object with ``settings(changes, seed, steps)``, ``train(settings, folder)``.

    Checks that the settings are plain, always the same, and others for another seed, other steps and other ``changes``
    (where given); that a setting that does not exist is refused; and that training of one step leaves a checkpoint,
    also when it is asked for again.
    """
    maker = made(trainer, "trainers", "train", settings or {})
    first = plain(maker.settings({}, seed=1, steps=1))
    assert json.loads(json.dumps(first)) == first, "settings() must give plain values, which JSON can hold"
    assert plain(maker.settings({}, seed=1, steps=1)) == first, "settings() must be the same for the same call"
    others = [maker.settings({}, seed=2, steps=1), maker.settings({}, seed=1, steps=2)]
    others += [maker.settings(changes, seed=1, steps=1)] if changes else []
    assert all(plain(other) != first for other in others), (
        "settings() must hold the seed, the steps and the changes: models are kept under their hash"
    )
    try:
        maker.settings({NO_SUCH_SETTING: 1}, seed=1, steps=1)
    except UserError:
        pass
    else:
        raise AssertionError("a training setting that does not exist is accepted in silence; raise a UserError")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            maker.train(first, Path(folder))
            left = Path(folder) / "pipeline"
            assert left.is_dir() and any(left.iterdir()), "train() must leave the checkpoint in folder / 'pipeline'"

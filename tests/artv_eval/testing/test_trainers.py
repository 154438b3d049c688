"""The contract of trainers: one that keeps it passes, and each way to break it is named."""

import itertools

import pytest

from artv.errors import UserError
from artv_eval.testing.trainers import check_trainer


class Right:
    """Writes its settings down as the checkpoint."""

    def __init__(self, *, size: int = 3):
        self.size = size

    def settings(self, changes, *, seed, steps):
        known = {"mask": True}
        if unknown := set(changes) - set(known):
            raise UserError(f"no setting {min(unknown)}")
        return {**known, **changes, "size": self.size, "seed": seed, "steps": steps}

    def train(self, settings, folder):
        (folder / "pipeline").mkdir(exist_ok=True)
        (folder / "pipeline" / "weights").write_text(str(settings), encoding="utf-8")


def changed(**members):
    """A trainer with other members."""
    return type("Changed", (Right,), members)


def without(*names):
    """Settings that leave something out."""

    def settings(self, changes, *, seed, steps):
        found = Right.settings(self, changes, seed=seed, steps=steps)
        return {key: value for key, value in found.items() if key not in names}

    return settings


calls = itertools.count()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"settings": lambda s, c, *, seed, steps: {"seed": seed, "call": next(calls)}}, "the same for the same call"),
        ({"settings": without("seed")}, "must hold the seed, the steps and the changes"),
        ({"settings": without("steps")}, "must hold the seed, the steps and the changes"),
        ({"settings": without("mask")}, "must hold the seed, the steps and the changes"),
        ({"settings": lambda s, c, *, seed, steps: {**c, "seed": seed, "steps": steps}}, "accepted in silence"),
        ({"train": lambda s, settings, folder: None}, "must leave the checkpoint in folder / 'pipeline'"),
        (
            {"train": lambda s, settings, folder: (folder / "pipeline").mkdir(exist_ok=True)},
            "must leave the checkpoint",
        ),
        ({"__init__": lambda self, **anything: setattr(self, "size", 3)}, "take no \\*\\*kwargs"),
    ],
)
def test_each_way_to_break_it_is_named(wrong, words):
    with pytest.raises(AssertionError, match=words):
        check_trainer(changed(**wrong), changes={"mask": False})


def test_a_trainer_that_keeps_it_passes_with_its_settings():
    check_trainer(Right, changes={"mask": False})
    check_trainer(Right, settings={"size": 4})
    check_trainer(Right())  # made already


def test_a_training_that_cannot_be_asked_for_twice_is_found():
    def once(self, settings, folder):
        (folder / "pipeline").mkdir()
        (folder / "pipeline" / "weights").touch()

    with pytest.raises(FileExistsError):
        check_trainer(changed(train=once))

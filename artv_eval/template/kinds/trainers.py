"""A trainer makes the checkpoints of cells that are trained: one for each training seed, kept for other sweeps."""

from artv.errors import UserError, closest


class Trainer:
    """Takes the packaged weights as they are: replace it by your training.

    Args:
        checkpoint: whose weights.
    """

    def __init__(self, *, checkpoint: str = "shapes"):
        self.checkpoint = checkpoint

    def settings(self, changes, *, seed, steps):
        """All that the model depends on, which names it. ``changes``: what the cell and the user ask for."""
        known = {"mask": True, "code": 1}
        for name in changes:
            if name not in known:
                raise UserError(f"training has no setting {name!r}; {closest(name, known)}")
        return {**known, **changes, "checkpoint": self.checkpoint, "seed": seed, "steps": steps or 1000}

    def train(self, settings, folder):
        """Leaves what the method's ``checkpoint`` is given in ``folder / "pipeline"``."""
        from artv import ArtVPipeline

        pipe = ArtVPipeline.from_pretrained(settings["checkpoint"])
        pipe.save_pretrained(folder / "pipeline", safe_serialization=True)

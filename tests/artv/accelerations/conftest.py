import pytest
from torch.utils._pytree import tree_leaves

from artv.networks import InferenceModel
from artv.networks.fast import captured


class RecordedGraph:
    """A CUDA graph as the CPU can have one: each replay writes the results over those of the one before."""

    def __init__(self, call):
        self.call, self.result = call, call()

    def replay(self):
        for into, value in zip(tree_leaves(self.result), tree_leaves(self.call()), strict=True):
            assert (into is None) == (value is None)
            if into is not None:
                into.copy_(value)
        return self.result


@pytest.fixture
def recorded(monkeypatch):
    """Makes a model that takes the paths of captured graphs."""
    monkeypatch.setattr(captured, "CapturedGraph", RecordedGraph)

    def make(model):
        fast = InferenceModel(model)
        fast.graphs = True
        return fast

    return make

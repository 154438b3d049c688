"""Fixtures of the model's tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def k_diffusion() -> ModuleType:
    """The public k-diffusion's ``sampling.py``, unchanged, and loaded alone: its package imports wandb, kornia, ….

    Its Brownian tree and its adaptive ODE solver are not used, so what those import may be absent. Skips where the
    package is not installed.
    """
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("k-diffusion is not installed (dependency group dev)")
    (folder,) = spec.submodule_search_locations
    added = {}
    for absent in ("torchsde", "torchdiffeq"):
        if importlib.util.find_spec(absent) is None:
            added[absent] = ModuleType(absent)
            added[absent].odeint = None
    package = ModuleType("k_diffusion")
    package.__path__ = [folder]
    added["k_diffusion"] = package
    before = {name: sys.modules.get(name) for name in added}
    sys.modules.update(added)
    try:
        target = importlib.util.spec_from_file_location("k_diffusion.sampling", Path(folder) / "sampling.py")
        module = importlib.util.module_from_spec(target)
        target.loader.exec_module(module)
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return module

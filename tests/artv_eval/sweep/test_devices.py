"""Who makes the clips where nobody is named."""

import pytest
import torch

from artv_eval.sweep import devices
from artv_eval.sweep.devices import MANY_FRAMES, PROCESSES, default_executor


def on(monkeypatch, *, cores=1, gpus=0):
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


@pytest.mark.parametrize(
    ("device", "frames", "there", "chosen"),
    [
        ("cuda", 1, {"gpus": 4}, ("gpus", {})),
        ("cuda", 10**6, {"gpus": 1, "cores": 16}, ("serial", {})),
        ("cuda:1", 10**6, {"gpus": 4, "cores": 16}, ("serial", {})),  # one was named
        ("cpu", 10**6, {"gpus": 4, "cores": 2}, ("gpus", {"processes": 2})),
        ("cpu", 10**6, {"cores": 64}, ("gpus", {"processes": PROCESSES})),
        ("cpu", 10**6, {"cores": 1}, ("serial", {})),
        ("cpu", MANY_FRAMES - 1, {"cores": 2}, ("serial", {})),
    ],
)
def test_much_work_goes_to_all_gpus_or_to_several_cores(monkeypatch, device, frames, there, chosen):
    on(monkeypatch, **there)
    assert default_executor(device, frames) == chosen

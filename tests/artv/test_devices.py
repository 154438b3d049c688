"""One check of a device for every command."""

import os

import pytest
import torch

from artv.devices import chosen_device, cores
from artv.errors import UserError


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_are_those_that_the_process_is_bound_to():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(allowed)])
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert cores() == len(allowed)


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_device_that_is_there_is_itself(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert chosen_device("cpu") == "cpu" and chosen_device("meta", meta=True) == "meta"
    assert chosen_device(None) == ("cuda" if gpus else "cpu")
    assert chosen_device(None, meta=True) == ("cuda" if gpus else "meta")
    if gpus:
        assert [chosen_device(name) for name in ("cuda", "cuda:1")] == ["cuda", "cuda:1"]


@pytest.mark.parametrize(
    ("device", "settings", "message"),
    [
        ("gpu", {}, "--device is 'gpu'; it must be cpu, cuda or cuda:N"),
        ("meta", {}, "--device is 'meta'; it must be cpu, cuda or cuda:N"),
        ("cuda:", {}, "--device is 'cuda:'; it must be"),
        ("cuda:x", {}, "--device is 'cuda:x'; it must be"),
        ("mps", {"meta": True}, "--device is 'mps'; it must be cpu, cuda or cuda:N, or meta"),
        ("cuda:2", {}, "--device is 'cuda:2' and this machine has 2 GPUs; use --device cpu"),
        ("cuda:3", {"option": "device"}, "device is 'cuda:3' and this machine has 2 GPUs; use device cpu"),
    ],
)
def test_another_one_is_told(monkeypatch, device, settings, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError) as caught:
        chosen_device(device, **settings)
    assert str(caught.value).startswith(message)

"""A copy of a training's tensors: all of them, into the same memory, unchanged by what comes after."""

import pytest
import torch

from artv.training.ema import Ema
from artv.training.snapshot import Snapshot, _places, _room_for


@pytest.fixture
def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    return model, Ema(model), torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.25), foreach=False)


def step(model, ema, optimizer):
    model(torch.randn(5, 3)).square().mean().backward()
    optimizer.step()
    ema.update(0.5)


def test_it_holds_every_tensor_and_the_settings_as_numbers(training):
    model, ema, optimizer = training
    step(*training)
    state = Snapshot(*training).take()
    for name, value in model.state_dict().items():
        assert torch.equal(state.model[name], value) and torch.equal(state.ema[name], ema.model.state_dict()[name])
    moments = optimizer.state_dict()["state"]
    assert set(state.moments) == {f"{i}.{key}" for i in range(4) for key in ("step", "exp_avg", "exp_avg_sq")}
    assert all(torch.equal(state.moments[f"{i}.{key}"], moments[i][key]) for i in range(4) for key in moments[i])
    assert state.groups[0]["lr"] == 0.25 and not isinstance(state.groups[0]["lr"], torch.Tensor)


def test_what_comes_after_does_not_change_it_until_the_next_one_is_taken(training):
    snapshot = Snapshot(*training)
    step(*training)
    state = snapshot.take()
    before = {name: value.clone() for name, value in state.model.items()}
    step(*training)
    assert all(torch.equal(state.model[name], value) for name, value in before.items())
    again = snapshot.take()
    assert all(again.model[name] is state.model[name] for name in before), "the same memory"
    assert not any(torch.equal(again.model[name], value) for name, value in before.items())


def test_moments_that_come_with_the_first_step_are_taken_too(training):
    snapshot = Snapshot(*training)
    snapshot.reserve()
    assert snapshot.take().moments == {}
    step(*training)
    assert len(snapshot.take().moments) == 12


def test_places_of_a_chunk_lie_side_by_side_and_never_overlap(monkeypatch):
    monkeypatch.setattr("artv.training.snapshot._page_locked", lambda size: torch.zeros(size, dtype=torch.uint8))
    places = _places(256)
    next(places)
    taken = [places.send(size) for size in (100, 64, 1, 200)]
    assert [len(place) for place in taken] == [100, 64, 1, 200]
    starts = [place.data_ptr() for place in taken]
    assert [start - starts[0] for start in starts[:3]] == [0, 128, 192]  # at multiples of 64 bytes
    for number, place in enumerate(taken, 1):
        place.fill_(number)
    assert [sorted(set(place.tolist())) for place in taken] == [[1], [2], [3], [4]]


def test_room_has_the_shapes_and_types_of_what_goes_there():
    given = {("model", "a"): torch.ones(2, 3), ("moments", "0.step"): torch.tensor(1, dtype=torch.int64)}
    room = _room_for(given)
    assert {key: (value.shape, value.dtype) for key, value in room.items()} == {
        key: (value.shape, value.dtype) for key, value in given.items()
    }

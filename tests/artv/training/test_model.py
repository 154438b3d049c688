"""The networks' stage: every setting reaches the objective, and how they are computed changes nothing of what."""

import copy

import pytest
import torch

from artv.conditioning import ConditionDropout, noise_levels
from artv.config import ModelConfig, NetworkConfig
from artv.data.latents import Batch
from artv.networks import ArtVModel
from artv.training.config import load_config, with_loop
from artv.training.loss import noise_prediction_loss
from artv.training.model import loss_drawer, prepare_networks, train_model

CPU = torch.device("cpu")
COMMON = {"channels": (8, 8), "heads": (1, 1), "attention": (True, False), "layers": 1, "text_dim": 6}
COMMON |= {"norm_groups": 2, "sample_size": 8}
SIZES = ModelConfig(dynamic=NetworkConfig(out_channels=4, **COMMON), mask=NetworkConfig(out_channels=1, **COMMON))
NULL = torch.zeros(3, 6)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ArtVModel.from_config(SIZES)


def batch(size):
    g = torch.Generator().manual_seed(1)
    return Batch(torch.randn(size, 4, 4, 8, 8, generator=g), torch.randn(size, 3, 6, generator=g))


def config(**settings):
    loop = {"batch_size": 12, "steps": 3, "precision": "fp32", "warmup": 0, "lr": 0.01}
    return with_loop(load_config("shapes", networks=SIZES, size=32, validate_every=0, **settings), "model", **loop)


CHANGES = [
    {"drop_text": 0.9},
    {"drop_ref": 0.9},
    {"drop_anchor": 0.9},
    {"ref_noise": "constant:0.7"},
    {"first_frame_share": 0.9},
    {"start_share": 0.0},
    {"weight_cap": 1.0},
    {"copy_noised": True},
]


def drawn(model, settings):
    torch.manual_seed(2)
    return loss_drawer(model, batch, NULL, settings)()


@pytest.mark.parametrize("changes", [{}, *CHANGES], ids=str)
def test_every_setting_reaches_the_objective(model, changes):
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks:
            torch.nn.init.normal_(block.proj_out.weight)  # or an anchor would make no difference yet
    settings = config(**changes)
    torch.manual_seed(2)
    expected = noise_prediction_loss(
        model,
        batch(12),
        null_text_LD=NULL,
        dropout=ConditionDropout(text=settings.drop_text, ref=settings.drop_ref, anchor=settings.drop_anchor),
        levels=noise_levels(settings.ref_noise),
        first_frame_share=settings.first_frame_share,
        copy_noised=settings.copy_noised,
        start_share=settings.start_share,
        weight_cap=settings.weight_cap,
    )
    assert torch.equal(drawn(model, settings), expected)
    assert not changes or not torch.equal(expected, drawn(model, config()))


@pytest.mark.parametrize("changes", [{"overlap": False}, {"recompute": True}, {"fused": False}], ids=str)
def test_how_it_is_computed_changes_neither_loss_nor_gradients(model, changes):
    plain, other = model, copy.deepcopy(model)
    prepare_networks(plain, config(), CPU)
    prepare_networks(other, config(**changes), CPU)
    losses = [drawn(each, config()) for each in (plain, other)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    for a, b in zip(plain.parameters(), other.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)
    assert other.side_stream.on == changes.get("overlap", True) and other.training


def test_what_comes_back_is_the_average_of_what_was_trained(model, tmp_path):
    start = copy.deepcopy(model)
    torch.manual_seed(2)
    averaged, outcome = train_model(model, batch, NULL, config(), tmp_path)
    assert outcome.steps == 3 and outcome.finished and averaged is not model and not averaged.training
    moved = [(a - s).norm() for a, s in zip(model.parameters(), start.parameters(), strict=True)]
    assert sum(moved) > 0 and any(
        not torch.equal(a, b) for a, b in zip(averaged.parameters(), model.parameters(), strict=True)
    )
    again, _ = train_model(copy.deepcopy(start), batch, NULL, config(), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), averaged.parameters(), strict=True)), "resumed"


def test_the_chance_of_a_global_batch_hangs_on_the_runs_seed(model, tmp_path):
    """Whatever was drawn before: seeds that met the same noise would differ by less than trainings do."""
    losses = []
    for number, seed in enumerate((1, 1, 2)):
        chosen = with_loop(config(seed=seed), "model", global_batch=24, steps=1)
        losses.append(train_model(copy.deepcopy(model), batch, NULL, chosen, tmp_path / str(number))[1].loss)
    assert losses[0] == losses[1] != losses[2]

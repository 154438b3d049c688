"""How the two networks make one prediction: composition, dropped references, precision, crops, configurations."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from artv.config import ModelConfig, NetworkConfig, shapes
from artv.networks import ArtVModel, Conditions
from artv.networks.crops import Crops

B, SIZE = 3, 8
COMMON = {"channels": (8, 16), "heads": (1, 2), "attention": (True, False), "layers": 1, "text_dim": 12}
COMMON |= {"norm_groups": 4, "sample_size": SIZE}
SIZES = ModelConfig(dynamic=NetworkConfig(out_channels=4, **COMMON), mask=NetworkConfig(out_channels=1, **COMMON))


def made(sizes=SIZES):
    torch.manual_seed(0)
    model = ArtVModel.from_config(sizes).eval().requires_grad_(False)
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks if network is not None else ():
            nn.init.normal_(block.proj_out.weight, std=0.2)  # it starts at zero
    return model


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture(scope="module")
def conditions():
    torch.manual_seed(1)
    refs, copied, anchor = torch.randn(B, 2, 4, SIZE, SIZE), *torch.randn(2, B, 4, SIZE, SIZE)
    return Conditions(refs, copied, anchor, torch.tensor([1.0, 1, 0]), torch.tensor([1.0, 0, 1]), torch.randn(B, 5, 12))


@pytest.fixture(scope="module")
def z():
    return torch.randn(B, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


T = torch.tensor([0, 500, 999])


def test_the_prediction_is_composed_as_sec_3_says(model, conditions, z):
    """In x0: mask · reference + (1 − mask) · what the dynamic network leaves."""
    prediction = model(z, T, conditions)
    a, s = model.schedule.a_s(T)
    x0, dynamic = (z - s * prediction.eps_BCHW) / a, (z - s * prediction.dynamic_BCHW) / a
    mask = prediction.mask_B1HW
    torch.testing.assert_close(x0, mask * conditions.copy_BCHW + (1 - mask) * dynamic, atol=1e-4, rtol=1e-4)
    assert mask.shape == (B, 1, SIZE, SIZE) and (mask >= 0).all() and (mask <= 1).all() and mask[:2].std() > 0


def test_without_references_nothing_is_copied(model, conditions, z):
    prediction = model(z, T, conditions)
    assert not prediction.mask_B1HW[2].any()
    torch.testing.assert_close(prediction.eps_BCHW[2], prediction.dynamic_BCHW[2])
    other = replace(conditions, copy_BCHW=conditions.copy_BCHW + 1, refs_BKCHW=conditions.refs_BKCHW + 1)
    again = model(z, T, other)
    assert torch.equal(again.eps_BCHW[2], prediction.eps_BCHW[2])
    assert not torch.allclose(again.eps_BCHW[0], prediction.eps_BCHW[0])


def test_without_an_anchor_it_is_not_seen(model, conditions, z):
    before = model(z, T, conditions).eps_BCHW
    after = model(z, T, replace(conditions, anchor_BCHW=conditions.anchor_BCHW * 2 + 1)).eps_BCHW
    assert torch.equal(before[1], after[1]) and not torch.allclose(before[0], after[0])


def test_the_mask_network_left_out_is_the_dynamic_network_alone(model, conditions, z):
    encoded = model.encode(conditions)
    alone = model.predict(z, T, conditions.text_BLD, encoded, use_mask=False)
    assert alone.mask_B1HW is None and alone.dynamic_BCHW is None
    assert torch.equal(alone.eps_BCHW, model(z, T, conditions).dynamic_BCHW)
    twin = made(replace(SIZES, mask=None))
    twin.dynamic_network.load_state_dict(model.dynamic_network.state_dict())
    assert torch.equal(twin(z, T, conditions).eps_BCHW, alone.eps_BCHW)
    assert twin.mask_at(z, 5, conditions.text_BLD, twin.encode(conditions)) is None


def test_rows_do_not_depend_on_each_other(model, conditions, z):
    joint = model(z, T, conditions)
    for i in range(B):
        row = Conditions(*(value[i : i + 1] for value in vars(conditions).values()))
        alone = model(z[i : i + 1], T[i : i + 1], row)
        torch.testing.assert_close(alone.eps_BCHW, joint.eps_BCHW[i : i + 1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.mask_B1HW, joint.mask_B1HW[i : i + 1], atol=1e-5, rtol=1e-5)


def test_parts_of_a_prediction_asked_for_alone_are_the_same(model, conditions, z):
    encoded, text = model.encode(conditions), conditions.text_BLD
    whole = model.predict_at(z, 700, text, encoded)
    assert torch.equal(whole.eps_BCHW, model.predict(z, torch.full((B,), 700), text, encoded).eps_BCHW)
    torch.testing.assert_close(model.mask_at(z, 700, text, encoded), whole.mask_B1HW)
    crops = Crops.whole(B, (SIZE, SIZE))
    torch.testing.assert_close(model.dynamic_at(z, 700, text, encoded, crops), whole.dynamic_BCHW)


def test_what_is_known_of_the_anchor_may_be_handed_in(model, conditions, z):
    features = model.anchor_features(conditions.anchor_BCHW)
    handed = model.encode(replace(conditions, anchor_BCHW=torch.full_like(z, float("nan"))), features)
    ours = model.encode(conditions)
    text = conditions.text_BLD
    assert torch.equal(model.predict(z, T, text, handed).eps_BCHW, model.predict(z, T, text, ours).eps_BCHW)


def test_a_half_precision_model_copies_exactly(conditions, z):
    """A mask of one, as a large bias makes it: the noise is float32's and leaves the reference."""
    half = made().to(torch.bfloat16)
    nn.init.zeros_(half.mask_network.unet.conv_out.weight)
    nn.init.constant_(half.mask_network.unet.conv_out.bias, 50.0)
    prediction = half(
        z, T, conditions.__class__(*(v.bfloat16() if v.ndim == 3 else v for v in vars(conditions).values()))
    )
    a, s = half.schedule.a_s(T)
    assert prediction.eps_BCHW.dtype == torch.float32 and prediction.dynamic_BCHW.dtype == torch.bfloat16
    x0 = (z - s * prediction.eps_BCHW) / a
    torch.testing.assert_close(x0[:2], conditions.copy_BCHW[:2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_refs", [1, 3])
def test_adapters_see_as_many_references_as_it_says(num_refs):
    model = made(replace(SIZES, num_refs=num_refs))
    assert model.dynamic_network.adapter.adapter.conv_in.in_channels == num_refs * 4
    refs = torch.randn(1, num_refs, 4, SIZE, SIZE)
    one = torch.ones(1)
    given = Conditions(refs, refs[:, -1], refs[:, 0], one, one, torch.randn(1, 5, 12))
    assert model(refs[:, 0], torch.tensor([3]), given).eps_BCHW.shape == (1, 4, SIZE, SIZE)
    with pytest.raises(RuntimeError):
        model(refs[:, 0], torch.tensor([3]), replace(given, refs_BKCHW=torch.randn(1, num_refs + 1, 4, SIZE, SIZE)))


@pytest.mark.parametrize("sizes", [SIZES, replace(SIZES, mask=None), replace(SIZES, anchor=False, num_refs=3)])
def test_saved_and_loaded_it_is_the_same_model(sizes, tmp_path):
    model = made(sizes)
    model.save_pretrained(tmp_path)
    again = ArtVModel.from_pretrained(tmp_path)
    assert again.sizes == sizes and ModelConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == sizes
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))


def test_presets_by_name():
    with torch.device("meta"):
        assert ArtVModel.from_config(preset="shapes", mask=False, anchor=False).sizes == shapes(
            mask=False, anchor=False
        )
    assert ArtVModel.sizes_of("shapes") == shapes()
    with pytest.raises(ValueError, match="preset is 'shape'; it must be one of paper, shapes"):
        ArtVModel.from_config(preset="shape")

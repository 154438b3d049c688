"""The inference networks against the model itself: one call, a whole rollout, and what must not go stale."""

from dataclasses import replace

import pytest
import torch

from artv.anchors import anchor_strategy
from artv.config import ModelConfig, NetworkConfig
from artv.denoiser import Denoiser
from artv.guidance import Interval, ThreeTerm
from artv.networks import ArtVModel, Conditions, InferenceModel
from artv.networks.fast.networks import InferenceNetwork
from artv.rollout import Sampling, rollout


def randomised(model, std=0.2):
    """Layers that start at zero would hide what comes before them."""
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks if network is not None else ():
            torch.nn.init.normal_(block.proj_out.weight, std=std)
    return model.eval()


def deep():
    """Two residual blocks a level and four levels, as the full size has them."""
    common = {"heads": (2, 2, 4, 4), "attention": (True, True, True, False), "layers": 2, "text_dim": 24}
    common |= {"norm_groups": 4, "sample_size": 16}
    return ModelConfig(
        dynamic=NetworkConfig(channels=(16, 24, 32, 32), out_channels=4, **common),
        mask=NetworkConfig(channels=(8, 8, 16, 16), out_channels=1, **common),
    )


MODELS = {
    "shapes": lambda: ArtVModel.from_config(preset="shapes"),
    "no-mask": lambda: ArtVModel.from_config(preset="shapes", mask=False),
    "no-anchor": lambda: ArtVModel.from_config(preset="shapes", anchor=False),
    "deep": lambda: ArtVModel.from_config(deep()),
}


def inputs(model, keep_ref=1.0, keep_anchor=1.0, B=2, hw=16):
    torch.manual_seed(1)
    f = torch.randn(B, 5, 4, hw, hw)
    text = torch.randn(B, 9, model.sizes.dynamic.text_dim)
    keep = torch.tensor([keep_ref, 1.0]), torch.tensor([keep_anchor, 1.0])
    return f[:, 4], text, Conditions(f[:, :2], f[:, 2], f[:, 3], *keep, text)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("keep", [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
@torch.no_grad()
def test_one_evaluation(name, keep):
    torch.manual_seed(0)
    model = randomised(MODELS[name]())
    z, text, conditions = inputs(model, *keep)
    encoded, fast = model.encode(conditions), InferenceModel(model)
    for t in (3, 700, 3):
        expected, actual = model.predict_at(z, t, text, encoded), fast.predict_at(z, t, text, encoded)
        torch.testing.assert_close(actual.eps_BCHW, expected.eps_BCHW, atol=2e-5, rtol=1e-5)
        if expected.mask_B1HW is None:
            assert actual.mask_B1HW is None
        else:
            torch.testing.assert_close(actual.mask_B1HW, expected.mask_B1HW, atol=1e-5, rtol=1e-5)
    assert fast.networks, "the fast path itself was tested"


@torch.no_grad()
def test_mask_switched_off():
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    z, text, conditions = inputs(model)
    encoded = model.encode(conditions)
    expected = model.predict_at(z, 9, text, encoded, use_mask=False)
    actual = InferenceModel(model).predict_at(z, 9, text, encoded, use_mask=False)
    torch.testing.assert_close(actual.eps_BCHW, expected.eps_BCHW, atol=2e-5, rtol=1e-5)
    assert actual.mask_B1HW is None


@pytest.mark.parametrize("guidance", [ThreeTerm(), Interval(inner=ThreeTerm(ref=0, text=3), low=1.0)])
@torch.no_grad()
def test_a_whole_rollout_agrees_to_1e_4(guidance):
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    text, null = torch.randn(2, 9, 96), torch.randn(1, 9, 96)

    def frames(model):
        return [
            frame.latent_BCHW
            for frame in rollout(
                model,
                [text],
                null,
                frames_per_prompt=5,
                seeds=[3, 4],
                shape=(4, 16, 16),
                sampling=Sampling(guidance=guidance, steps=4),
                anchor=anchor_strategy("last-of-prompt"),
            )
        ]

    expected = torch.stack(frames(model))
    actual = torch.stack(frames(InferenceModel(model)))
    assert expected.std() > 0.1
    torch.testing.assert_close(actual, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


@torch.no_grad()
def test_new_text_and_new_frames_are_noticed():
    """What is remembered belongs to the very tensors it was computed from."""
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    fast = InferenceModel(model)
    for seed in range(6):
        z, _, conditions = inputs(model)
        torch.manual_seed(10 + seed)
        text, encoded = torch.randn(2, 9, 96), model.encode(conditions)
        expected = model.predict_at(z, 5, text, encoded).eps_BCHW
        torch.testing.assert_close(fast.predict_at(z, 5, text, encoded).eps_BCHW, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["shapes", "no-mask"])
@torch.no_grad()
def test_the_anchor_is_encoded_once_while_it_stays_the_same(name):
    model = randomised(MODELS[name]())
    fast, (_, _, conditions) = InferenceModel(model), inputs(model)
    seen = []
    for network in (model.dynamic_network, *([model.mask_network] if model.mask_network else [])):
        network.adapter.register_forward_hook(lambda *_: seen.append(1))

    def encoded_as_the_model_does(c):
        actual, count = fast.encode(c), len(seen)
        expected = model.encode(c)
        for one, other in zip(actual[:2], expected[:2], strict=True):
            if other is not None:
                torch.testing.assert_close(one.anchor, other.anchor)
                torch.testing.assert_close(one.refs, other.refs)
        seen.clear()
        return count // len(fast.networks)

    assert encoded_as_the_model_does(conditions) == 2  # references and anchor
    later = replace(conditions, refs_BKCHW=conditions.refs_BKCHW + 1)
    assert encoded_as_the_model_does(later) == 1
    assert encoded_as_the_model_does(replace(later, anchor_BCHW=later.anchor_BCHW.clone())) == 2
    conditions.anchor_BCHW.mul_(2)
    assert encoded_as_the_model_does(conditions) == 2
    with torch.inference_mode():
        ours = replace(conditions, anchor_BCHW=conditions.anchor_BCHW * 2)
        assert encoded_as_the_model_does(ours) == encoded_as_the_model_does(ours) == 2


@torch.no_grad()
def test_changed_weights_are_noticed():
    model = randomised(MODELS["shapes"]())
    fast = InferenceModel(model)
    assert fast.stands_for(model)
    model.dynamic_network.unet.conv_in.weight.mul_(2)
    assert not fast.stands_for(model)
    assert not InferenceModel(model).stands_for(randomised(MODELS["shapes"]()))
    fast = InferenceModel(model)
    model.to(torch.bfloat16)
    assert not fast.stands_for(model)


def test_weights_stay_as_they_were():
    """Saving needs contiguous weights, so the model's own must not be laid out anew."""
    model = randomised(MODELS["shapes"]())
    InferenceModel(model)
    assert all(p.is_contiguous() for p in model.parameters())


def test_gradients_go_through_the_model_itself():
    model = randomised(MODELS["shapes"]())
    z, text, conditions = inputs(model)

    def gradients(sampled):
        model.zero_grad()
        sampled.predict_at(z, 5, text, model.encode(conditions)).eps_BCHW.square().sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    own, through = gradients(model), gradients(InferenceModel(model))
    assert own.keys() == through.keys() and any(name.startswith("mask_network.") for name in own)
    for name, gradient in own.items():
        torch.testing.assert_close(through[name], gradient)


def test_other_unets_go_through_the_model_itself():
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    model.dynamic_network.unet.register_to_config(act_fn="gelu")
    assert not InferenceNetwork.fits(model.dynamic_network)
    z, text, conditions = inputs(model)
    with torch.no_grad():
        encoded = model.encode(conditions)
        expected = model.predict_at(z, 5, text, encoded).eps_BCHW
        assert torch.equal(InferenceModel(model).predict_at(z, 5, text, encoded).eps_BCHW, expected)


@torch.no_grad()
def test_half_precision_is_within_its_own_spread():
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    z, text, conditions = inputs(model)
    exact = model.predict_at(z, 400, text, model.encode(conditions)).eps_BCHW
    model = model.to(torch.bfloat16)
    half = Conditions(**{k: v.to(torch.bfloat16) if v.ndim > 1 else v for k, v in vars(conditions).items()})
    encoded, text = model.encode(half), text.to(torch.bfloat16)
    plain = model.predict_at(z, 400, text, encoded).eps_BCHW
    fast = InferenceModel(model).predict_at(z, 400, text, encoded).eps_BCHW
    assert (fast - exact).abs().mean() < 1.5 * (plain - exact).abs().mean()


@torch.no_grad()
def test_through_the_denoiser():
    torch.manual_seed(0)
    model = randomised(MODELS["deep"]())
    z, text, conditions = inputs(model)
    null, sigma = torch.randn(1, 9, 24), torch.tensor(2.0, dtype=torch.float64)
    results = [
        Denoiser(m, m.encode(conditions), text, null, guidance=ThreeTerm())(z, sigma)
        for m in (model, InferenceModel(model))
    ]
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


def test_pipelines_sample_through_it_unless_told_not_to():
    import numpy as np

    from artv import ArtVPipeline, OpenClipTextEncoder
    from artv.autoencoder import shapes_autoencoder
    from artv.tokenizer import build_vocabulary

    torch.manual_seed(0)
    prompt = "a red circle moves left"
    text = OpenClipTextEncoder(width=96, heads=4, layers=3, context_length=24, vocabulary=build_vocabulary([prompt]))
    pipe = ArtVPipeline(randomised(MODELS["shapes"]()), shapes_autoencoder().eval(), text.eval())

    def clip(fast):
        pipe.fast = fast
        return pipe(prompt, num_frames=3, steps=2, seed=0).frames.astype(int)

    fast, plain = clip(True), clip(False)
    assert np.abs(fast - plain).max() <= 1
    with torch.no_grad():
        pipe.model.dynamic_network.unet.conv_out.weight.mul_(-1)
    changed = clip(True)
    assert np.abs(changed - fast).max() > 1
    assert np.abs(changed - clip(False)).max() <= 1

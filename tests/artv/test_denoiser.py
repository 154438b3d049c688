"""The denoiser against one unbatched call a branch, and its noise levels against the reference's rule."""

import pytest
import torch

from artv.composition import copied_noise
from artv.denoiser import Denoiser
from artv.guidance import Interval, Joint, Nested, Rescaled, ThreeTerm
from artv.mask_rules import Constant, Hard, Learned
from artv.networks import ArtVModel, Conditions, InferenceModel, Prediction

B, HW = 2, 16


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes").eval()
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks:  # a new block is the identity, which would hide a dropped anchor
            torch.nn.init.normal_(block.proj_out.weight, std=0.2)
    return model


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    latents = {"refs_BKCHW": (B, 2, 4, HW, HW), "copy_BCHW": (B, 4, HW, HW), "anchor_BCHW": (B, 4, HW, HW)}
    text, null = torch.randn(B, 6, 96), torch.randn(1, 6, 96)
    return {name: torch.randn(shape) for name, shape in latents.items()}, text, null, torch.randn(B, 4, HW, HW)


def denoiser(model, inputs, **kw):
    latents, text, null, _ = inputs
    ones = torch.ones(B)
    with torch.no_grad():
        encoded = model.encode(Conditions(**latents, keep_ref_B=ones, keep_anchor_B=ones, text_BLD=text))
    return Denoiser(model, encoded, text, null, **kw)


@torch.no_grad()
def one_branch(model, inputs, dropped, x, sigma, use_mask=True):
    """x0 of one branch, from the model's own forward pass, without any batching or caching."""
    latents, text, null, _ = inputs
    t = int((model.schedule.all_sigmas - sigma).abs().argmin())
    level = model.schedule.all_sigmas[t].float()
    conditions = Conditions(
        **latents,
        keep_ref_B=torch.full((B,), float("ref" not in dropped)),
        keep_anchor_B=torch.full((B,), float("anchor" not in dropped)),
        text_BLD=null.expand_as(text) if "text" in dropped else text,
    )
    t_B, z = torch.full((B,), t), x / (1 + level**2).sqrt()
    if use_mask:
        return x - level * model(z, t_B, conditions).eps_BCHW
    return x - level * model.dynamic_network(z, t_B, conditions.text_BLD, model.encode(conditions).dynamic)


GUIDANCES = [
    ThreeTerm(),
    ThreeTerm(ref=0, anchor=0, text=3),
    ThreeTerm(ref=0, anchor=0, text=0),
    Joint(scale=2),
    Nested(),
    Interval(inner=ThreeTerm(), low=2.0),
    Rescaled(inner=ThreeTerm(), phi=0.5),
]


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("sigma", [0.9, 7.3])
def test_batched_branches_equal_separate_ones(model, inputs, guidance, sigma):
    sigma = torch.tensor(sigma, dtype=torch.float64)
    x = inputs[-1] * (1 + sigma**2).sqrt().float()
    denoise = denoiser(model, inputs, guidance=guidance)
    level = denoise.quantise(sigma)[1]
    branches = guidance.branches(level)
    # in noise, because rescaling is not affine
    noises = [(x - one_branch(model, inputs, dropped, x, sigma)) / level for dropped in branches]
    expected = x - level * guidance.combine(noises, level)
    torch.testing.assert_close(denoise(x, sigma), expected, atol=2e-4, rtol=1e-4)
    assert (denoise.evaluations, denoise.rows) == (1, B * len(branches))


def test_branches_differ(model, inputs):
    x, sigma = 3 * inputs[-1], torch.tensor(2.0, dtype=torch.float64)
    full = one_branch(model, inputs, (), x, sigma)
    for name in ("ref", "anchor", "text"):
        assert (full - one_branch(model, inputs, (name,), x, sigma)).abs().max() > 1e-3


def test_equation_1_in_noise_is_equation_1_in_x0(model, inputs):
    x, sigma = 3 * inputs[-1], torch.tensor(2.0, dtype=torch.float64)
    x0 = [one_branch(model, inputs, dropped, x, sigma) for dropped in ((), ("ref",), ("anchor",), ("text",))]
    guidance = ThreeTerm()
    actual = denoiser(model, inputs, guidance=guidance)(x, sigma)
    torch.testing.assert_close(actual, guidance.combine(x0), atol=2e-4, rtol=1e-4)


def test_mask_switched_off_is_the_dynamic_network_alone(model, inputs):
    x, sigma = 3 * inputs[-1], torch.tensor(2.0, dtype=torch.float64)
    denoise = denoiser(model, inputs, guidance=ThreeTerm(ref=0, anchor=0, text=0), use_mask=False)
    torch.testing.assert_close(denoise(x, sigma), one_branch(model, inputs, (), x, sigma, use_mask=False))
    assert denoise.mask_B1HW is None


def test_masks_are_those_of_the_full_branch(model, inputs):
    denoise = denoiser(model, inputs, guidance=ThreeTerm())
    plain = denoiser(model, inputs, guidance=ThreeTerm(ref=0, anchor=0, text=0))
    for sigma in (torch.tensor(8.0), torch.tensor(1.0)):
        denoise(inputs[-1], sigma), plain(inputs[-1], sigma)
        assert denoise.mask_B1HW.shape == (B, 1, HW, HW)
        torch.testing.assert_close(denoise.mask_B1HW, plain.mask_B1HW, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fast", [False, True])
def test_a_mask_rule_composes_anew(model, inputs, fast):
    """The mask as predicted changes nothing; a constant of 0 is the dynamic network, of 1 the reference."""
    x, sigma = 3 * inputs[-1], torch.tensor(2.0)

    def x0(**kw):
        denoise = denoiser(model, inputs, **{"guidance": ThreeTerm(), **kw})
        denoise.model = InferenceModel(model) if fast else model
        return denoise(x, sigma), denoise.mask_B1HW

    (plain, mask), (learned, same) = x0(), x0(mask=Learned())
    torch.testing.assert_close(learned, plain, atol=1e-5, rtol=1e-5)
    assert torch.equal(same, mask)
    torch.testing.assert_close(x0(mask=Constant(level=0))[0], x0(use_mask=False)[0], atol=1e-5, rtol=1e-5)
    still, ones = x0(mask=Constant(level=1), guidance=ThreeTerm(ref=0, anchor=0, text=0))
    torch.testing.assert_close(still, inputs[0]["copy_BCHW"], atol=1e-4, rtol=1e-4)
    assert bool((ones == 1).all())
    assert set(x0(mask=Hard(threshold=float(mask.median())))[1].unique().tolist()) == {0.0, 1.0}


def test_a_mask_rule_copies_nothing_where_the_references_are_dropped(model, inputs):
    class WithoutReferences:
        def branches(self, sigma=None):
            return (frozenset(), frozenset({"ref"}))

        def combine(self, predictions, sigma=None):
            return predictions[1]

    x, sigma = 3 * inputs[-1], torch.tensor(2.0)
    alone = denoiser(model, inputs, guidance=WithoutReferences(), mask=Constant(level=1))(x, sigma)
    torch.testing.assert_close(alone, one_branch(model, inputs, {"ref"}, x, sigma), atol=1e-5, rtol=1e-5)


class AllCopied:
    """Stands in for a model whose mask is 1 everywhere."""

    def __init__(self, model):
        self.model, self.schedule = model, model.schedule

    def predict_at(self, z, t, text, encoded, use_mask=True):
        a, s = self.schedule.a_s(torch.full((len(z),), t))
        return Prediction(copied_noise(z, encoded.copy_BCHW, a, s), torch.ones_like(z[:, :1]))


@pytest.mark.parametrize("sigma", [0.05, 1.234, 14.0])
def test_a_mask_of_one_returns_the_reference_even_between_table_levels(model, inputs, sigma):
    denoise = denoiser(model, inputs, guidance=ThreeTerm())
    denoise.model = AllCopied(model)
    copied = denoise(inputs[-1] * sigma, torch.tensor(sigma))
    torch.testing.assert_close(copied, inputs[0]["copy_BCHW"], atol=1e-4, rtol=1e-4)


def test_levels_are_rounded_as_the_reference_does(model, inputs):
    quantise = denoiser(model, inputs, guidance=ThreeTerm()).quantise
    table = model.schedule.all_sigmas
    for t in (0, 17, 500, 999):
        assert quantise(table[t]) == (t, float(table[t]))
    between = 0.6 * table[800] + 0.4 * table[801]
    assert quantise(between) == (800, float(table[800]))
    assert quantise(torch.tensor(1e-6))[0] == 0 and quantise(torch.tensor(99.0))[0] == 999


def test_a_bf16_model_keeps_float32_latents(inputs):
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes").eval().to(torch.bfloat16)
    latents, text, null, x = inputs
    half = ({k: v.bfloat16() for k, v in latents.items()}, text.bfloat16(), null.bfloat16(), x)
    result = denoiser(model, half, guidance=ThreeTerm(ref=0, anchor=0, text=0))(x, torch.tensor(2.0))
    assert result.dtype == torch.float32
    wide = denoiser(model.float(), inputs, guidance=ThreeTerm(ref=0, anchor=0, text=0))(x, torch.tensor(2.0))
    assert (result - wide).abs().max() < 0.2

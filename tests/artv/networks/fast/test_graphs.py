"""CUDA graphs and fused kernels against the model itself, on a GPU. Skipped where there is none."""

import pytest
import torch

from artv.accelerations import ReuseFeatures
from artv.anchors import anchor_strategy
from artv.conditioning import constant
from artv.guidance import Interval, ThreeTerm
from artv.networks import ArtVModel, Conditions, Crops, InferenceModel
from artv.rollout import Sampling, rollout

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def exact_products():
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


def model_on_gpu(preset="shapes", **options):
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset=preset, **options).eval().cuda()
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks if network is not None else ():
            torch.nn.init.normal_(block.proj_out.weight, std=0.2)
    return model


@torch.no_grad()
def latents(sampled, guidance, dtype=torch.float32, frames=4, samples=2, first=True, acceleration=None):
    torch.manual_seed(1)
    text, null = torch.randn(samples, 9, 96).to("cuda", dtype), torch.randn(1, 9, 96).to("cuda", dtype)
    given = torch.randn(samples, 4, 16, 16, device="cuda") if first else None
    made = rollout(
        sampled,
        [text],
        null,
        frames_per_prompt=frames,
        seeds=list(range(samples)),
        shape=(4, 16, 16),
        sampling=Sampling(guidance=guidance, steps=4, ref_noise=constant(0.05), acceleration=acceleration),
        anchor=anchor_strategy("first"),
        first_BCHW=given,
    )
    return torch.stack([frame.latent_BCHW for frame in made])


GUIDANCES = {
    "three-term": ThreeTerm(),
    "changing branches": Interval(inner=ThreeTerm(ref=0, text=3), low=1.0),
    "one branch": ThreeTerm(ref=0, anchor=0, text=0),
}


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("first", [True, False])
def test_a_whole_rollout_agrees_to_1e_4(guidance, first):
    model = model_on_gpu()
    expected = latents(model, GUIDANCES[guidance], first=first)
    scale = expected.abs().max()
    for graphs in (True, False):
        actual = latents(InferenceModel(model, graphs=graphs), GUIDANCES[guidance], first=first)
        assert (actual - expected).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("options", [{"mask": False}, {"anchor": False}])
def test_twins(options):
    model = model_on_gpu(**options)
    expected = latents(model, ThreeTerm())
    assert (latents(InferenceModel(model), ThreeTerm()) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_half_precision_is_within_its_own_spread():
    model = model_on_gpu()
    exact = latents(model, ThreeTerm(text=1.0))
    model = model.to(torch.bfloat16)
    plain = latents(model, ThreeTerm(text=1.0), torch.bfloat16)
    fast = latents(InferenceModel(model), ThreeTerm(text=1.0), torch.bfloat16)
    assert (fast - exact).abs().mean() < 1.5 * (plain - exact).abs().mean()


def test_graphs_are_kept_across_rollouts_and_batch_sizes():
    model = model_on_gpu()
    fast = InferenceModel(model)
    for samples in (1, 3, 1):
        expected = latents(model, ThreeTerm(), samples=samples)
        assert (latents(fast, ThreeTerm(), samples=samples) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert len(fast._captured) == 2


@pytest.mark.parametrize("guidance", GUIDANCES)
def test_deep_features_in_graphs(guidance):
    model, chosen = model_on_gpu(), ReuseFeatures(every=3)
    expected = latents(model, GUIDANCES[guidance], acceleration=chosen)
    for graphs in (True, False):
        actual = latents(InferenceModel(model, graphs=graphs), GUIDANCES[guidance], acceleration=chosen)
        assert (actual - expected).abs().max() < 1e-4 * expected.abs().max()


@torch.no_grad()
def test_crops():
    model = model_on_gpu()
    fast = InferenceModel(model)
    z, f, text, one = torch.randn(5, 4, 16, 16), torch.randn(5, 4, 16, 16), torch.randn(2, 9, 96), torch.ones(2)
    conditions = Conditions(*(x.cuda() for x in (f[:4].unflatten(0, (2, 2)), f[:2], f[2:4], one, one, text)))
    z, text, encoded = z[:2].cuda(), text.cuda(), model.encode(conditions)
    expected, actual = (m.mask_at(z, 300, text, encoded) for m in (model, fast))
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)
    for crops in (
        Crops((0, 1), ((0, 8), (8, 0)), (8, 8)),
        Crops((1,), ((0, 4),), (8, 8)),
        Crops.whole(2, (16, 16)),
    ):
        expected, actual = (m.dynamic_at(z, 300, text, encoded, crops) for m in (model, fast))
        torch.testing.assert_close(actual, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)

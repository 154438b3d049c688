"""Deep features taken over: exact for the same input, the shallow part alone otherwise, on every path the same."""

import pytest
import torch

from artv.accelerations import ReuseFeatures
from artv.errors import UserError
from artv.networks import ArtVModel, DeepFeatures, InferenceModel, deep_features
from tests.artv.accelerations.test_reuse import latents
from tests.artv.networks.fast.test_model import MODELS, inputs, randomised


def paths(model, recorded):
    return {"plain": model, "fast": InferenceModel(model), "graphs": recorded(model)}


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_one_evaluation_on_every_path(name, recorded):
    """At the input that filled them, reused features change nothing; elsewhere all paths agree on what they change."""
    torch.manual_seed(0)
    model = randomised(MODELS[name]())
    z, text, conditions = inputs(model, keep_ref=0.0)
    other = torch.randn_like(z)
    encoded = model.encode(conditions)
    exact, exact_other = (model.predict_at(x, 500, text, encoded).eps_BCHW for x in (z, other))
    for blocks in (1, 3, len(model.dynamic_network._way_up()))[: 3 if name == "shapes" else 2]:
        found = {}
        for path, sampled in paths(model, recorded).items():
            deep = deep_features(blocks)
            filling = sampled.predict_at(z, 500, text, encoded, deep=deep).eps_BCHW
            torch.testing.assert_close(filling, exact, atol=2e-5, rtol=1e-5, msg=path)
            kept = deep[0].h_BCHW.clone()
            found[path] = sampled.predict_at(other, 500, text, encoded, deep=deep).eps_BCHW
            same = sampled.predict_at(z, 500, text, encoded, deep=deep).eps_BCHW
            torch.testing.assert_close(same, exact, atol=2e-5, rtol=1e-5, msg=path)
            assert torch.equal(deep[0].h_BCHW, kept), "what is kept is not written to"
        torch.testing.assert_close(found["fast"], found["plain"], atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(found["graphs"], found["plain"], atol=2e-5, rtol=1e-5)
        assert (found["plain"] - exact_other).abs().max() > 1e-3, "it approximates"


def test_a_whole_rollout_agrees_to_1e_4(recorded):
    torch.manual_seed(0)
    model = randomised(MODELS["shapes"]())
    found = {
        path: latents(sampled, ReuseFeatures(every=3, blocks=3)) for path, sampled in paths(model, recorded).items()
    }
    scale = float(found["plain"].abs().max())
    for path in ("fast", "graphs"):
        torch.testing.assert_close(found[path], found["plain"], atol=1e-4 * scale, rtol=0, msg=path)


@torch.no_grad()
def test_the_deep_part_is_left_out():
    """Counted in calls of the modules: with the first level alone, no downsampling, no middle, no attention."""
    model = ArtVModel.from_config(preset="shapes").eval()
    z, text, conditions = inputs(model)
    encoded, deep, called = model.encode(conditions), deep_features(2), []
    for name, module in model.dynamic_network.unet.named_modules():
        if name.endswith(("mid_block.resnets.0", "downsamplers.0", "upsamplers.0")) or ".resnets." in name:
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    model.predict_at(z, 9, text, encoded, deep=deep)
    whole, called[:] = len({name for name in called if name.count(".") == 3}), []
    model.predict_at(z, 9, text, encoded, deep=deep)
    blocks = {name for name in called if name.count(".") == 3}
    assert whole > len(blocks) and blocks == {
        "down_blocks.0.resnets.0",
        "up_blocks.2.resnets.0",
        "up_blocks.2.resnets.1",
    }


@torch.no_grad()
def test_more_blocks_than_there_are():
    model = ArtVModel.from_config(preset="shapes").eval()
    z, text, conditions = inputs(model)
    for sampled in (model, InferenceModel(model)):
        with pytest.raises(UserError, match="this network has 6 on its way up"):
            sampled.predict_at(z, 9, text, model.encode(conditions), deep=deep_features(7))
    with pytest.raises(UserError, match="at least 1"):
        DeepFeatures(0)

"""Weights in eight bits: how far they can be off, and those that come with the package."""

import pytest
import torch
from safetensors.torch import load_file

from artv import ArtVPipeline, int8
from artv.presets import ASSETS, FIRST, LONG, long_seeds


def test_a_weight_is_off_by_half_a_step_of_its_row():
    weights = {"kernel": torch.randn(6, 3, 3, 3), "bias": torch.randn(6), "zero": torch.zeros(2, 4)}
    back = int8.restored(int8.rounded(weights))
    step = weights["kernel"].flatten(1).abs().amax(1) / 127
    off = (back["kernel"] - weights["kernel"]).flatten(1).abs().amax(1)
    # the scale itself has 11 bits, and the largest value 127 of them
    assert (off <= step * (0.5 + 127 * 2**-11)).all() and off.max() > 0
    assert torch.equal(back["bias"], weights["bias"].half().float()) and not back["zero"].any()
    assert {w.dtype for w in back.values()} == {torch.float32}


def test_what_was_rounded_once_stays(tmp_path):
    once = int8.restored(int8.rounded({"w": torch.randn(5, 7)}))
    int8.save(once, tmp_path)
    assert load_file(tmp_path / int8.FILE)["w"].dtype == torch.int8
    assert torch.allclose(int8.load(tmp_path)["w"], once["w"], rtol=1e-3)


def test_packaged_twins_of_long_clips_are_pairs_of_seeds():
    assert len(long_seeds()) >= 3
    for seed in long_seeds():
        pair = [ArtVPipeline.from_pretrained(f"{FIRST}:{LONG}-{seed}{end}") for end in ("", "-no-mask")]
        assert [pipe.model.sizes.mask is not None for pipe in pair] == [True, False]
        one, other = (pipe.model.state_dict() for pipe in pair)
        assert other.keys() < one.keys() and any(not torch.equal(one[name], other[name]) for name in other)


def test_all_packaged_models_are_below_30_megabytes():
    assert sum(path.stat().st_size for path in ASSETS.rglob("*.safetensors")) < 30e6


@pytest.mark.parametrize("name", ["shapes:long-9", "shapes:long"])
def test_a_pair_that_is_not_there_is_told(name):
    from artv.errors import UserError

    with pytest.raises(UserError, match="do not exist"):
        ArtVPipeline.from_pretrained(name)

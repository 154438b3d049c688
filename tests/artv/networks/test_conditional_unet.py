"""One network against diffusers' own walk through the same UNet, with its own support for T2I adapters."""

import pytest
import torch

from artv.config import NetworkConfig
from artv.networks import ConditionalUNet, deep_features
from artv.networks.crops import Crops

SIZES = NetworkConfig(
    channels=(8, 16, 16), heads=(2, 2, 2), attention=(True, True, False), layers=1, text_dim=12, out_channels=4,
    norm_groups=4,
)  # fmt: skip


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def network(anchor=True, **changes):
    torch.manual_seed(0)
    made = ConditionalUNet(SIZES.unet(), anchor=anchor, **changes).eval().requires_grad_(False)
    for block in made.anchor_blocks:  # which begin as the identity
        block.proj_out.weight.normal_(std=0.2)
    return made


@pytest.fixture(scope="module")
def whole():
    return network()


Z, TEXT, REFS, ANCHOR = random(2, 4, 16, 8), random(2, 5, 12), random(2, 2, 4, 16, 8), random(2, 4, 16, 8)
T, ONES = torch.tensor([3, 700]), torch.ones(2)


def encoded(made, keep_ref=ONES, keep_anchor=ONES, refs=REFS, anchor=ANCHOR):
    return made.encode(refs, made.anchor_features(anchor), keep_ref, keep_anchor)


def test_without_frames_it_is_the_unet(whole):
    expected = whole.unet(Z, T, TEXT).sample
    torch.testing.assert_close(whole(Z, T, TEXT), expected)
    assert expected.std() > 0.01


def test_references_enter_as_a_t2i_adapter_does(whole):
    """diffusers adds an adapter's features at the end of each down block: ``down_intrablock_additional_residuals``."""
    made = network(anchor=False)
    features = made.adapter(REFS.flatten(1, 2))  # oldest first
    expected = made.unet(Z, T, TEXT, down_intrablock_additional_residuals=[f.clone() for f in features]).sample
    torch.testing.assert_close(made(Z, T, TEXT, encoded(made)), expected)
    assert (expected - made.unet(Z, T, TEXT).sample).abs().max() > 1e-3
    assert not made.has_anchor and made.anchor_features(ANCHOR) == ()


def test_what_is_dropped_is_dropped_for_its_sample_alone(whole):
    kept = whole(Z, T, TEXT, encoded(whole))
    some = whole(Z, T, TEXT, encoded(whole, torch.tensor([1.0, 0.0]), ONES))
    torch.testing.assert_close(some[0], kept[0])
    assert (some[1] - kept[1]).abs().max() > 1e-3
    none = whole(Z, T, TEXT, encoded(whole, ONES * 0, ONES * 0))
    torch.testing.assert_close(none, whole.unet(Z, T, TEXT).sample)


def test_the_anchor_is_seen_by_the_same_adapter_in_the_place_of_all_references(whole):
    maps = whole.adapter(torch.cat([ANCHOR, ANCHOR], dim=1))
    levels = (0, 1, 2, 1, 1, 0, 0)
    expected = [block.keys_values(maps[k]) for block, k in zip(whole.anchor_blocks, levels, strict=True)]
    for ours, theirs in zip(whole.anchor_features(ANCHOR), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    other = whole(Z, T, TEXT, encoded(whole, anchor=ANCHOR.flip(0)))
    assert (other - whole(Z, T, TEXT, encoded(whole))).abs().max() > 1e-3


def test_sites_are_in_the_order_in_which_they_run(whole):
    ran = []
    handles = [
        site.register_forward_hook(lambda module, *_, i=i: ran.append(i))
        for i, (site, _) in enumerate(whole.attention_sites())
    ]
    whole(Z, T, TEXT)
    for handle in handles:
        handle.remove()
    assert ran == list(range(len(handles)))
    assert [level for _, level in whole.attention_sites()] == whole.site_levels == [0, 1, 2, 1, 1, 0, 0]


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_deep_features_of_the_same_input_change_nothing(whole, blocks):
    features, deep = encoded(whole), deep_features(blocks)[0]
    expected = whole(Z, T, TEXT, features)
    assert not deep.filled
    torch.testing.assert_close(whole(Z, T, TEXT, features, deep), expected)  # fills them
    assert deep.filled
    torch.testing.assert_close(whole(Z, T, TEXT, features, deep), expected)  # uses them


def test_rows_branches_and_crops_of_features(whole):
    features = encoded(whole, keep_anchor=torch.tensor([1.0, 0.0]))
    index = torch.tensor([1, 0, 1])
    picked = features.select(index, torch.tensor([1.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0]))
    assert picked.keep_anchor_B.tolist() == [0.0, 1.0, 0.0]
    for ours, theirs in zip(picked.refs, features.refs, strict=True):
        assert torch.equal(ours[0], theirs[1]) and not ours[1].any() and torch.equal(ours[2], theirs[1])
    assert all(torch.equal(k[1], theirs[0][0]) for (k, _), theirs in zip(picked.anchor, features.anchor, strict=True))
    rows = features.rows(index)
    assert torch.equal(rows.refs[0], features.refs[0][index]) and rows.keep_anchor_B.tolist() == [0.0, 1.0, 0.0]
    within = features.within(Crops(rows=(1,), corners=((8, 4),), size=(8, 4)))
    for level, (ours, theirs) in enumerate(zip(within.refs, features.refs, strict=True)):
        k = 2**level
        assert torch.equal(ours, theirs[1:, :, 8 // k :, 4 // k :])
    assert within.anchor[0][0].shape == features.anchor[0][0][1:].shape  # whole, from each crop

"""I3D against the public implementation, with the same random weights in both."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from artv.errors import UserError
from artv_eval.features.i3d import I3dFeatures, InceptionI3d, InceptionModule, i3d, max_pool_same, prepare, same_padding
from artv_eval.metrics.frechet import frechet_from_features


def randomised(network, seed=0):
    """Weights and running statistics that make every layer matter."""
    g = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=g)
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1, generator=g)
            module.running_var.uniform_(0.5, 1.5, generator=g)
            module.weight.data.uniform_(0.8, 1.2, generator=g)
            module.bias.data.normal_(0, 0.1, generator=g)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return randomised(InceptionI3d())


@pytest.mark.parametrize("n", [1, 5, 6, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_same_padding_gives_ceil_of_size_over_stride(n, kernel, stride):
    ((front, back),) = same_padding((n,), (kernel,), (stride,))
    assert back - front in (0, 1)
    assert (n + front + back - kernel) // stride + 1 == -(-n // stride)


def test_pooling_equals_a_loop_over_windows():
    x = torch.rand(1, 2, 3, 5, 6)
    out = max_pool_same(x, (1, 3, 3), (1, 2, 2))
    padded = F.pad(x, (0, 1, 1, 1))
    for i in range(3):
        for j in range(3):
            window = padded[:, :, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            torch.testing.assert_close(out[:, :, :, i, j], window.amax((3, 4)))


def test_parameters_have_the_public_names_and_shapes(network):
    state = network.state_dict()
    assert state["Conv3d_1a_7x7.conv3d.weight"].shape == (64, 3, 7, 7, 7)
    assert state["Mixed_3b.b0.conv3d.weight"].shape == (64, 192, 1, 1, 1)
    assert state["Mixed_5c.b2b.bn.running_var"].shape == (128,)
    assert state["logits.conv3d.bias"].shape == (400,)
    units = {"Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "logits"}
    mixed = {f"Mixed_{name}" for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")}
    assert {key.split(".")[0] for key in state} == units | mixed
    # 12,287,264 without the logits is what the paper's 12 M are
    assert sum(p.numel() for p in network.parameters()) == 12_287_264 + 1024 * 400 + 400


def test_equals_the_public_implementation_in_logits_and_in_fvd(network):
    public = pytest.importorskip("cdfvd.third_party.i3d.pytorch_i3d", reason="cd-fvd is not installed")
    helpers = pytest.importorskip("cdfvd.third_party.i3d.utils", reason="cd-fvd is not installed")
    other = public.InceptionI3d(400, in_channels=3)
    other.load_state_dict(network.state_dict())
    other.eval()
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (4, 9, 40, 48, 3)) // np.arange(1, 5)[:, None, None, None, None]
    clips = clips.astype(np.uint8)
    with torch.no_grad():
        expected = other(helpers.preprocess_i3d(clips))
        copy = InceptionI3d()
        copy.load_state_dict(network.state_dict())
        found = I3dFeatures(copy, "random")(torch.from_numpy(clips).permute(0, 1, 4, 2, 3))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert expected.std(0).mean() > 1e-3  # the clips do differ
    theirs = float(helpers.frechet_distance(expected[:2].double(), expected[2:].double()))
    assert frechet_from_features(found[:2].numpy(), found[2:].numpy()) == pytest.approx(theirs, rel=1e-3)


def test_folding_the_normalisation_changes_nothing():
    module = randomised(InceptionModule(12, (4, 5, 6, 3, 4, 2)))
    x = torch.rand(2, 12, 3, 7, 7)
    with torch.no_grad():
        before = module(x)
        for _ in range(2):  # twice is as good as once
            for unit in module.children():
                unit.fuse()
        torch.testing.assert_close(module(x), before, atol=1e-5, rtol=1e-5)
    assert before.shape == (2, 16, 3, 7, 7)


def test_logits_are_the_last_layer_over_the_pooled_features(network):
    x = torch.rand(1, 3, 9, 200, 200) * 2 - 1
    with torch.no_grad():
        logits, pooled = network(x), network.features(x)
        weight = network.logits.conv3d.weight.flatten(1)
        torch.testing.assert_close(logits, pooled @ weight.T + network.logits.conv3d.bias, atol=1e-5, rtol=1e-4)
    assert logits.shape == (1, 400) and pooled.shape == (1, 1024)


def test_too_few_frames_are_named(network):
    with pytest.raises(UserError, match="8 frames; I3D needs at least 9"):
        network(torch.zeros(1, 3, 8, 224, 224))


def test_preprocessing_maps_0_to_255_onto_minus_1_to_1():
    clip = torch.zeros(1, 2, 3, 8, 8, dtype=torch.uint8)
    clip[:, 1] = 255
    x = prepare(clip, 16, "bilinear")
    assert x.shape == (1, 2, 3, 16, 16)
    assert (x[:, 0] == -1).all() and torch.allclose(x[:, 1], torch.ones(()))


def test_factory_loads_a_file_and_its_digest_holds_every_choice(network, tmp_path):
    file = tmp_path / "i3d_pretrained_400.pt"
    torch.save(network.state_dict(), file)
    choices = [{}, {"layer": "pooled"}, {"size": 112}, {"filter": "area"}, {"precision": "tf32"}]
    extractors = [i3d(str(file), **choice) for choice in choices]
    assert [extractor.dim for extractor in extractors] == [400, 1024, 400, 400, 400]
    assert len({extractor.digest for extractor in extractors}) == len(choices)


def test_wrong_and_absent_files_are_named(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"no weights")
    with pytest.raises(UserError, match="does not hold I3D's weights"):
        i3d(str(tmp_path / "junk.pt"))
    with pytest.raises(UserError, match=r"does not exist; fetch it with"):
        i3d(str(tmp_path / "absent.pt"))
    with pytest.raises(UserError, match="must be logits or pooled"):
        I3dFeatures(InceptionI3d(), "x", layer="last")


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True)])
def test_convolutions_are_in_the_precision_that_the_digest_names(network, precision, allowed):
    copy = InceptionI3d()
    copy.load_state_dict(network.state_dict())
    extractor, seen = I3dFeatures(copy, "x", precision=precision, size=200), []
    copy.logits.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    extractor(torch.zeros(1, 9, 3, 8, 8, dtype=torch.uint8))
    assert seen == [allowed] and torch.backends.cudnn.allow_tf32 == before
    with pytest.raises(UserError, match="must be float32 or tf32"):
        I3dFeatures(InceptionI3d(), "x", precision="fp8")


def test_zeros_against_ones_gives_the_documented_value():
    """8 clips × 30 frames × 64²: 151.26 in common_metrics' README with the public weights."""
    try:
        extractor = i3d()
    except UserError as error:
        pytest.skip(str(error))
    zeros, ones = (torch.full((8, 30, 3, 64, 64), value, dtype=torch.uint8) for value in (0, 255))
    value = frechet_from_features(extractor(zeros).numpy(), extractor(ones).numpy())
    assert value == pytest.approx(151.26, rel=1e-2)

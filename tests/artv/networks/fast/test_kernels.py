"""The fused operations against PyTorch's in float64: on a GPU where there is one, else by Triton's interpreter."""

from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from tests.warm import interpreted

ON_GPU = torch.cuda.is_available()
pytest.importorskip("triton")


def run(code: str) -> None:
    interpreted(
        "import torch\nfrom tests.artv.networks.fast.test_kernels import *\nfrom artv.networks.fast import kernels\n"
        + code
    )


def maps(B: int, C: int, H: int, W: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(B, C, H, W) * 2 + 3
    return x.to("cuda" if ON_GPU else "cpu", dtype).contiguous(memory_format=torch.channels_last)


def vectors(C: int, like: torch.Tensor, count: int = 3) -> list[torch.Tensor]:
    return [torch.randn(C).to(like) for _ in range(count)]


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    tolerance = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 0.04}[actual.dtype]
    torch.testing.assert_close(actual.double(), expected, atol=tolerance, rtol=tolerance)


def check_group_norm(shape, groups, silu, shifted, joined, dtype, tile) -> None:
    """``joined``: channels that come from a second map. The last sample has another shift than those before it."""
    from artv.networks.fast import kernels

    kernels.maps._TILE = tile
    x = maps(*shape, dtype)
    weight, bias, *rows = vectors(shape[1], x, 4)
    shift = kernels.Shift(torch.stack(rows), first=shape[0] - 1) if shifted else None
    parts = [part.contiguous(memory_format=torch.channels_last) for part in x.split([shape[1] - joined, joined], 1)]
    y = kernels.maps._launch_group_norm(parts[0], parts[1] if joined else None, groups, weight, bias, 1e-5, silu, shift)
    expected = x.double()
    if shifted:
        expected[:-1] += rows[0].double().view(-1, 1, 1)
        expected[-1] += rows[1].double().view(-1, 1, 1)
        torch.testing.assert_close((x + shift.like(x)).double(), expected, atol=0.05, rtol=0.01)
    expected = F.group_norm(expected, groups, weight.double(), bias.double(), 1e-5)
    close(y, F.silu(expected) if silu else expected)
    assert y.is_contiguous(memory_format=torch.channels_last)


def check_layer_norm(shape, added, dtype) -> None:
    from artv.networks.fast import kernels

    torch.manual_seed(0)
    x, delta = (torch.randn(shape).to("cuda" if ON_GPU else "cpu", dtype) for _ in range(2))
    weight, bias, shift = vectors(shape[-1], x, 3)
    for more in (None, shift):
        before, extra = x.double(), 0 if more is None else more.double()
        y = kernels.tokens._launch_layer_norm(x, weight, bias, 1e-5, delta if added else None, more)
        total = before + delta.double() + extra if added else before
        close(x, total)
        # what is stored is rounded first, what only passes through is not
        seen = x.double() if added else total + extra
        close(y, F.layer_norm(seen, shape[-1:], weight.double(), bias.double(), 1e-5))
        if added:  # the sum into longer rows, the input left alone
            longer = torch.zeros(*shape[:-1], shape[-1] + 3).to(x)
            before = x.clone()
            kernels.add_layer_norm(x, delta, weight, bias, 1e-5, more, longer[..., 3:])
            close(longer[..., 3:], before.double() + delta.double() + extra)
            assert torch.equal(x, before) and not longer[..., :3].any()


def check_the_rest(dtype) -> None:
    from artv.networks.fast import kernels

    for C in (6, 80):
        x, y = maps(3, C, 5, 7, dtype), maps(3, C, 5, 7, dtype)
        shift = kernels.Shift(torch.stack(vectors(C, x, 2)), first=2)
        expected = x.double() + y.double() + shift.like(x).double()
        kernels.maps._launch_add_shifted(x, y, shift)
        close(x, expected)
        expected = x.double() + shift.values[0].double().view(1, -1, 1, 1)
        close(kernels.maps._launch_add_shifted(x, None, kernels.Shift.same(shift.values[0])), expected)
        expected = F.pad(y.double() + x.double() + shift.like(x).double(), (0, 1, 0, 1))
        padded = kernels.maps._launch_add_padded(y, x, shift)
        close(padded, expected)
        assert padded.is_contiguous(memory_format=torch.channels_last) and not padded[:, :, -1].any()
        assert torch.equal(kernels.maps._launch_upsample(y), F.interpolate(y, scale_factor=2.0, mode="nearest"))
    for width in (40, 96, 320):
        tokens, out = torch.randn(18, 2 * width).to(x), torch.zeros(18, width + 8).to(x)
        value, gate = tokens.double().chunk(2, -1)
        kernels.tokens._launch_geglu(tokens, out[:, 8:])
        close(out[:, 8:], value * F.gelu(gate))
        assert not out[:, :8].any()


def check_linear_geglu(rows) -> None:
    """A last tile that is not full, and more than one band of tiles."""
    from artv.networks.fast import kernels

    torch.manual_seed(0)
    x = torch.randn(rows, 64).to("cuda" if ON_GPU else "cpu", torch.float16)
    weight, bias = torch.randn(256, 64).to(x) / 8, torch.randn(256).to(x)
    value, gate = F.linear(x.double(), weight.double(), bias.double()).chunk(2, -1)
    outs = torch.zeros(2, rows, 192).to(x)
    kernels.tokens._launch_linear_geglu(x, weight, bias, outs[0, :, 64:])
    torch.testing.assert_close(outs[0, :, 64:].double(), value * F.gelu(gate), atol=5e-3, rtol=5e-3)
    assert not outs[0, :, :64].any()
    kernels.linear_geglu(x, weight, bias, outs[1, :, 64:])
    assert kernels.tokens._multiplies(x, weight) and torch.equal(outs[0], outs[1])


def check_patches(shape, groups, joined, dtype) -> None:
    """Patches times a weight are a convolution, of the map, of its norm, and of a part of it or its double."""
    from artv.networks.fast import kernels

    kernels.maps._TILE = 32768
    x = maps(*shape, dtype)
    weight, bias, shift = vectors(shape[1], x, 3)
    kernel = torch.randn(8, shape[1], 3, 3).to(x).contiguous(memory_format=torch.channels_last)
    matrix = kernel.permute(0, 2, 3, 1).reshape(8, -1).double()

    def convolved(patches, like):
        return F.linear(patches.double(), matrix).view(len(x), *like.shape[2:], 8).permute(0, 3, 1, 2)

    for stride, times in ((1, 1), (2, 1), (1, 2)):
        larger = F.interpolate(x.double(), scale_factor=float(times), mode="nearest")
        expected = F.conv2d(larger, kernel.double(), stride=stride, padding=1)
        for patches in (kernels.maps._launch_patches(x, stride, times), kernels.patches(x, stride, times)):
            torch.testing.assert_close(convolved(patches, expected), expected)
    parts = [part.contiguous(memory_format=torch.channels_last) for part in x.split([shape[1] - joined, joined], 1)]
    given = {"shift": kernels.Shift.same(shift), "skip_BCHW": parts[1] if joined else None}
    y = kernels.group_norm(parts[0], groups, weight, bias, 1e-5, silu=True, **given)
    expected = F.conv2d(y.double(), kernel.double(), padding=1)
    for tile in (16384, 1):  # a group in one program, or in kernels of their own
        kernels.maps._PATCHES_TILE = tile
        patches = kernels.norm_patches(parts[0], groups, weight, bias, 1e-5, **given)
        torch.testing.assert_close(convolved(patches, expected), expected)


def check_attention(tokens, keys, dtype) -> None:
    """Queries that are a view of something wider, as self-attention has them."""
    from artv.networks.fast import kernels

    torch.manual_seed(0)
    heads, width = 2, 32
    wide = torch.randn(2, tokens, 3 * heads * width).to("cuda" if ON_GPU else "cpu", dtype)
    q = wide.chunk(3, -1)[1].view(2, tokens, heads, width).transpose(1, 2)
    k, v = (torch.randn(2, heads, keys, width).to(q) for _ in range(2))
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double()).transpose(1, 2).flatten(2)
    assert kernels.tokens._attends(q, k, v)
    for actual in (kernels.attention(q, k, v), kernels.tokens._launch_attention(q, k, v)):
        assert actual.dtype == dtype and (actual.double() - expected).norm() < 0.01 * expected.norm()


def check_measured(shape, dtype) -> None:
    """A sum's moments by chunk, of which the last is not full, and the norm that takes them, here of a large mean."""
    from artv.networks.fast import kernels

    kernels.maps._TILE, kernels.maps._PROGRAMS = 16, 12
    x, y = (maps(*shape, dtype) for _ in range(2))
    x += 40
    shift, norm = kernels.Shift(torch.stack(vectors(shape[1], x, 2)), first=1), vectors(shape[1], x, 2)
    expected = x.double() + y.double() + shift.like(x).double()
    total, (means, squares, rows) = kernels.maps._launch_add_measured(x, y, shift)
    close(total, expected)
    parts = [part.flatten(2) for part in total.double().flatten(2).split(rows, dim=2)]
    assert len(parts) == means.shape[1] > 1 and parts[-1].shape[2] < rows
    for k, part in enumerate(parts):
        torch.testing.assert_close(means[:, k].double(), part.mean(2), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            squares[:, k].double(), part.var(2, correction=0) * part.shape[2], rtol=1e-3, atol=1e-3
        )
    given = kernels.group_norm(total, 2, *norm, 1e-5, shift=shift, moments=kernels.Moments(means, squares, rows))
    own = kernels.group_norm(total, 2, *norm, 1e-5, shift=shift)
    torch.testing.assert_close(given, own, rtol=2e-3, atol=2e-3)


def check_softmax(columns, dtype) -> None:
    """Rows that are no power of two, and differences that leave all but one weight without digits."""
    from artv.networks.fast import kernels

    torch.manual_seed(0)
    x = (torch.randn(2, 3, columns) * torch.tensor([[1.0], [30.0], [3e4]])).to("cuda" if ON_GPU else "cpu")
    close(kernels.tokens._launch_softmax(x, 0.2, dtype), (x.double() * 0.2).softmax(-1))


def check_frames(shape, channels, dtype) -> None:
    """Lines of one program and of several, of which the last is not full."""
    from artv.networks.fast import kernels

    torch.manual_seed(0)
    frames = torch.randint(256, shape, dtype=torch.uint8).to("cuda" if ON_GPU else "cpu")
    weight = (torch.randn(channels, 3, 3, 3) / 5).to(frames.device, dtype).contiguous(memory_format=torch.channels_last)
    units = (frames.double() / 127.5 - 1).to(dtype).double()
    found = kernels.frames._launch_convolve_frames(frames, weight)
    close(found, F.conv2d(units, weight.double(), padding=1))
    assert found.is_contiguous(memory_format=torch.channels_last)


def check_encoder(height, width) -> None:
    """All kernels together, of maps that are halved to odd sizes, against diffusers' encoder in float32."""
    from artv.autoencoder import encode_frames
    from artv.networks.fast.encoder import InferenceEncoder
    from tests.artv.networks.fast.test_encoder import autoencoder, frames

    small, given = autoencoder(), frames(2, height, width)
    exact = encode_frames(small, given)
    device = "cuda" if ON_GPU else "cpu"
    found = InferenceEncoder(small.to(device), torch.float16)(given.to(device)).cpu()
    assert found.shape == exact.shape and (found - exact).std() < 4 * 2**-10 * exact.std()


def small():
    """Two levels, one without attention: as few kernels as will do, because the interpreter is slow."""
    from artv.config import ModelConfig, NetworkConfig

    common = {"heads": (1, 1), "attention": (True, False), "layers": 1, "text_dim": 24}
    common |= {"norm_groups": 4, "sample_size": 8}
    return ModelConfig(
        dynamic=NetworkConfig(channels=(16, 32), out_channels=4, **common),
        mask=NetworkConfig(channels=(8, 8), out_channels=1, **common),
    )


def check_network(copies, keep_ref, keep_anchor) -> None:
    """All kernels together: the fused inference networks against the model itself."""
    from artv.networks import ArtVModel, Conditions, InferenceModel
    from tests.artv.networks.fast.test_model import randomised

    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model = randomised(ArtVModel.from_config(small())).to("cuda" if ON_GPU else "cpu")
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks:
            torch.nn.init.normal_(block.proj_out.bias)
    N = len(keep_ref)
    f, text = torch.randn(N, 5, 4, 8, 8), torch.randn(N, 9, model.sizes.dynamic.text_dim)
    if copies == N:
        f[:, 4] = f[:1, 4]
    keep = torch.tensor(keep_ref).float(), torch.tensor(keep_anchor).float()
    given = [t.to(model.device) for t in (f[:, :2], f[:, 2], f[:, 3], *keep, text)]
    conditions, z = Conditions(*given), f[:, 4].to(model.device)
    with torch.no_grad():
        encoded = model.encode(conditions)
        expected = model.predict_at(z, 700, given[-1], encoded)
        actual = InferenceModel(model, graphs=False).predict_at(z, 700, given[-1], encoded, copies=copies)
    torch.testing.assert_close(actual.eps_BCHW, expected.eps_BCHW, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(actual.mask_B1HW, expected.mask_B1HW, atol=1e-4, rtol=1e-4)


def test_fused_operations():
    """Groups of one tile and of several, odd widths, all options. One process for all, because it starts slowly."""
    run(
        "for dtype in (torch.float32, torch.bfloat16):\n"
        "    for tile in (32768, 16):\n"
        "        check_group_norm((3, 12, 5, 7), 4, True, True, 5, dtype, tile)\n"
        "        check_group_norm((1, 20, 9, 9), 2, False, False, 0, dtype, tile)\n"
        "        check_group_norm((3, 8, 1, 1), 2, True, True, 0, dtype, tile)\n"
        "    check_group_norm((1, 40, 24, 20), 8, True, True, 8, dtype, 64)\n"
        "    for shape in ((2, 7, 24), (1, 3, 320), (2, 5, 1280)):\n"
        "        for added in (True, False):\n"
        "            check_layer_norm(shape, added, dtype)\n"
        "    check_the_rest(dtype)\n"
        "    check_patches((2, 12, 5, 6), 4, 5, dtype)\n"
        "    check_patches((1, 8, 3, 1), 2, 0, dtype)\n"
        "check_linear_geglu(70)\ncheck_linear_geglu(550)\n"
        "for tokens, keys in ((70, 70), (100, 77), (64, 128), (9, 192)):\n"
        # the interpreter has no products of bfloat16
        "    check_attention(tokens, keys, torch.bfloat16 if ON_GPU else torch.float16)\n"
    )


def test_fused_encoder():
    """What only the encoder of frames needs, and the encoder."""
    run(
        "for dtype in (torch.float16, torch.bfloat16):\n"
        "    for columns in (1, 77, 130):\n"
        "        check_softmax(columns, dtype)\n"
        "check_frames((2, 3, 5, 70), 32, torch.float16)\n"
        "check_frames((1, 3, 2, 9), 16, torch.float16)\n"
        "for dtype in (torch.float32, torch.float16):\n"
        "    check_measured((2, 8, 15, 11), dtype)\n"
        "check_encoder(12, 20)\n"  # its norms, by the tile of that check, in several kernels
    )


@pytest.mark.skipif(not ON_GPU, reason="needs a GPU")
@pytest.mark.parametrize("at_once", [1, 2, 3, 0])
def test_attention_of_a_wide_head(monkeypatch, at_once):
    """Samples at once; with none PyTorch's own. Queries and keys are parts of something wider."""
    from artv.networks.fast import kernels

    monkeypatch.setattr(kernels.tokens, "_SCORES", max(at_once, 0.5) * 70 * 70)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 70, 3, 1, 512, device="cuda").half().transpose(1, 3).unbind(2)
    assert kernels.tokens._is_wide(q, k) is bool(at_once)
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double()).transpose(1, 2).flatten(2)
    found = kernels.attention(q, k, v)
    assert found.shape == (3, 70, 512) and (found.double() - expected).norm() < 2**-10 * expected.norm()


def test_fused_networks():
    """Guidance branches of one latent, rows of their own, and anchors that are dropped out of order."""
    run("check_network(3, [1, 1, 0], [1, 1, 0])\ncheck_network(1, [0, 1, 1], [0, 1, 1])\n")


def test_fused_networks_with_products_for_convolutions():
    """Their convolutions as products of patches."""
    run("kernels.maps._MANY_CHANNELS = 24\ncheck_network(2, [1, 0], [1, 0])\n")


HALVES, FLOATS, WHOLE = "*fp16", "*fp32", "i32"
COMPILED = {
    "triton_maps.add_measured_kernel": (
        [HALVES] * 4 + [WHOLE] + [FLOATS] * 2 + [WHOLE] * 3, {"ROWS": 32, "COLUMNS": 128}
    ),
    "triton_maps.channel_moments_kernel": (
        [HALVES] * 2 + [FLOATS] * 2 + [WHOLE] * 4, {"ROWS": 32, "COLUMNS": 64, "JOINED": True}
    ),
    "triton_maps.add_padded_kernel": ([HALVES] * 4 + [WHOLE] * 4, {"ROWS": 32, "COLUMNS": 128}),
    "triton_tokens.softmax_kernel": ([FLOATS, HALVES, WHOLE, "fp32"], {"COLUMNS": 2048}),
    "triton_frames.convolve_frames_kernel": (["*u8", HALVES, HALVES, WHOLE, WHOLE], {"ROWS": 64, "COLUMNS": 128}),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_kernels_compile_for_a_gpu(name):
    """The interpreter is Python, which lets a name change its shape from one round of a loop to the next."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module, _, kernel = name.partition(".")
    function = getattr(import_module(f"artv.networks.fast.kernels.{module}"), kernel)
    types, constants = COMPILED[name]
    names = [*function.arg_names]
    signature = dict(zip(names, types, strict=False)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(function, signature, {(names.index(key),): value for key, value in constants.items()})
    assert function.__name__ in triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]

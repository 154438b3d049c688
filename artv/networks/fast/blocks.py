"""The parts of an :class:`~artv.networks.fast.networks.InferenceNetwork`: layers, residual blocks, attention sites.

They hold tensors, not modules: looking up a module's attribute takes as long as a small operation.

Where a bias is added, and why the result is the same. A product that also adds a bias takes up to twice as long as one
that does not, so with fused kernels products are ``bare`` and each bias joins an addition that happens anyway. The
invariant is: *the map or the tokens in memory differ from the network's own by a known constant a channel, and whoever
reads them adds it, or takes it off, first.*

    ahead   A text block adds b = W_out·b_down + b_out to its map x, its own last biases seen through proj_out, and the
            anchor block behind it b'. The residual block before makes x = h + shortcut and adds its own biases in that
            sum (``add_shifted``); there b, or b + b', is added along, so memory holds x + b. The site's first norm then
            takes b off: norm(x + b − b) = norm(x). Its residual r goes onto memory, (x + b) + r, which is the network's
            x + (r + b). The anchor block finds x + b + r + b' and takes off b' alone. Rows without an anchor get b
            only: ``added`` has both sums, and the first ``first`` rows take the first of them.
    late    Inside a block, tokens h are a bare product, so memory holds h − β. The norm that reads them next adds β as
            its ``shift``: norm((h − β) + β). Where it also adds a residual to the tokens it writes the sum back, with
            the β of both products in one (``bias_of``): from there on memory is exact again.
    time    conv1's bias and the time embedding are both a constant a channel after conv1, so they are one bias.

Sums of biases are taken in float32 and rounded once. Without fused kernels nothing is moved: ``taken_off`` and ``late``
are not used, and every product adds its own bias.

Shape suffixes: B batch, C channels, H W feature size, N = H·W tokens, M = B·N, L text tokens, D text width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.conditional_unet import KeysValues
from artv.networks.fast.kernels import (
    Moments,
    Shift,
    add_bias,
    add_layer_norm,
    add_shifted,
    attention,
    fuses,
    group_norm,
    layer_norm,
    linear_geglu,
    norm_patches,
    patches,
    patches_product,
    upsample,
)


def repeated(x: Tensor, copies: int) -> Tensor:
    """The rows so many times, one after the other; the layout stays."""
    return x if copies == 1 else torch.cat([x] * copies)


class Conv:
    """A convolution with channels-last weights."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.padding = layer.bias.detach(), layer.stride, layer.padding
        self.matrix = self.weight.permute(0, 2, 3, 1).flatten(1)  # the same memory

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        if fuses(x):
            return add_bias(self.without_bias(x), self.bias if bias is None else bias)
        return torch.conv2d(x, self.weight, self.bias if bias is None else bias, self.stride, self.padding)

    def without_bias(self, x: Tensor) -> Tensor:
        """For a caller that adds it together with something else."""
        return torch.conv2d(x, self.weight, None, self.stride, self.padding)

    def of_patches(self, patches_MC: Tensor, B: int, H: int, W: int) -> Tensor:
        """Without the bias, from all patches of a map, which become (B, C, H, W)."""
        return F.linear(patches_MC, self.matrix).view(B, H, W, -1).permute(0, 3, 1, 2)

    def of_norm(self, norm: "GroupNorm", x: Tensor, shift: Shift | None = None, skip: Tensor | None = None) -> Tensor:
        """Without the bias, of the SiLU of the norm of (x, skip) + shift; the map keeps its size."""
        if patches_product(x, skip_channels=0 if skip is None else skip.shape[1]):
            return self.of_patches(norm.patches(x, shift, skip), len(x), *x.shape[2:])
        return self.without_bias(norm.silu(x, shift, skip))


class Resize:
    """A convolution that halves a map, or that follows its doubling."""

    def __init__(self, layer: Any, *, doubles: bool = False) -> None:
        self.conv, self.times = Conv(layer), 2 if doubles else 1
        self.stride = layer.stride[0]

    def __call__(self, x: Tensor) -> Tensor:
        B, _, H, W = x.shape
        if patches_product(x, upsampled=self.times > 1):
            H, W = -(-H * self.times // self.stride), -(-W * self.times // self.stride)
            y = self.conv.of_patches(patches(x, self.stride, self.times), B, H, W)
            return add_bias(y, self.conv.bias)
        return self.conv(upsample(x) if self.times > 1 else x)


class Linear:
    def __init__(self, *layers: Any) -> None:
        """Several layers of one input become one product."""
        self.weight = layers[0].weight.detach() if len(layers) == 1 else torch.cat([x.weight for x in layers]).detach()
        self.bias = None if layers[0].bias is None else torch.cat([x.bias for x in layers]).detach()

    def __call__(self, x: Tensor, bare: bool = False) -> Tensor:
        """``bare``: without the bias, for a caller that adds it later."""
        return F.linear(x, self.weight, None if bare else self.bias)


def bias_of(*layers: Any) -> Tensor:
    """The sum of the layers' biases, in float32 until the end."""
    return torch.stack([layer.bias.detach() for layer in layers]).float().sum(0).to(layers[0].bias.dtype)


class GroupNorm:
    def __init__(self, norm: Any) -> None:
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()

    def __call__(self, x: Tensor, shift: Shift | None = None, moments: Moments | None = None) -> Tensor:
        """The norm of x + shift. ``moments``: of ``x``, where they are known."""
        return group_norm(x, self.groups, self.weight, self.bias, self.eps, shift=shift, moments=moments)

    def patches(self, x: Tensor, shift: Shift | None = None, skip: Tensor | None = None) -> Tensor:
        """All patches of :meth:`silu`."""
        return norm_patches(x, self.groups, self.weight, self.bias, self.eps, shift=shift, skip_BCHW=skip)

    def silu(
        self,
        x: Tensor,
        shift: Shift | None = None,
        skip: Tensor | None = None,
        moments: Moments | None = None,
    ) -> Tensor:
        """The norm of (x, skip) + shift, then SiLU."""
        norm = self.groups, self.weight, self.bias, self.eps
        return group_norm(x, *norm, silu=True, shift=shift, skip_BCHW=skip, moments=moments)


class LayerNorm:
    def __init__(self, norm: Any) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps

    def __call__(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """The norm of x + shift."""
        return layer_norm(x, self.weight, self.bias, self.eps, shift)

    def of_sum(
        self, x: Tensor, delta: Tensor, shift: Tensor | None, out: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(x + delta + shift, its norm). The sum goes to ``out``, or else ``x`` is changed."""
        return add_layer_norm(x, delta, self.weight, self.bias, self.eps, shift, out)


class Pointwise:
    """A 1×1 convolution, also of two maps whose channels follow each other, as matrix products without a bias."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().flatten(1)

    def __call__(self, x_BCHW: Tensor, skip_BCHW: Tensor | None) -> Tensor:
        B, C, H, W = x_BCHW.shape
        y_MC = F.linear(flat(x_BCHW), self.weight[:, :C])
        if skip_BCHW is not None:
            y_MC.addmm_(flat(skip_BCHW), self.weight[:, C:].t())
        return y_MC.view(B, H, W, -1).permute(0, 3, 1, 2)


def flat(x_BCHW: Tensor) -> Tensor:
    """(B·H·W, C), the same memory where the map is channels-last."""
    return x_BCHW.permute(0, 2, 3, 1).reshape(-1, x_BCHW.shape[1])


class Ahead:
    """The biases of a text block and of its anchor block, added before the blocks run (see the module's text).

    ``added`` (2, C): for the first rows both, for the others, which have no anchor, the text block's only. Making one
    tells both blocks what they must take off: what the map holds that is not theirs yet.
    """

    def __init__(self, site: "TextBlock", anchor: "AnchorBlock | None") -> None:
        both = site.bias if anchor is None else site.bias + anchor.bias
        self.added = torch.stack([both, site.bias])
        site.taken_off = -self.added
        if anchor is not None:
            anchor.taken_off = -anchor.bias[None]


class Resnet:
    """diffusers' ``ResnetBlock2D``. Where kernels are fused, what is ``ahead`` is added to its result."""

    def __init__(self, block: Any, ahead: Ahead | None) -> None:
        self.norm1, self.norm2 = GroupNorm(block.norm1), GroupNorm(block.norm2)
        self.conv1, self.conv2, self.time = Conv(block.conv1), Conv(block.conv2), Linear(block.time_emb_proj)
        self.shortcut = None if block.conv_shortcut is None else Conv(block.conv_shortcut)
        self.pointwise = None if block.conv_shortcut is None else Pointwise(block.conv_shortcut)
        # the biases of both convolutions whose results are added
        bias = self.conv2.bias if self.shortcut is None else self.conv2.bias + self.shortcut.bias
        self.shifts = bias[None].repeat(2, 1) if ahead is None else bias + ahead.added

    def time_bias(self, embedding: Tensor) -> Tensor:
        """The first convolution's bias with the time embedding added."""
        return self.conv1.bias + self.time(embedding)

    def __call__(self, x: Tensor, bias: Tensor, skip: Tensor | None = None, *, first: int = 0) -> Tensor:
        """The block of (x, skip), with the time in ``bias``. ``first``: see :class:`Frozen`, ``folded``."""
        if fuses(x):
            h = self.conv1.of_norm(self.norm1, x, skip=skip)
            h = self.conv2.of_norm(self.norm2, h, Shift.same(bias))
            x = x if self.pointwise is None else self.pointwise(x, skip)
            return add_shifted(h, x, Shift(self.shifts, first))
        x = x if skip is None else torch.cat([x, skip], dim=1)
        h = self.conv2(self.norm2.silu(self.conv1(self.norm1.silu(x), bias)))
        return h.add_(x if self.shortcut is None else self.shortcut(x))


class Site:
    """What both kinds of attention block begin and end with. Tokens are a view of channels-last maps.

    ``taken_off``: what was added ahead to the maps that come here, negated; set by :class:`Ahead`. ``late``: sums
    of linear layers' biases that, where kernels are fused, a norm adds: products with a bias take up to twice as long.
    """

    taken_off: Tensor
    late: tuple[Tensor, ...]

    def __init__(self, module: Any, heads: int, feed_forward: Any, norm: Any) -> None:
        self.norm, self.proj_in, self.heads = GroupNorm(module.norm), Linear(module.proj_in), heads
        self.norm_ff, up = LayerNorm(norm), feed_forward.net[0].proj
        self.up_weight, self.up_bias = up.weight.detach(), up.bias.detach()
        down, out = feed_forward.net[2], module.proj_out
        # proj_out of (h, and down's product): one matrix for both, and down's bias seen through proj_out
        outer, inner = out.weight.detach().double(), down.weight.detach().double()
        self.out_CE = torch.cat([outer, outer @ inner], dim=1).to(out.weight)
        self.bias = (out.bias + F.linear(down.bias.float(), out.weight.float()).to(out.bias)).detach()

    def tokens(self, x_BCHW: Tensor, shift: Shift | None, bare: bool) -> Tensor:
        B, C, H, W = x_BCHW.shape
        return self.proj_in(self.norm(x_BCHW, shift).permute(0, 2, 3, 1).reshape(B, H * W, C), bare)

    def split(self, x_BNC: Tensor) -> Tensor:
        """(B, heads, N, head width)."""
        B, N, C = x_BNC.shape
        return x_BNC.view(B, N, self.heads, C // self.heads).transpose(1, 2)

    def feed_forward(self, h_BNC: Tensor, delta_BNC: Tensor, shift_C: Tensor | None) -> Tensor:
        """The sum h + delta + shift and, behind it, the feed-forward's hidden values; (B·N, C + hidden)."""
        B, N, C = h_BNC.shape
        joint_BNE = h_BNC.new_empty(B, N, self.out_CE.shape[1])
        _, normed = self.norm_ff.of_sum(h_BNC, delta_BNC, shift_C, joint_BNE[..., :C])
        joint_ME = joint_BNE.flatten(0, 1)
        linear_geglu(normed.flatten(0, 1), self.up_weight, self.up_bias, joint_ME[:, C:])
        return joint_ME

    def add_to(self, x_BCHW: Tensor, joint_ME: Tensor) -> Tensor:
        """The map with the block's residual, but not its bias: in place."""
        flat(x_BCHW).addmm_(joint_ME, self.out_CE.t())
        return x_BCHW

    def residual(self, joint_ME: Tensor, x_BCHW: Tensor) -> Tensor:
        """The block's residual, bias included, as a map like ``x``."""
        B, C, H, W = x_BCHW.shape
        return F.linear(joint_ME, self.out_CE, self.bias).view(B, H, W, C).permute(0, 3, 1, 2)


class TextBlock(Site):
    """A ``Transformer2DModel`` with linear projections and one ``BasicTransformerBlock``."""

    def __init__(self, module: Any) -> None:
        (block,) = module.transformer_blocks
        own, text = block.attn1, block.attn2
        super().__init__(module, own.heads, block.ff, block.norm3)
        self.norm1, self.norm2 = LayerNorm(block.norm1), LayerNorm(block.norm2)
        self.qkv, self.out = Linear(own.to_q, own.to_k, own.to_v), Linear(own.to_out[0])
        self.text_q, self.text_kv, self.text_out = (
            Linear(text.to_q),
            Linear(text.to_k, text.to_v),
            Linear(text.to_out[0]),
        )
        self.late = (
            bias_of(module.proj_in),
            bias_of(module.proj_in, own.to_out[0]),
            bias_of(text.to_out[0]),
        )

    def keys_values(self, text_BLD: Tensor) -> KeysValues:
        k, v = self.text_kv(text_BLD).chunk(2, dim=-1)
        return self.split(k.contiguous()), self.split(v.contiguous())

    def __call__(self, x_BCHW: Tensor, text: KeysValues, first: int, copies: int) -> Tensor:
        """``copies``: the rows of the text are so many times those of ``x``. Changes ``x``."""
        fused = fuses(x_BCHW)
        late: tuple[Tensor | None, ...] = self.late if fused else (None, None, None)
        h = self.tokens(x_BCHW, Shift(self.taken_off, first) if fused else None, fused)
        q, k, v = self.qkv(self.norm1(h, late[0])).chunk(3, dim=-1)
        own = self.out(attention(self.split(q), self.split(k), self.split(v)), fused)
        h, normed = self.norm2.of_sum(h, own, late[1])
        x_BCHW, h, normed = (repeated(each, copies) for each in (x_BCHW, h, normed))
        from_text = self.text_out(attention(self.split(self.text_q(normed)), *text), fused)
        joint_ME = self.feed_forward(h, from_text, late[2])
        return self.add_to(x_BCHW, joint_ME) if fused else x_BCHW.add_(self.residual(joint_ME, x_BCHW))


class AnchorBlock(Site):
    """:class:`~artv.networks.anchor_block.AnchorBlock`."""

    def __init__(self, block: Any) -> None:
        heads = block.to_q.out_features // block.head_dim
        super().__init__(block, heads, block.feed_forward, block.norm_feed_forward)
        self.norm_q, self.q, self.out = LayerNorm(block.norm_attention), Linear(block.to_q), Linear(block.to_out)
        self.late = bias_of(block.proj_in), bias_of(block.proj_in, block.to_out)

    def __call__(self, x_BCHW: Tensor, anchor: KeysValues, rows: int, keep_B: Tensor | None, first: int) -> Tensor:
        """Adds the residual to the first ``rows`` rows of ``x``. ``first``: 0 where no bias is in ``x`` yet."""
        own_BCHW = x_BCHW[:rows]
        fused = fuses(own_BCHW)
        ahead = first > 0 and fused
        late: tuple[Tensor | None, ...] = self.late if fused else (None, None)
        h = self.tokens(own_BCHW, Shift.same(self.taken_off) if ahead else None, fused)
        seen = attention(self.split(self.q(self.norm_q(h, late[0]))), *anchor)
        joint_ME = self.feed_forward(h, self.out(seen, fused), late[1])
        if ahead:
            self.add_to(own_BCHW, joint_ME)
        else:
            residual = self.residual(joint_ME, own_BCHW)
            own_BCHW += residual if keep_B is None else residual * keep_B.to(residual.dtype).view(-1, 1, 1, 1)
        return x_BCHW

"""The block that lets every attention site of a UNet look at the anchor frame.

The supplementary does not describe it, but Table 1's parameter counts and Table 2's FLOPs fix it: one transformer
block a site, whose attention takes keys and values from features as wide as the site itself (18·c² parameters).

Shape suffixes: B batch, C channels, H W feature size, N = H·W query positions, M anchor positions.
"""

import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from torch import Tensor, nn


class AnchorBlock(nn.Module):
    """Cross-attention from a feature map to the anchor's features, then a GEGLU feed-forward, as one residual.

    ``proj_out`` starts at zero, so a new block is the identity and a pretrained UNet is left as it was.

    Args:
        channels: width of the site, and of the anchor features that it attends to.
        head_dim: width of one attention head; must divide ``channels``.
        norm_groups: groups of the entry normalisation.
    """

    def __init__(self, channels: int, head_dim: int, norm_groups: int = 32) -> None:
        super().__init__()
        if channels % head_dim:
            raise ValueError(f"channels {channels} is not a multiple of head_dim {head_dim}")
        self.head_dim = head_dim
        self.norm = nn.GroupNorm(norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.norm_attention = nn.LayerNorm(channels)
        self.norm_anchor = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.norm_feed_forward = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, activation_fn="geglu")
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def keys_values(self, anchor_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (B, heads, M, head_dim). They depend on the anchor alone: compute them once a clip."""
        anchor_BMC = self.norm_anchor(anchor_BCHW.flatten(2).transpose(1, 2))
        return self._heads(self.to_k(anchor_BMC)), self._heads(self.to_v(anchor_BMC))

    def forward(self, x_BCHW: Tensor, keys_values: tuple[Tensor, Tensor], keep_B: Tensor) -> Tensor:
        """Returns x plus the block's residual; samples whose ``keep_B`` is 0 come back unchanged."""
        B, C, H, W = x_BCHW.shape
        h_BNC = self.proj_in(self.norm(x_BCHW).permute(0, 2, 3, 1).reshape(B, H * W, C))
        q = self._heads(self.to_q(self.norm_attention(h_BNC)))
        attended = F.scaled_dot_product_attention(q, *keys_values)
        h_BNC = h_BNC + self.to_out(attended.transpose(1, 2).reshape(B, H * W, C))
        h_BNC = h_BNC + self.feed_forward(self.norm_feed_forward(h_BNC))
        residual_BNC = self.proj_out(h_BNC) * keep_B.to(h_BNC.dtype).view(B, 1, 1)
        return x_BCHW + residual_BNC.reshape(B, H, W, C).permute(0, 3, 1, 2)

    def _heads(self, x_BNC: Tensor) -> Tensor:
        return x_BNC.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

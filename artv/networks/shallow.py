"""The shallow part of an :class:`~artv.networks.inference.InferenceNetwork`, where deep features are kept.

Shape suffixes: B batch, C channels, H W feature size.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.conditional_unet import KeysValues
from artv.networks.deep_features import DeepFeatures

if TYPE_CHECKING:
    from artv.networks.inference import Frozen, InferenceNetwork


def shallow(
    network: InferenceNetwork,
    z_BCHW: Tensor,
    time: Tensor,
    text: list[KeysValues],
    features: Frozen,
    deep: DeepFeatures,
) -> Tensor:
    """What ``network`` gives for these arguments, its deep features taken from ``deep``, which is filled."""
    assert deep.h_BCHW is not None
    downs, ups = _parts(network)
    biases = time.split(network.time_widths)

    def attend(site: int | None, h: Tensor) -> Tensor:
        if site is None:
            return h
        h = network.sites[site](h, text[site])
        if not features.anchor or not features.anchored:
            return h
        return network.anchor_blocks[site](h, features.anchor[site], features.anchored, features.keep_anchor_B)

    h = network.conv_in(z_BCHW.contiguous(memory_format=torch.channels_last))
    skips = [h]
    for part, bias, site, level in downs[: deep.blocks - 1]:
        h = attend(site, part(h) if bias is None else part(h, biases[bias]))
        h = h if level is None else h + features.refs[level]
        skips.append(h)

    h = deep.h_BCHW
    for resnet, bias, site, upsample in ups[-deep.blocks :]:
        h = attend(site, resnet(torch.cat([h, skips.pop()], dim=1), biases[bias]))
        h = h if upsample is None else upsample(F.interpolate(h, scale_factor=2.0, mode="nearest"))
    return network.conv_out(network.norm_out.silu(h))


def _parts(network: InferenceNetwork) -> tuple[list[Any], list[Any]]:
    """The way down as (part, its time bias, its site, level of the references added after it), the way up as
    (residual block, its time bias, its site, upsampling after it); None for what is not there."""
    biases, sites, attends = count(), count(), iter(network.attends)
    downs: list[Any] = []
    for level, (resnets, downsample) in enumerate(zip(network.down, network.downsample, strict=True)):
        attending = next(attends)
        for j, resnet in enumerate(resnets):
            refs = level if j == len(resnets) - 1 else None
            downs.append((resnet, next(biases), next(sites) if attending else None, refs))
        downs += [(conv, None, None, None) for conv in downsample]
    for i, _ in enumerate(network.middle):
        next(biases)
        if i:
            next(sites)
    ups: list[Any] = []
    for resnets, upsample in zip(network.up, network.upsample, strict=True):
        attending = next(attends)
        for j, resnet in enumerate(resnets):
            conv = upsample[0] if upsample and j == len(resnets) - 1 else None
            ups.append((resnet, next(biases), next(sites) if attending else None, conv))
    return downs, ups

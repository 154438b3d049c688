"""The shallow part of an :class:`~artv.networks.fast.networks.InferenceNetwork`, where deep features are kept.

Shape suffixes: B batch, C channels, H W feature size.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from artv.networks.conditional_unet import KeysValues
from artv.networks.deep_features import DeepFeatures
from artv.networks.fast.blocks import repeated

if TYPE_CHECKING:
    from artv.networks.fast.networks import Frozen, InferenceNetwork


def shallow(
    network: InferenceNetwork,
    z_BCHW: Tensor,
    time: Tensor,
    text: list[KeysValues],
    features: Frozen,
    deep: DeepFeatures,
    copies: int,
) -> Tensor:
    """What ``network`` gives for these arguments, its deep features taken from ``deep``, which is filled."""
    assert deep.h_BCHW is not None
    downs, ups = _parts(network)
    biases = time.split(network.time_widths)

    def step(resnet: Any, bias: int, site: int | None, h: Tensor, skip: Tensor | None) -> Tensor:
        return network.step(resnet, biases[bias], site, h, skip, text, features, copies)

    h = network.conv_in(z_BCHW.contiguous(memory_format=torch.channels_last))
    skips = [repeated(h, copies)]
    for part, bias, site, level in downs[: deep.blocks - 1]:
        h = part(h) if bias is None else step(part, bias, site, h, None)
        h = h if level is None else h + features.refs[level]
        skips.append(h)

    h = deep.h_BCHW
    for resnet, bias, site, conv in ups[-deep.blocks :]:
        h = step(resnet, bias, site, h, skips.pop())
        h = h if conv is None else conv(h)
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
    for i, _ in enumerate(network.middle):  # not asked for, but counted: two residual blocks, a site between them
        next(biases)
        if i:
            next(sites)
    ups: list[Any] = []
    for resnets, convs in zip(network.up, network.upsample, strict=True):
        attending = next(attends)
        for j, resnet in enumerate(resnets):
            conv = convs[0] if convs and j == len(resnets) - 1 else None
            ups.append((resnet, next(biases), next(sites) if attending else None, conv))
    return downs, ups

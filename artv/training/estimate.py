"""What a training is expected to take of memory, disk, time and power: from what was measured, not from a probe here.

Speeds and activations are of one NVIDIA H200 (benchmarks/results/training-h200); where nothing was measured, None.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median

import torch

from artv.autoencoder import paper_autoencoder
from artv.config import PRESETS as NETWORKS
from artv.config import ModelConfig
from artv.networks import ArtVModel
from artv.presets import ASSETS
from artv.text_encoder import OpenClipTextEncoder
from artv.training.config import ENCODERS, TrainConfig
from artv.training.rates import Speed, expected_speed
from artv.training.strata import Strata
from artv.weights import saved_shapes

GIB = 2**30
WATTS = 700.0
"""Power of one GPU, as its maker states it for an H100 or H200 at full load."""

FLOPS_A_SAMPLE = {
    ("shapes", 64): (1.497e9, 0.328e9, 0.313e9, 0.606e9),
    ("paper", 320): (1.387e12, 0.416e12, 0.138e12, 0.528e12),
    ("paper", 640): (7.133e12, 2.470e12, 0.815e12, 3.051e12),
}
"""Work of forward and backward pass, attention included, nothing recomputed, by torch's counter on meta tensors; then
what falls away without the anchor, without references (and so the mask network), without either."""

MASK_FLOPS = {
    ("shapes", 64): (0.143e9, 0.034e9),
    ("paper", 320): (0.073e12, 0.025e12),
    ("paper", 640): (0.554e12, 0.233e12),
}
"""What of these is the mask network's: whole, and for the anchor."""

ACTIVATIONS = {"shapes": (19_200, None), "paper": (370_000, 87_000)}
"""Bytes a sample and latent position that the backward pass needs, fused: whole, and with recomputed blocks."""

ACTIVATIONS_OF_WORK = 1.5
"""By how many times its share of the work what is left out has a share of the activations (0.07 and 0.11 at 320)."""


CONTEXT = {"shapes": 32, "paper": 77}
"""Tokens of a caption."""

AROUND = 7_168
"""Bytes a clip in a shard beside the numbers: four members of a tar (headers, padding), caption, sum."""


@dataclass(frozen=True)
class Estimate:
    """One process on a GPU. ``memory`` and ``disk``: bytes; ``speed``: of all processes together.

    ``disk``: the most while the networks train: two states, a third being written, the pipeline, the best one, and one
    being written.
    """

    memory: int | None
    disk: int
    speed: Speed | None


def hours_of(config: TrainConfig, world: int, samples_per_s: float) -> float:
    """Hours that the networks' training takes."""
    return config.model.steps * config.model.samples(world) / samples_per_s / 3600


def kwh_of(hours: float, world: int) -> float:
    """Energy of the GPUs alone."""
    return hours * world * WATTS / 1000


def flops_a_sample(config: TrainConfig) -> float | None:
    """FLOPs of the networks' training that are done for one, on average over a batch, where they were counted."""
    counted = _counted(config)
    if counted is None:
        return None
    whole, anchor, refs, both = counted
    if not config.stratified:
        return whole
    B, present = config.model.batch_size, Strata.of(config).present
    anchorless, refless = B - len(present.anchor), B - len(present.refs)
    neither = min(present.anchor.start, present.refs.start)
    return whole - ((anchorless - neither) * anchor + (refless - neither) * refs + neither * both) / B


def _counted(config: TrainConfig) -> tuple[float, float, float, float] | None:
    """``FLOPS_A_SAMPLE``, after the switches."""
    of = config.preset, config.size
    if config.networks is not None or of not in FLOPS_A_SAMPLE:
        return None
    whole, anchor, refs, both = FLOPS_A_SAMPLE[of]
    if not config.mask:
        mask, its_anchor = MASK_FLOPS[of]
        whole, anchor, refs, both = whole - mask, anchor - its_anchor, refs - mask, both - mask
    if not config.anchor:
        whole, anchor, refs, both = whole - anchor, 0.0, both - anchor, both - anchor
    return whole, anchor, refs, both


def _left_out(config: TrainConfig) -> float:
    """Share of the work."""
    done, whole = flops_a_sample(config), flops_a_sample(config.model_copy(update={"stratified": False}))
    return 1 - done / whole if done and whole else 0.0


def card_rate(device: torch.device, n: int = 8192, repeats: int = 10) -> float:
    """FLOP/s of a bfloat16 product of n × n random matrices on this GPU, median: what shares are shares of."""
    own = torch.Generator(device).manual_seed(0)  # the training's numbers are left alone
    a, b = torch.randn(2, n, n, device=device, dtype=torch.bfloat16, generator=own)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 3)]
    for mark in marks:
        mark.record()
        a @ b
    torch.cuda.synchronize(device)
    times = [x.elapsed_time(y) for x, y in pairwise(marks[2:])]
    return 2 * n**3 / (median(times) / 1e3)


def estimate(config: TrainConfig, world: int = 1) -> Estimate:
    """The stage of the networks on GPUs. Smaller networks than the preset's count as those, which take longer."""
    usual = config.networks is None
    small = usual or weights_of(config.sizes()) <= weights_of(NETWORKS[config.preset]())
    return Estimate(
        memory=_memory(config) if usual and config.fused else None,
        disk=disk_of(config),
        speed=expected_speed(config, world) if small else None,
    )


def disk_of(config: TrainConfig, encoders: int | None = None) -> int:
    """Bytes: three states of float32 weights, their average and Adam's two moments, and three pipelines in float32.

    Args:
        encoders: weights of the autoencoder and the text encoder, which each pipeline holds too; None: the preset's.
    """
    moments, networks = 2 if config.model.optimizer == "adamw8bit" else 8, weights_of(config.sizes())
    pipeline = networks + (encoders_of(config.preset) if encoders is None else encoders)
    return 3 * (4 + 4 + moments) * networks + 3 * 4 * pipeline


def latents_of(config: TrainConfig, clips: int) -> int:
    """Bytes of the shards of so many clips: latents and text in half precision, and what a tar and NumPy put around."""
    latents = 4 * config.num_frames * _positions(config)
    text = CONTEXT[config.preset] * config.sizes().dynamic.text_dim
    return clips * (2 * (latents + text) + AROUND)


@cache
def encoders_of(preset: str) -> int:
    """Number of weights of the autoencoder and the text encoder that the preset's networks are made for."""
    if preset == "shapes":
        parts = [saved_shapes(ASSETS / name) for name in ENCODERS]
    else:
        with torch.device("meta"):
            parts = [paper_autoencoder().state_dict(), OpenClipTextEncoder().state_dict()]
    return sum(value.numel() for part in parts for value in part.values())


@cache
def weights_of(sizes: ModelConfig) -> int:
    """Number of weights of both networks."""
    with torch.device("meta"):
        return sum(p.numel() for p in ArtVModel.from_config(sizes).parameters())


def _memory(config: TrainConfig) -> int | None:
    """Weights, average and moments; weights in bfloat16; and the larger of all activations and all gradients."""
    each = ACTIVATIONS[config.preset][config.recompute]
    if each is None:
        return None
    weights = weights_of(config.sizes())
    half = 2 * weights if config.model.precision == "bf16" else 0
    moments = 2 if config.model.optimizer == "adamw8bit" else 8
    activations = each * _positions(config) * config.model.batch_size * (1 - ACTIVATIONS_OF_WORK * _left_out(config))
    return weights * (4 + 4 + moments) + half + max(round(activations), 4 * weights + half)


def _positions(config: TrainConfig) -> int:
    """Places of a frame's latents."""
    return (config.size // (8 if config.preset == "paper" else 4)) ** 2

"""What is measured for a method: its networks with random weights, the inputs of one forward, and how a clip uses it.

A method of a plugin can be measured too: its target (the class or factory that ``methods`` names) carries a function
``efficiency_case() -> Case``.

Shape suffixes: B frames × branches, T frames, C latent channels, h w latent size, L text tokens, D text width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from artv.composition import compose, copied_noise
from artv.errors import UserError, closest
from artv.networks import ArtVModel
from artv.networks.conditional_unet import Features
from artv.samplers import SAMPLERS, count_evaluations
from artv_eval.efficiency.paper import TABLE_2, TRAINING, Published, Training
from artv_eval.extras import MethodExtras, optional

STEP = 500  # the timestep of every measured evaluation; cost does not depend on it
Inputs = Callable[[nn.Module, int, int, int], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class AsPublished:
    """How the published speed and memory of a method most plausibly were taken (docs/paper.md): ``--setting paper``.

    Args:
        attention: ``written`` out as diffusers 0.15 did it, or ``efficient``, which never holds its matrix.
        frames_together: whether memory is that of all frames at once, though the method takes them one by one.
        companions: whether the text encoder and the autoencoder are in memory too.
    """

    attention: Literal["written", "efficient"] = "written"
    frames_together: bool = True
    companions: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """One method, as efficiency sees it.

    Args:
        name: the method's name.
        build: the networks of one evaluation as one module, random weights, on torch's default device.
        inputs: ``inputs(module, resolution, frames, branches)``, the module's arguments for one forward of that many
            frames, in its dtype and on its device; ``branches`` repeats each frame for guidance.
        frames_per_forward: frames that the method has in memory at once; None for all of them.
        evaluations: network evaluations for one run of the sampler.
        branches: guidance branches of each evaluation.
        sampler_runs: how often the sampler runs for a clip of so many frames, one given frame included.
        companions: the text encoder and the autoencoder that a clip needs too.
        published: the paper's values by resolution.
        training: the paper's training columns.
        as_published: how the paper's speed and memory were taken.
    """

    name: str
    build: Callable[[], Any]
    inputs: Inputs
    frames_per_forward: int | None
    evaluations: int
    branches: int
    sampler_runs: Callable[[int], int]
    companions: "Companions | None" = None
    published: dict[int, Published] = field(default_factory=dict)
    training: Training | None = None
    as_published: AsPublished = AsPublished()


@dataclass(frozen=True, kw_only=True)
class Companions:
    """What a clip needs besides the evaluations. Both reference systems use the same two networks."""

    text_encoder: Callable[[], Any]
    text_inputs: Callable[[nn.Module], tuple[Any, ...]]
    autoencoder: Callable[[], Any]

    @staticmethod
    def latent(autoencoder: nn.Module, resolution: int) -> Tensor:
        """One frame's latent for the autoencoder to decode."""
        return like(autoencoder, 1, 4, resolution // 8, resolution // 8)


def like(module: nn.Module, *shape: int) -> Tensor:
    """Random numbers on the device and in the dtype of a module."""
    parameter = next(module.parameters())
    return torch.randn(*shape, device=parameter.device, dtype=parameter.dtype)


class ArtVForward(nn.Module):
    """One evaluation of ART-V, as Table 2 counts it: both UNets, the reference adapters, all keys and values.

    Only the anchor frame's adapter maps come from outside: they are the same for a whole clip.
    """

    def __init__(self, model: ArtVModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, z_BChw: Tensor, t_B: Tensor, text_BLD: Tensor, refs_BKChw: Tensor, maps: Any, a: Tensor, s: Tensor
    ) -> Tensor:
        model, keep_B = self.model, z_BChw.new_ones(z_BChw.shape[0])
        noise = self._network(model.dynamic_network, z_BChw, t_B, text_BLD, refs_BKChw, maps[0], keep_B)
        if model.mask_network is None:
            return noise
        logits = self._network(model.mask_network, z_BChw, t_B, text_BLD, refs_BKChw, maps[1], keep_B)
        return compose(logits.float().sigmoid(), copied_noise(z_BChw.float(), refs_BKChw[:, -1].float(), a, s), noise)

    @staticmethod
    def _network(network: Any, z: Tensor, t: Tensor, text: Tensor, refs: Tensor, maps: Any, keep: Tensor):
        pairs = zip(network.anchor_blocks, network.site_levels, strict=True) if network.has_anchor else ()
        anchor = tuple(block.keys_values(maps[level]) for block, level in pairs)
        return network(z, t, text, Features(tuple(network.adapter(refs.flatten(1, 2))), anchor, keep))


def artv_inputs(module: nn.Module, resolution: int, frames: int, branches: int) -> tuple[Any, ...]:
    """Arguments of :class:`ArtVForward`: every frame is a row of the batch."""
    assert isinstance(module, ArtVForward)
    model, B, side = module.model, frames * branches, resolution // 8
    networks: list[Any] = [n for n in (model.dynamic_network, model.mask_network) if n is not None]
    anchor = like(module, 1, 4, side, side).repeat(1, model.sizes.num_refs, 1, 1)
    with torch.no_grad():
        maps = [[m.expand(B, -1, -1, -1).contiguous() for m in network.adapter(anchor)] for network in networks]
    z = like(module, B, 4, side, side)
    alpha = model.schedule.alphas_cumprod[STEP].float().to(z.device)
    text = like(module, B, 77, model.sizes.dynamic.text_dim)
    refs = like(module, B, model.sizes.num_refs, 4, side, side)
    return z, torch.full((B,), STEP, device=z.device), text, refs, maps, alpha.sqrt(), (1 - alpha).sqrt()


class VideoUNetForward(nn.Module):
    """One evaluation of a video UNet: all frames at once."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, z_BCThw: Tensor, t: Tensor, text_BLD: Tensor) -> Tensor:
        return self.unet(z_BCThw, t, text_BLD, return_dict=False)[0]


def video_unet_inputs(module: nn.Module, resolution: int, frames: int, branches: int) -> tuple[Any, ...]:
    """Arguments of :class:`VideoUNetForward`."""
    z = like(module, branches, 4, frames, resolution // 8, resolution // 8)
    return z, torch.full((branches,), STEP, device=z.device), like(module, branches, 77, 1024)


def _build_artv() -> Any:
    return ArtVForward(ArtVModel.from_config(preset="paper"))


def _build_modelscope() -> Any:
    from diffusers import UNet3DConditionModel

    return VideoUNetForward(UNet3DConditionModel())


def _text_encoder() -> Any:
    from artv.text_encoder import OpenClipTextEncoder

    return OpenClipTextEncoder()


def _text_inputs(module: nn.Module) -> tuple[Any, ...]:
    # the prompt and the empty prompt; a constant id, because random text costs the same
    return (torch.zeros(2, 77, dtype=torch.long, device=next(module.parameters()).device),)


def _autoencoder() -> Any:
    from artv.autoencoder import paper_autoencoder

    return paper_autoencoder()


STABLE_DIFFUSION = Companions(text_encoder=_text_encoder, text_inputs=_text_inputs, autoencoder=_autoencoder)


def artv() -> Case:
    """ART-V as published: one frame at a time, 50 steps of DPM++ 2S ancestral, four branches (Eq. 1)."""
    from artv.schedule import NoiseSchedule

    return Case(
        name="artv",
        build=_build_artv,
        inputs=artv_inputs,
        frames_per_forward=1,
        evaluations=count_evaluations(SAMPLERS["dpmpp_2s_ancestral"], NoiseSchedule().sigmas(50)),
        branches=4,
        sampler_runs=lambda frames: frames - 1,
        companions=STABLE_DIFFUSION,
        published=TABLE_2["artv"],
        training=TRAINING["artv"],
        as_published=AsPublished(attention="efficient", companions=True),
    )


def modelscope() -> Case:
    """ModelScope's video UNet (diffusers' defaults), all frames at once, its pipeline's 50 steps and two branches."""
    return Case(
        name="modelscope",
        build=_build_modelscope,
        inputs=video_unet_inputs,
        frames_per_forward=None,
        evaluations=50,
        branches=2,
        sampler_runs=lambda frames: 1,
        companions=STABLE_DIFFUSION,
        published=TABLE_2["modelscope"],
        training=TRAINING["modelscope"],
    )


CASES: dict[str, Callable[[], Case]] = {"artv": artv, "modelscope": modelscope}


def find_cases(names: Sequence[str], manager: Any = None) -> list[Case]:
    """Cases by name: built-in ones, else of a registered method that has ``efficiency_case``.

    Args:
        manager: an ``artv_eval.plugins.manager.PluginManager``; None looks at the built-in ones only.

    Raises:
        UserError: an unknown method, or one that cannot be measured.
    """
    return [CASES[name]() if name in CASES else _registered(name, manager) for name in names]


def _registered(name: str, manager: Any) -> Case:
    methods = list(manager.names("methods")) if manager is not None else []
    if name not in methods and "/" not in name:
        raise UserError(f"method {name!r} is not installed; {closest(name, {*CASES, *methods})}")
    make = optional(manager.target(manager.find("methods", name)), MethodExtras, "efficiency_case")
    if make is None:
        raise UserError(
            f"method {name!r} has no efficiency_case(), so it cannot be measured; choose {', '.join(CASES)}"
        )
    return make()

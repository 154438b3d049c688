"""What the networks of a training start from: a pipeline of ours, the networks alone, or SD-2.1-base grown."""

from pathlib import Path
from typing import Any

from torch import nn

from artv.config import ModelConfig
from artv.convert import from_stable_diffusion
from artv.errors import UserError
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.presets import is_packaged, model_folder
from artv.training.config import ENCODERS, TrainConfig
from artv.weights import check_saved


def start(
    config: TrainConfig, init: str | None, revision: str | None, variant: str | None
) -> tuple[ArtVModel | None, dict[str, nn.Module]]:
    """The networks of ``--init``, in float32, and the components that come with them; None and none without it.

    Raises:
        UserError: no such weights, or networks of other sizes than ``config`` asks for.
    """
    if init is None:
        return None, {}
    init, given = str(Path(init).expanduser()), {}
    if networks_in(init) == Path(init):
        check_saved(ArtVModel, Path(init), variant)
        model = ArtVModel.from_pretrained(init, use_safetensors=True, variant=variant)
    else:
        pipe = _pipeline(config, init, revision, variant)
        model, given = pipe.model, {name: getattr(pipe, name) for name in ENCODERS}
    check_networks(config, model.sizes, init)
    return model.float(), {name: module.float() for name, module in given.items()}  # a variant may be half


def networks_in(init: str) -> Path | None:
    """The folder of networks of ours that ``--init`` names on this machine: packaged, a pipeline's, or itself."""
    places = [model_folder(init)] if is_packaged(init) else [Path(init), Path(init) / "model"]
    return next((place for place in places if (place / "config.json").is_file()), None)


def check_networks(config: TrainConfig, theirs: ModelConfig, init: str) -> None:
    """Raises :class:`UserError`, with the first size that differs, unless the settings ask for networks like these."""
    found, asked = _fields(theirs), _fields(config.sizes())
    for name in dict.fromkeys((*asked, *found)):
        if found.get(name) != asked.get(name):
            raise UserError(
                f"--init {init} holds other networks than the preset {config.preset} with these switches: "
                f"{name} is {found.get(name)}, not {asked.get(name)}; start from others, or change the switches or "
                "'networks' in --config"
            )


def _fields(sizes: ModelConfig) -> dict[str, Any]:
    """``dynamic.channels`` and so on; nothing of a network that is not there."""
    whole = sizes.to_dict()
    networks = {name: value for name, value in whole.items() if isinstance(value, dict)}
    inner = {f"{name}.{field}": value for name, network in networks.items() for field, value in network.items()}
    return inner | {name: whole[name] for name in ("num_refs", "anchor")}


def _pipeline(config: TrainConfig, init: str, revision: str | None, variant: str | None) -> ArtVPipeline:
    if config.preset == "paper" and networks_in(init) is None:
        model, autoencoder, text_encoder = from_stable_diffusion(
            init, revision=revision, variant=variant, config=config.sizes()
        )
        return ArtVPipeline(model=model, autoencoder=autoencoder, text_encoder=text_encoder)
    options = {"revision": revision, "variant": variant}
    return ArtVPipeline.from_pretrained(init, **{name: value for name, value in options.items() if value is not None})

"""What the networks of a training start from: a pipeline of ours, the networks alone, or SD-2.1-base grown."""

from pathlib import Path

from torch import nn

from artv.convert import from_stable_diffusion
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.training.config import ENCODERS, TrainConfig
from artv.training.sizes import check_networks, networks_in
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


def _pipeline(config: TrainConfig, init: str, revision: str | None, variant: str | None) -> ArtVPipeline:
    if config.preset == "paper" and networks_in(init) is None:
        model, autoencoder, text_encoder = from_stable_diffusion(
            init, revision=revision, variant=variant, config=config.sizes()
        )
        return ArtVPipeline(model=model, autoencoder=autoencoder, text_encoder=text_encoder)
    options = {"revision": revision, "variant": variant}
    return ArtVPipeline.from_pretrained(init, **{name: value for name, value in options.items() if value is not None})

"""Whether networks that were saved are those that a training asks for. Needs no torch, so commands ask at once."""

from pathlib import Path
from typing import Any

from artv.config import ModelConfig
from artv.errors import UserError
from artv.files import read_object
from artv.presets import is_packaged, model_folder
from artv.training.config import TrainConfig


def networks_in(init: str) -> Path | None:
    """The folder of networks of ours that ``--init`` names on this machine: packaged, a pipeline's, or itself."""
    folder = Path(init).expanduser()
    places = [model_folder(init)] if is_packaged(init) else [folder, folder / "model"]
    return next((place for place in places if (place / "config.json").is_file()), None)


def check_start_sizes(config: TrainConfig, init: str) -> None:
    """Raises :class:`UserError` if the networks that ``init`` names here are others than ``config`` asks for."""
    folder = networks_in(init)
    if folder is None:
        return
    try:
        theirs = ModelConfig.from_dict(read_object(folder / "config.json"))
    except (AttributeError, KeyError, TypeError, ValueError):  # none of ours, which is told when it is loaded
        return
    check_networks(config, theirs, init)


def check_networks(config: TrainConfig, theirs: ModelConfig, init: str) -> None:
    """Raises :class:`UserError`, with the first size that differs, unless the settings ask for networks like these."""
    found, asked = _fields(theirs), _fields(config.sizes())
    for name in dict.fromkeys((*asked, *found)):
        if found.get(name) != asked.get(name):
            raise UserError(
                f"{init} holds other networks than the preset {config.preset} with these switches: {name} is "
                f"{found.get(name)}, not {asked.get(name)}; start from others, or change the switches or 'networks'"
            )


def _fields(sizes: ModelConfig) -> dict[str, Any]:
    """``dynamic.channels`` and so on; nothing of a network that is not there."""
    whole = sizes.to_dict()
    networks = {name: value for name, value in whole.items() if isinstance(value, dict)}
    inner = {f"{name}.{field}": value for name, network in networks.items() for field, value in network.items()}
    return inner | {name: whole[name] for name in ("num_refs", "anchor")}

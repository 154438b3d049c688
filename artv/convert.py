"""Starting ART-V from the public Stable Diffusion 2.1-base weights, wherever the user has them.

UNet -> dynamic network (its adapters and anchor blocks start untrained), AutoencoderKL -> autoencoder, text encoder ->
text encoder. Only configurations and safetensors are read: nothing is unpickled and no remote code runs.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from artv.config import ModelConfig, paper
from artv.errors import UserError
from artv.files import read_object
from artv.networks import ArtVModel
from artv.progress import quiet_loading
from artv.requests import SD_21_BASE, check_init
from artv.text_encoder import OpenClipTextEncoder
from artv.weights import check_fit, check_saved, load_exactly, read_config, read_weights

# what changes a UNet's function without changing the shape of any weight
_FUNCTION_OF_UNET = (
    "act_fn",
    "attention_head_dim",
    "center_input_sample",
    "class_embed_type",
    "conv_in_kernel",
    "down_block_types",
    "downsample_padding",
    "flip_sin_to_cos",
    "freq_shift",
    "mid_block_scale_factor",
    "norm_eps",
    "norm_num_groups",
    "resnet_time_scale_shift",
    "time_embedding_type",
    "up_block_types",
    "use_linear_projection",
)


class Parts(NamedTuple):
    """The three components that a pipeline needs."""

    model: ArtVModel
    autoencoder: AutoencoderKL
    text_encoder: OpenClipTextEncoder


def from_stable_diffusion(
    source: str | Path = SD_21_BASE,
    *,
    revision: str | None = None,
    variant: str | None = None,
    config: ModelConfig | None = None,
    dtype: torch.dtype = torch.float32,
) -> Parts:
    """An untrained ART-V around Stable Diffusion's weights; with all conditions dropped it *is* Stable Diffusion.

    Args:
        source: a local folder in the diffusers layout, or a repository id on the hub.
        revision: branch, tag or commit on the hub.
        variant: for instance ``fp16``.
        config: sizes of the two networks; default Table 1's.
        dtype: of all three components.

    Raises:
        UserError: nothing there, a v-prediction model, another noise schedule, or another architecture (naming the
            first key or setting that differs and what was expected).
    """
    folder = fetch(source, revision=revision, variant=variant)
    check_schedule(folder)
    model = ArtVModel.from_config(config or paper())
    load_unet(model, folder, variant)
    autoencoder, text_encoder = encoders_of(folder, variant)
    check_fit(model.sizes, autoencoder, text_encoder)
    with quiet_loading():
        return Parts(model.to(dtype), autoencoder.to(dtype).eval(), text_encoder.to(dtype))


def encoders_of(folder: Path, variant: str | None = None) -> tuple[AutoencoderKL, OpenClipTextEncoder]:
    """The autoencoder and the text encoder in a folder of Stable Diffusion, float32 unless saved otherwise."""
    for part in ("vae", "text_encoder"):
        read_config(folder / part)
    check_saved(AutoencoderKL, folder / "vae", variant)
    with quiet_loading():
        autoencoder = AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True, variant=variant)
    return autoencoder.eval(), OpenClipTextEncoder.from_clip_text_model(folder / "text_encoder", variant)


def fetch(source: str | Path, *, revision: str | None = None, variant: str | None = None) -> Path:
    """The local folder of ``source``; a repository id is downloaded first, its configurations and safetensors only."""
    check_init(source)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    weights = f"*.{variant}*safetensors*" if variant else "*safetensors*"
    patterns = [f"{part}/{file}" for part in ("unet", "vae", "text_encoder") for file in ("config.json", weights)]
    patterns += ["model_index.json", "scheduler/*.json"]
    unwanted = [] if variant else ["*.fp16.*", "*.non_ema.*", "*.bf16.*"]
    try:
        return Path(
            snapshot_download(str(source), revision=revision, allow_patterns=patterns, ignore_patterns=unwanted)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        at = f" at revision {revision}" if revision else ""
        raise UserError(f"could not load {source}{at} from the hub ({reason}); give a local folder instead") from error


def check_schedule(folder: Path) -> None:
    """Refuses v-prediction models and other noise schedules than Table 4's.

    SD-2.1 itself (768) predicts v; the paper's eps-prediction needs SD-2.1-base.
    """
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise UserError(f"{folder} has no scheduler/scheduler_config.json, which says what the model predicts")
    config = read_object(path)
    kind = config.get("prediction_type", "epsilon")
    if kind != "epsilon":
        raise UserError(f"{folder} is a {kind} model; ART-V predicts epsilon: take stable-diffusion-2-1-base")
    expected = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
    }
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise UserError(f"{folder} was trained with {key} {config[key]}; ART-V expects {value} (Table 4)")


def load_unet(model: ArtVModel, folder: Path, variant: str | None = None) -> None:
    """Loads ``folder/unet`` into the dynamic network's UNet, after comparing settings, keys and shapes."""
    check_unet_config(model, read_config(folder / "unet"), str(folder / "unet"))
    load_exactly(model.dynamic_network.unet, read_weights(folder / "unet", variant), str(folder / "unet"))


def check_unet_config(model: ArtVModel, config: dict[str, Any], what: str) -> None:
    """Compares the settings that no weight's shape would reveal, the number of heads above all."""
    with torch.device("meta"):
        theirs = UNet2DConditionModel.from_config(config).config
    ours = model.dynamic_network.unet.config
    for key in _FUNCTION_OF_UNET:
        given, expected = _plain(getattr(theirs, key)), _plain(getattr(ours, key))
        if given != expected:
            raise UserError(f"{what} is another architecture: {key} is {given}, expected {expected}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value

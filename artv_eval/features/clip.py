"""CLIP (Radford et al. 2021) through open_clip: any model and weights that open_clip knows, from files that are there.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features, N pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.errors import UserError
from artv.ranges import Name
from artv.requests import check_name
from artv_eval.features.base import digest_of
from artv_eval.features.pillow import pillow_resize
from artv_eval.features.precision import inference
from artv_eval.features.weights import sha256_of

Mode = Literal["shortest", "squash"]
TRANSFORM = "2"
"""Changes whenever a model sees other pictures than before: part of the digest."""


class Pictures:
    """Pictures as a CLIP model wants them, to the bit of open_clip's own transform for evaluation.

    Args:
        size: pixels of the square that comes out.
        mean, std: of a channel, 0 … 1.
        mode: ``shortest`` scales the shorter side to ``size`` and crops the centre, ``squash`` scales both.
        filter: Pillow's.
    """

    def __init__(
        self, size: int, mean: Sequence[float], std: Sequence[float], mode: str = "shortest", filter: str = "bicubic"
    ):
        check_name("clip's resize mode", mode, get_args(Mode))
        self.size, self.mode, self.filter = size, mode, filter
        self._scale = tuple(torch.tensor(tuple(value)).view(1, 3, 1, 1) for value in (mean, std))

    def __call__(self, image_NCHW: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) → float (N, 3, size, size), normalised, on the same device."""
        H, W = image_NCHW.shape[-2:]
        size = self.size
        # torchvision's rules: the longer side is cut off to whole pixels, the crop's place is rounded
        tall, wide = (size * side // min(H, W) for side in (H, W))
        if self.mode == "squash":
            tall = wide = size
        top, left = (round((side - size) / 2) for side in (tall, wide))
        crop = slice(top, top + size), slice(left, left + size)
        x = pillow_resize(image_NCHW, (tall, wide), self.filter, crop)
        mean, std = self._scale
        if mean.device != x.device:  # and stay there: each copy would wait for all that the device has to do
            mean, std = self._scale = mean.to(x.device), std.to(x.device)
        return (x.float() / 255 - mean) / std


class OpenClip:
    """A CLIP model: pictures and sentences in one space.

    Pictures go through open_clip's own transform (:class:`Pictures`); one sentence is one text, without templates.
    """

    takes_device = True

    def __init__(self, network: Any, tokenize: Any, name: str, digest: str, device: str = "cpu"):
        self.network, self.tokenize, self.device = network.to(device).eval(), tokenize, device
        visual = network.visual
        given = getattr(visual, "preprocess_cfg", {})
        self.pictures = Pictures(
            visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0],
            visual.image_mean,
            visual.image_std,
            given.get("resize_mode", "shortest"),
            given.get("interpolation", "bicubic"),
        )
        self.name, self.digest = name, digest
        self.dim = int(self.texts(["a"]).shape[1])

    @inference()
    def images(self, image_NCHW: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) → (N, D) float32 of unit length on the CPU."""
        x = self.pictures(image_NCHW.to(self.device))
        return F.normalize(self.network.encode_image(x).float(), dim=-1).cpu()

    @inference()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(B, D) float32 of unit length on the CPU."""
        return F.normalize(self.network.encode_text(self.tokenize(list(texts)).to(self.device)).float(), dim=-1).cpu()

    def unread(self, text: str) -> str | None:
        """What of a text is cut off; None too where open_clip's tokenizer does not say how long texts are."""
        if not hasattr(self.tokenize, "encode"):
            return None
        return beyond(len(self.tokenize.encode(text)) + 2, self.tokenize.context_length)


def beyond(tokens: int, most: int) -> str | None:
    """What a text encoder does not see of a text of so many tokens, start and end counted in."""
    return f"has {tokens} tokens and is cut to {most}" if tokens > most else None


def clip(
    model: Name = "ViT-B-32", pretrained: Name = "openai", weights: str | None = None, device: str = "cpu"
) -> OpenClip:
    """Factory of the ``clip`` encoder.

    Args:
        model, pretrained: names of open_clip; CLIPSIM as published is ViT-B-32 with the weights of OpenAI.
        weights: a file, in place of the hub's cache; ``pretrained`` still says which weights it holds.
        device: where it runs.
    """
    import open_clip

    if model not in open_clip.list_models():
        raise UserError(f"clip.model is {model!r}; open_clip has no such model (see open_clip.list_models())")
    path = Path(weights) if weights else cached(model, pretrained)
    if not path.is_file():
        raise UserError(f"weights of CLIP, {path}, do not exist")
    gelu = bool(open_clip.pretrained.get_pretrained_cfg(model, pretrained).get("quick_gelu", False))
    try:
        network = open_clip.create_model(model, pretrained=str(path), force_quick_gelu=gelu)
    except Exception as error:
        raise UserError(f"{path} does not hold the weights of {model}: {str(error).splitlines()[0][:160]}") from None
    digest = digest_of([sha256_of(path), model, str(gelu), TRANSFORM])
    return OpenClip(network, open_clip.get_tokenizer(model), f"clip-{model}", digest, device)


def cached(model: str, pretrained: str) -> Path:
    """The file of a model's weights in the hub's cache; a UserError says how to get it there. Downloads nothing."""
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    tags = open_clip.pretrained.list_pretrained_tags_by_model(model)
    if pretrained not in tags:
        raise UserError(f"clip.pretrained is {pretrained!r}; {model} has {', '.join(tags) or 'no public weights'}")
    repository, file = open_clip.pretrained.get_pretrained_cfg(model, pretrained)["hf_hub"].rsplit("/", 1)
    for name in [file] if file else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    raise UserError(
        f"weights of CLIP {model} ({pretrained}) are not in the hub's cache; fetch them with: hf download {repository}"
    )

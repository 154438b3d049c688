"""The text encoder: open_clip's transformer, read at its penultimate layer (Table 3, FrozenOpenCLIPEmbedder).

The last layer is never built: layers − 1 blocks, then the final layer norm. SD-2.1's diffusers text encoder is the
same network written by transformers, so its weights load too.

Shape suffixes: B prompts, L tokens, D width.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from artv.devices import sent
from artv.errors import UserError, closest
from artv.tokenizer import PromptTokenizer
from artv.weights import load_exactly, read_config, read_weights


class OpenClipTextEncoder(ModelMixin, ConfigMixin):
    """Prompts to embeddings; saved and loaded as any diffusers model.

    The defaults are ViT-H-14's text tower, the paper's.

    Args:
        width, heads, layers: of the CLIP that the weights come from; ``layers`` − 1 are used.
        context_length: tokens a prompt.
        vocabulary: byte-pair ids of a compact vocabulary (:func:`artv.tokenizer.build_vocabulary`); None for all.
        quick_gelu: OpenAI's activation, where the weights were trained with it.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 1024,
        heads: int = 16,
        layers: int = 24,
        context_length: int = 77,
        vocabulary: list[int] | None = None,
        quick_gelu: bool = False,
    ) -> None:
        super().__init__()
        from open_clip.transformer import QuickGELU, TextTransformer

        self.tokenizer = PromptTokenizer(context_length, vocabulary)
        self.transformer = TextTransformer(
            context_length=context_length,
            vocab_size=self.tokenizer.vocab_size,
            width=width,
            heads=heads,
            layers=layers - 1,
            output_dim=None,
            pool_type="none",
            act_layer=QuickGELU if quick_gelu else nn.GELU,
        )

    def forward(self, ids_BL: Tensor) -> Tensor:
        """(B, L, D) after the final layer norm, of token ids."""
        return self.transformer(ids_BL)

    @torch.no_grad()
    def encode(self, prompts: str | Sequence[str], products: torch.dtype | None = None) -> Tensor:
        """(B, L, D) on the model's device; the empty prompt is the null text of guidance.

        Warns of prompts that are too long (cut as open_clip cuts them) and of words outside a compact vocabulary.

        Args:
            products: to what matrix products round what they multiply and give; sums along the layers, norms and
                softmax keep the weights' type. Default: that type.
        """
        ids = self.tokenizer([prompts] if isinstance(prompts, str) else list(prompts))
        device = self.transformer.positional_embedding.device
        with nullcontext() if products is None else torch.autocast(device.type, products):
            return self.forward(sent(ids, device))

    @classmethod
    def from_clip(cls, clip: nn.Module, vocabulary: Sequence[int] | None = None) -> "OpenClipTextEncoder":
        """The text tower of an open_clip ``CLIP`` (or ``CustomTextCLIP``), weights copied.

        ``vocabulary`` is the compact one that it was trained with, if any.
        """
        tower: Any = getattr(clip, "text", clip)
        block = tower.transformer.resblocks[0]
        from open_clip.transformer import QuickGELU

        return cls._from_state(
            tower.state_dict(),
            heads=block.attn.num_heads,
            vocabulary=None if vocabulary is None else list(vocabulary),
            quick_gelu=isinstance(block.mlp.gelu, QuickGELU),
            what="the CLIP model",
        )

    @classmethod
    def from_open_clip(cls, name: str = "ViT-H-14", pretrained: str | Path = "laion2b_s32b_b79k"):
        """The text tower of an open_clip model.

        Args:
            name: an open_clip model name.
            pretrained: a local safetensors file (or a folder with ``open_clip_model.safetensors``), or one of
                open_clip's tags, whose safetensors file is fetched from the hub.
        """
        import open_clip

        config = open_clip.get_model_config(name)
        if config is None:
            raise UserError(f"open_clip has no model {name!r}; {closest(name, open_clip.list_models())}")
        source = Path(pretrained) if Path(pretrained).exists() else _download_open_clip(name, str(pretrained))
        state = read_weights(source)
        if any(key.startswith("text.") for key in state):
            state = {key.removeprefix("text."): value for key, value in state.items() if key.startswith("text.")}
        return cls._from_state(
            state,
            heads=config["text_cfg"]["heads"],
            quick_gelu=config.get("quick_gelu", False),
            what=f"{source} (for open_clip's {name})",
        )

    @classmethod
    def from_clip_text_model(cls, folder: str | Path, variant: str | None = None) -> "OpenClipTextEncoder":
        """From a transformers ``CLIPTextModel`` folder, such as SD-2.1's ``text_encoder``.

        Such a folder holds the layers up to the penultimate one already, so all of them are used.
        """
        folder = Path(folder)
        config = read_config(folder)
        if config.get("hidden_act") not in ("gelu", "quick_gelu"):
            raise UserError(f"{folder} has activation {config.get('hidden_act')!r}; it must be gelu or quick_gelu")
        return cls._from_state(
            _to_open_clip(read_weights(folder, variant)),
            layers=config["num_hidden_layers"] + 1,
            heads=config["num_attention_heads"],
            quick_gelu=config["hidden_act"] == "quick_gelu",
            what=str(folder),
        )

    @classmethod
    def _from_state(cls, state: Mapping[str, Tensor], *, what: str, layers: int | None = None, **config: Any):
        """Sizes are read off the weights; the last layer, the projection and an image tower are left out."""
        for key in ("positional_embedding", "token_embedding.weight"):
            if key not in state:
                raise UserError(f"{what} is another architecture: {key} is missing")
        context_length, width = state["positional_embedding"].shape
        prefix = "transformer.resblocks."
        layers = layers or 1 + max(int(key.split(".")[2]) for key in state if key.startswith(prefix))
        encoder = cls(width=width, layers=layers, context_length=context_length, **config)
        last = f"{prefix}{layers - 1}."
        tower = ("token_embedding.", "positional_embedding", prefix, "ln_final.")
        kept = {key: value for key, value in state.items() if key.startswith(tower) and not key.startswith(last)}
        load_exactly(encoder.transformer, kept, what)
        encoder.transformer.to(kept["positional_embedding"].dtype)  # its own to() warns of what does not apply
        return encoder.eval()


def _download_open_clip(name: str, tag: str) -> Path:
    import open_clip
    from huggingface_hub import hf_hub_download

    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise UserError(f"{tag!r} is neither a file nor pretrained weights of open_clip's {name}; {closest(tag, tags)}")
    repository = (open_clip.get_pretrained_cfg(name, tag).get("hf_hub") or "").rstrip("/")
    if not repository:
        raise UserError(f"open_clip's {name} {tag} has no safetensors file on the hub; give a local safetensors file")
    return Path(hf_hub_download(repository, "open_clip_model.safetensors"))


_RENAMED = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.": "ln_final.",
    "encoder.layers.": "transformer.resblocks.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
    ".self_attn.out_proj.": ".attn.out_proj.",
}


def _to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' keys of a CLIP text model as open_clip names them, with q, k and v joined."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("text_model.")
        if name.endswith("position_ids") or ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            value = torch.cat([state[key.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"])
            name = name.replace(".self_attn.q_proj.", ".attn.in_proj_")
        for theirs, ours in _RENAMED.items():
            name = name.replace(theirs, ours)
        result[name] = value
    return result

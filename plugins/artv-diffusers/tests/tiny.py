"""Tiny random pipelines in the real format, written by save_pretrained."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    I2VGenXLPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from diffusers.models.unets import I2VGenXLUNet, UNetSpatioTemporalConditionModel
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

BLOCK = {"block_out_channels": (4, 8), "norm_num_groups": 2}


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Bytes and a few words, in CLIP's own format."""
    words = [chr(c) for c in range(33, 127)]
    vocabulary = [*words, *(w + "</w>" for w in words), "ab</w>", "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n", encoding="utf-8")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def text_encoder(width: int = 16) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=1000, hidden_size=width, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        projection_dim=width, eos_token_id=190, bos_token_id=189,
    )  # fmt: skip
    return CLIPTextModel(config).eval()


def vision_encoder(width: int = 16) -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=width,
        image_size=224, patch_size=112,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
        sample_size=32, **BLOCK,
    ).eval()  # fmt: skip


def modelscope(root: Path) -> Path:
    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        sample_size=8, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        **BLOCK,
    )  # fmt: skip
    pipe = TextToVideoSDPipeline(
        vae=autoencoder(), text_encoder=text_encoder(), tokenizer=tokenizer(root / "words"), unet=unet.eval(),
        scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    pipe.save_pretrained(root / "modelscope")
    return root / "modelscope"


def i2vgen_xl(root: Path) -> Path:
    torch.manual_seed(0)
    unet = I2VGenXLUNet(
        sample_size=8, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4, num_attention_heads=None,
        block_out_channels=(4, 8), norm_num_groups=2,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    pipe = I2VGenXLPipeline(
        vae=autoencoder(), text_encoder=text_encoder(), tokenizer=tokenizer(root / "words"),
        image_encoder=vision_encoder(), feature_extractor=CLIPImageProcessor(), unet=unet.eval(),
        scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    pipe.save_pretrained(root / "i2vgen")
    return root / "i2vgen"


def stable_video_diffusion(root: Path) -> Path:
    """Image to video without a prompt."""
    from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline

    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        num_attention_heads=(2, 2), cross_attention_dim=16, addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96, down_block_types=(
            "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"
        ), up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4, sample_size=32
    )
    pipe = StableVideoDiffusionPipeline(
        vae=vae.eval(), image_encoder=vision_encoder(), unet=unet.eval(), scheduler=EulerDiscreteScheduler(),
        feature_extractor=CLIPImageProcessor(),
    )  # fmt: skip
    pipe.save_pretrained(root / "svd")
    return root / "svd"


def unet_2d() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **BLOCK,
    ).eval()  # fmt: skip


def stable_diffusion(root: Path) -> Path:
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        vae=autoencoder(), text_encoder=text_encoder(), tokenizer=tokenizer(root / "words"), unet=unet_2d(),
        scheduler=DDIMScheduler(clip_sample=False), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(root / "sd")
    return root / "sd"


def stable_diffusion_xl(root: Path) -> Path:
    torch.manual_seed(0)
    second = CLIPTextModelWithProjection(text_encoder().config).eval()
    unet = UNet2DConditionModel(
        sample_size=8, layers_per_block=1, attention_head_dim=4, cross_attention_dim=32, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **BLOCK,
    )  # fmt: skip
    pipe = StableDiffusionXLPipeline(
        vae=autoencoder(), text_encoder=text_encoder(), text_encoder_2=second, tokenizer=tokenizer(root / "words"),
        tokenizer_2=tokenizer(root / "words"), unet=unet.eval(), scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )  # fmt: skip
    pipe.save_pretrained(root / "sdxl")
    return root / "sdxl"

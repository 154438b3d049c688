"""Tiny random pipelines of the newer kind: a video transformer, a causal 3-d autoencoder, a T5 text encoder."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AnimateDiffPAGPipeline,
    AnimateDiffPipeline,
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    LattePipeline,
    LatteTransformer3DModel,
    LTXConditionPipeline,
    LTXImageToVideoPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MotionAdapter,
    SkyReelsV2DiffusionForcingImageToVideoPipeline,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tiny import autoencoder, text_encoder, tokenizer, unet_2d
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

WIDTH = 32
T5_SIZES: dict[str, Any] = {
    "vocab_size": 64, "d_model": WIDTH, "d_kv": 8, "d_ff": 37, "num_layers": 1, "num_heads": 4,
}  # fmt: skip
WAN_SIZES: dict[str, Any] = {
    "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "out_channels": 16, "text_dim": WIDTH,
    "freq_dim": 256, "ffn_dim": 32, "num_layers": 1, "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 32,
}  # fmt: skip


def letters() -> T5Tokenizer:
    """A word is its letters."""
    special = [(word, 0.0) for word in ("<pad>", "</s>", "<unk>")]
    return T5Tokenizer(vocab=[*special, *((letter, -1.0) for letter in "▁abcdefghijklmnopqrstuvwxyz")], extra_ids=0)


def wan_autoencoder() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    ).eval()  # fmt: skip


def saved(pipe: DiffusionPipeline, folder: Path) -> Path:
    pipe.save_pretrained(folder)
    return folder


def wan(root: Path) -> Path:
    torch.manual_seed(0)
    pipe = WanPipeline(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=7.0),
        transformer=WanTransformer3DModel(in_channels=16, **WAN_SIZES).eval(),
    )  # fmt: skip
    return saved(pipe, root / "wan")


def anyflow_far(root: Path) -> Path:
    from diffusers import AnyFlowFARPipeline, AnyFlowFARTransformer3DModel, FlowMapEulerDiscreteScheduler

    torch.manual_seed(0)
    transformer = AnyFlowFARTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=WIDTH, freq_dim=32, ffn_dim=32, num_layers=2,
        rope_max_seq_len=32, chunk_partition=(1, 2, 2),
    )  # fmt: skip
    pipe = AnyFlowFARPipeline(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=FlowMapEulerDiscreteScheduler(), transformer=transformer.eval(),
    )  # fmt: skip
    return saved(pipe, root / "anyflow-far")


def helios(root: Path, pyramid: bool = False) -> Path:
    from diffusers import HeliosPipeline, HeliosPyramidPipeline, HeliosScheduler, HeliosTransformer3DModel

    torch.manual_seed(0)
    transformer = HeliosTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, rope_dim=(4, 4, 4), text_dim=WIDTH, freq_dim=32, ffn_dim=32,
        num_layers=1,
    )  # fmt: skip
    kind, stages = (HeliosPyramidPipeline, 3) if pyramid else (HeliosPipeline, 1)
    pipe = kind(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=HeliosScheduler(stages=stages, stage_range=[k / stages for k in range(stages + 1)], gamma=0.3),
        transformer=transformer.eval(),
    )  # fmt: skip
    return saved(pipe, root / kind.__name__)


def helios_pyramid(root: Path) -> Path:
    return helios(root, pyramid=True)


def wan_image(root: Path) -> Path:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=4, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=4,
        image_size=32, patch_size=16,
    )  # fmt: skip
    pipe = WanImageToVideoPipeline(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=7.0),
        image_encoder=CLIPVisionModel(vision).eval(), image_processor=CLIPImageProcessor(crop_size=32, size=32),
        transformer=WanTransformer3DModel(in_channels=36, image_dim=4, **WAN_SIZES).eval(),
    )  # fmt: skip
    return saved(pipe, root / "wan-image")


def skyreels_v2(root: Path) -> Path:
    torch.manual_seed(0)
    pipe = SkyReelsV2Pipeline(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
        transformer=SkyReelsV2Transformer3DModel(in_channels=16, **WAN_SIZES).eval(),
    )  # fmt: skip
    return saved(pipe, root / "skyreels")


def skyreels_v2_forcing(root: Path, kind: type[DiffusionPipeline] = SkyReelsV2DiffusionForcingPipeline) -> Path:
    torch.manual_seed(0)
    pipe = kind(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
        transformer=SkyReelsV2Transformer3DModel(in_channels=16, inject_sample_info=True, **WAN_SIZES).eval(),
    )  # fmt: skip
    return saved(pipe, root / kind.__name__)


def skyreels_v2_forcing_image(root: Path) -> Path:
    return skyreels_v2_forcing(root, SkyReelsV2DiffusionForcingImageToVideoPipeline)


def skyreels_v2_image(root: Path) -> Path:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=4, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=4,
        image_size=32, patch_size=16,
    )  # fmt: skip
    pipe = SkyReelsV2ImageToVideoPipeline(
        tokenizer=letters(), text_encoder=UMT5EncoderModel(UMT5Config(**T5_SIZES)).eval(), vae=wan_autoencoder(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
        image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        image_processor=CLIPImageProcessor(crop_size=32, size=32),
        transformer=SkyReelsV2Transformer3DModel(in_channels=36, image_dim=4, **WAN_SIZES).eval(),
    )  # fmt: skip
    return saved(pipe, root / "skyreels-image")


def ltx_condition(root: Path) -> Path:
    return ltx(root, LTXConditionPipeline)


def latte(root: Path) -> Path:
    torch.manual_seed(0)
    transformer = LatteTransformer3DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3, caption_channels=WIDTH,
        in_channels=4, cross_attention_dim=24, out_channels=8, attention_bias=True, activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False, video_length=3,
    )  # fmt: skip
    pipe = LattePipeline(
        tokenizer=letters(), text_encoder=T5EncoderModel(T5Config(**T5_SIZES)).eval(), vae=autoencoder(),
        transformer=transformer.eval(), scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    return saved(pipe, root / "latte")


def ltx(root: Path, kind: type[DiffusionPipeline] = LTXPipeline) -> Path:
    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4, patch_size=1,
        patch_size_t=1,
    )  # fmt: skip
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=4, attention_head_dim=8, cross_attention_dim=32,
        num_layers=1, caption_channels=WIDTH,
    )  # fmt: skip
    pipe = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae.eval(), tokenizer=letters(),
        text_encoder=T5EncoderModel(T5Config(**T5_SIZES)).eval(), transformer=transformer.eval(),
    )  # fmt: skip
    return saved(pipe, root / kind.__name__)


def ltx_image(root: Path) -> Path:
    return ltx(root, LTXImageToVideoPipeline)


def cogvideox(root: Path, kind: type[DiffusionPipeline] = CogVideoXPipeline, in_channels: int = 4) -> Path:
    torch.manual_seed(0)
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=4, attention_head_dim=8, in_channels=in_channels, out_channels=4, time_embed_dim=2,
        text_embed_dim=WIDTH, num_layers=1, sample_width=4, sample_height=4, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4,
    )  # fmt: skip
    pipe = kind(
        tokenizer=letters(), text_encoder=T5EncoderModel(T5Config(**T5_SIZES)).eval(), vae=vae.eval(),
        transformer=transformer.eval(), scheduler=CogVideoXDDIMScheduler(),
    )  # fmt: skip
    return saved(pipe, root / kind.__name__)


def ltx_long(root: Path) -> Path:
    from diffusers import LTXI2VLongMultiPromptPipeline

    return ltx(root, LTXI2VLongMultiPromptPipeline)


def cogvideox_image(root: Path) -> Path:
    return cogvideox(root, CogVideoXImageToVideoPipeline, in_channels=8)


def animatediff_pag(root: Path) -> Path:
    return animatediff(root, AnimateDiffPAGPipeline)


def animatediff(root: Path, kind: type[DiffusionPipeline] = AnimateDiffPipeline) -> Path:
    torch.manual_seed(0)
    adapter = MotionAdapter(
        block_out_channels=(4, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2
    )
    pipe = kind(
        vae=autoencoder(), text_encoder=text_encoder(), tokenizer=tokenizer(root / "words"), unet=unet_2d(),
        motion_adapter=adapter.eval(), scheduler=DDIMScheduler(beta_schedule="linear", clip_sample=False),
    )  # fmt: skip
    return saved(pipe, root / kind.__name__)

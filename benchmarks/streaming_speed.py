"""The speed card of models beside each other, with random weights of their true size: times do not depend on them.

    python benchmarks/streaming_speed.py --out results             # on a GPU, a few minutes
    python benchmarks/streaming_speed.py --tiny                    # a rehearsal on a CPU: small networks
    python benchmarks/streaming_speed.py --only ART-V "ART-V, skip-copied" --out two

Models are made on the device in bfloat16 from their published configurations, autoencoders too. Text encoders are left
out but for ART-V's (their prompts' embeddings are random): encoding a prompt is not in the times of the others. None is
begun after --seconds. Steps are what the row says; the first pass of a method, which is not counted, takes one step
(ART-V: six, in which every acceleration does all that it ever does). With random weights no mask is sure of itself, so
that ``skip-copied`` has nothing to skip. Writes ``streaming_speed.json`` and ``.md`` as it goes.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from artv_diffusers.chunks import makes_windows, windows
from artv_diffusers.method import to_uint8
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    I2VGenXLPipeline,
    I2VGenXLUNet,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2Transformer3DModel,
    TextToVideoSDPipeline,
    UNet3DConditionModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

from artv import ArtVModel, ArtVPipeline, OpenClipTextEncoder
from artv.autoencoder import paper_autoencoder
from artv.progress import quiet_loading
from artv_eval.api import ClipRequest, GeneratedClip, NextFrames
from artv_eval.efficiency.card import CARD
from artv_eval.efficiency.rows import versions
from artv_eval.efficiency.streaming import cpu_name, measure


class Bench:
    """Where models are made, and how large."""

    def __init__(self, tiny: bool):
        self.tiny, self.device = tiny, torch.device("cpu" if tiny else "cuda")
        self.dtype = torch.float32 if tiny else torch.bfloat16

    def made(self, kind: type, full: Mapping[str, Any], small: Mapping[str, Any]) -> Any:
        """A network with random weights."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with self.device:
                return kind(**(small if self.tiny else full)).eval().requires_grad_(False).to(self.dtype)
        finally:
            torch.set_default_dtype(before)

    def embeddings(self, length: int, width: int) -> dict[str, torch.Tensor]:
        """Random embeddings of a prompt and of the empty one."""
        names = ("prompt_embeds", "negative_prompt_embeds")
        shape = (1, length, width)
        return {name: torch.randn(*shape, device=self.device, dtype=self.dtype) for name in names}


class ArtV:
    """ART-V through its own pipeline; every frame is a chunk, and the first is given."""

    def __init__(self, bench: Bench, steps: int, **settings: Any):
        self.steps, self.settings, self._called = steps, settings, False
        if bench.tiny:
            self.pipe = ArtVPipeline.from_pretrained("shapes")
            return
        with bench.device:
            model = ArtVModel.from_config(preset="paper").eval().requires_grad_(False)
            text = OpenClipTextEncoder().eval().requires_grad_(False)
            vae = paper_autoencoder().eval().requires_grad_(False)
        self.pipe = ArtVPipeline(model.to(bench.dtype), vae.to(bench.dtype), text.to(bench.dtype))

    def conditions(self) -> dict[str, Any]:
        dtype = next(self.pipe.model.parameters()).dtype
        return {"precision": str(dtype).removeprefix("torch."), "steps": self.steps, "given_frames": 1}

    def decoder(self) -> tuple[Any, str]:
        return self.pipe.autoencoder, "decode"

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames]:
        first, steps = requests[0], self.steps if self._called else min(self.steps, 6)
        self._called = True
        frames = self.pipe.stream(
            [r.prompt for r in requests], image=[r.first_frame for r in requests], seed=[r.seed for r in requests],
            num_frames=first.num_frames, height=first.height, width=first.width, steps=steps, **self.settings,
        )  # fmt: skip
        return (NextFrames(np.asarray(frame)[:, None]) for frame in frames)


class Pipeline:
    """A pipeline of diffusers; its first call takes one step."""

    def __init__(self, pipe: Any, steps: int, arguments: Mapping[str, Any]):
        self.pipe, self.steps, self.arguments, self._called = pipe, steps, dict(arguments), False
        pipe.set_progress_bar_config(disable=True)

    def conditions(self) -> dict[str, Any]:
        return {"precision": str(self.pipe.dtype).removeprefix("torch."), "steps": self.steps}

    def decoder(self) -> tuple[Any, str] | None:
        return None if "overlap_history" in self.arguments else (self.pipe.vae, "decode")

    def _call(self, request: ClipRequest) -> dict[str, Any]:
        steps, self._called = self.steps if self._called else 1, True
        return {
            "num_frames": request.num_frames,
            "height": request.height,
            "width": request.width,
            "num_inference_steps": steps,
            "output_type": "np",
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            **self.arguments,
        }

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames] | None:
        if "overlap_history" not in self.arguments:
            return None
        return self._windows(requests[0])

    def _windows(self, request: ClipRequest) -> Iterator[NextFrames]:
        arguments = self._call(request)
        if not makes_windows(self.pipe, arguments):  # the pass that is not counted
            yield NextFrames(to_uint8(np.asarray(self.pipe(**arguments).frames[0]))[None])
            return
        for frames in windows(self.pipe, arguments):
            yield NextFrames(to_uint8(frames)[None])

    def generate(self, requests: Sequence[ClipRequest]) -> list[GeneratedClip]:
        frames = np.asarray(self.pipe(**self._call(requests[0])).frames[0])
        return [GeneratedClip(to_uint8(frames[: requests[0].num_frames]))]


WAN = {
    "patch_size": (1, 2, 2), "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30,
    "text_dim": 4096,
}  # fmt: skip
SMALL_WAN = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 32, "num_layers": 1, "text_dim": 32}
SMALL_WAN_VAE = {
    "base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}  # fmt: skip


def wan(bench: Bench, steps: int) -> Pipeline:
    """Wan-2.1-1.3B: 12 heads of 128, 30 layers."""
    pipe = WanPipeline(
        tokenizer=None, text_encoder=None, vae=bench.made(AutoencoderKLWan, {}, SMALL_WAN_VAE),
        transformer=bench.made(WanTransformer3DModel, WAN, SMALL_WAN),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    )  # fmt: skip
    return Pipeline(pipe, steps, bench.embeddings(512, 32 if bench.tiny else 4096))


def skyreels(bench: Bench, steps: int) -> Pipeline:
    """SkyReels-V2-DF-1.3B, synchronous, windows of 97 frames that share 17."""
    pipe = SkyReelsV2DiffusionForcingPipeline(
        tokenizer=None, text_encoder=None, vae=bench.made(AutoencoderKLWan, {}, SMALL_WAN_VAE),
        transformer=bench.made(
            SkyReelsV2Transformer3DModel, {**WAN, "inject_sample_info": True}, {**SMALL_WAN, "inject_sample_info": True}
        ),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
    )  # fmt: skip
    base = {"overlap_history": 5, "base_num_frames": 9} if bench.tiny else {"overlap_history": 17}
    # the prompt is not read where its embeddings are there, but this pipeline's signature asks for it
    return Pipeline(pipe, steps, {"prompt": None, **bench.embeddings(512, 32 if bench.tiny else 4096), **base})


def cogvideox(bench: Bench, steps: int) -> Pipeline:
    """CogVideoX-2B: diffusers' defaults."""
    small_vae = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4,
        "block_out_channels": (8,) * 4, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 2,
    }  # fmt: skip
    small = {
        "num_attention_heads": 4, "attention_head_dim": 8, "in_channels": 4, "out_channels": 4, "time_embed_dim": 2,
        "text_embed_dim": 32, "num_layers": 1, "sample_width": 4, "sample_height": 4, "sample_frames": 9,
    }  # fmt: skip
    pipe = CogVideoXPipeline(
        tokenizer=None, text_encoder=None, vae=bench.made(AutoencoderKLCogVideoX, {}, small_vae),
        transformer=bench.made(CogVideoXTransformer3DModel, {}, small), scheduler=CogVideoXDDIMScheduler(),
    )  # fmt: skip
    return Pipeline(pipe, steps, bench.embeddings(226, 32 if bench.tiny else 4096))


def ltx(bench: Bench, steps: int) -> Pipeline:
    """LTX-Video 2B: diffusers' defaults."""
    small_vae = {
        "latent_channels": 8, "block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4,
        "layers_per_block": (1,) * 5, "decoder_layers_per_block": (1,) * 5,
        "spatio_temporal_scaling": (True, True, False, False), "decoder_inject_noise": (False,) * 5,
        "decoder_spatio_temporal_scaling": (True, True, False, False), "upsample_residual": (False,) * 4,
        "upsample_factor": (1,) * 4, "patch_size": 1, "patch_size_t": 1,
    }  # fmt: skip
    small = {
        "in_channels": 8, "out_channels": 8, "num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 1,
        "cross_attention_dim": 32, "caption_channels": 32,
    }  # fmt: skip
    pipe = LTXPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=bench.made(AutoencoderKLLTXVideo, {}, small_vae),
        text_encoder=None, tokenizer=None, transformer=bench.made(LTXVideoTransformer3DModel, {}, small),
    )  # fmt: skip
    masks = {
        f"{name}_attention_mask": torch.ones(1, 128, device=bench.device) for name in ("prompt", "negative_prompt")
    }
    return Pipeline(pipe, steps, {**bench.embeddings(128, 32 if bench.tiny else 4096), **masks})


SMALL_UNET = {
    "sample_size": 8, "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 4,
    "block_out_channels": (4, 8), "norm_num_groups": 2, "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
}  # fmt: skip


def modelscope(bench: Bench, steps: int) -> Pipeline:
    """ModelScope 1.7B: diffusers' defaults, the autoencoder of SD 2.1."""
    pipe = TextToVideoSDPipeline(
        vae=bench.made(paper_autoencoder, {}, {}), text_encoder=None, tokenizer=None,
        unet=bench.made(UNet3DConditionModel, {}, SMALL_UNET), scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    return Pipeline(pipe, steps, bench.embeddings(77, 16 if bench.tiny else 1024))


class I2VGenXL(Pipeline):
    """Without its text encoder; a picture to begin with."""

    def _call(self, request: ClipRequest) -> dict[str, Any]:
        from PIL import Image

        return {**super()._call(request), "image": Image.fromarray(request.first_frame)}


def i2vgen_xl(bench: Bench, steps: int) -> Pipeline:
    """I2VGen-XL: diffusers' defaults, the image encoder of its card (CLIP ViT-H/14)."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = partial(CLIPVisionConfig, image_size=224)
    pipe = I2VGenXLPipeline(
        vae=bench.made(paper_autoencoder, {}, {}), text_encoder=None, tokenizer=None,
        image_encoder=bench.made(
            CLIPVisionModelWithProjection, {"config": config(patch_size=14, projection_dim=1024, **sizes)},
            {"config": config(patch_size=112, projection_dim=16, **small)},
        ),
        feature_extractor=CLIPImageProcessor(), unet=bench.made(I2VGenXLUNet, {"num_attention_heads": 64}, SMALL_UNET),
        scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip
    return I2VGenXL(pipe, steps, bench.embeddings(77, 16 if bench.tiny else 1024))


Make = Callable[[Bench], Any]


def plan(tiny: bool) -> Iterator[tuple[str, Make, tuple[int, int, int, float]]]:
    """Name, what makes it, and width, height, frames and rate."""
    size = (lambda *full: (32, 32, 17, 8.0)) if tiny else lambda *full: full
    fast, slow = (1, 1) if tiny else (50, 5)
    art = (64, 64, 4, 8.0) if tiny else (320, 320, 16, 8.0)
    yield "ART-V", lambda b: ArtV(b, fast), art
    yield "ModelScope", lambda b: modelscope(b, fast), size(256, 256, 16, 8.0)
    yield "I2VGen-XL", lambda b: i2vgen_xl(b, slow), size(1280, 704, 16, 16.0)
    yield "Wan-2.1-1.3B", lambda b: wan(b, slow), size(832, 480, 81, 16.0)
    yield "CogVideoX-2B", lambda b: cogvideox(b, slow), size(720, 480, 49, 8.0)
    yield "LTX-Video 2B", lambda b: ltx(b, fast), size(704, 480, 161, 24.0)
    yield "SkyReels-V2-DF-1.3B", lambda b: skyreels(b, slow), size(832, 480, 177, 24.0)
    yield "ART-V, dpmpp_2m", lambda b: ArtV(b, max(fast // 2, 1), sampler="dpmpp_2m"), art
    for name in ("reuse-features", "reuse-evaluations", "reuse-guidance", "skip-copied"):
        yield f"ART-V, {name}", lambda b, name=name: ArtV(b, fast, acceleration=name), art


def request(width: int, height: int, frames: int, fps: float) -> ClipRequest:
    """One clip."""
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ClipRequest(
        index=0, prompt="a red circle moves to the right", seed=0, num_frames=frames, height=height, width=width,
        fps=fps, first_frame=picture,
    )  # fmt: skip


def row_of(bench: Bench, name: str, make: Make, asked: ClipRequest) -> dict[str, Any]:
    """A row, or the reason why there is none."""
    hardware = cpu_name() if bench.tiny else torch.cuda.get_device_name()
    try:
        with quiet_loading():
            method = make(bench)
        row = measure(name, method, [asked], hardware, gpu=not bench.tiny)
    except Exception as error:
        row = {"method": name, "hardware": hardware, "status": f"failed: {type(error).__name__}: {error}"[:300]}
    method = None
    gc.collect()
    if not bench.tiny:
        torch.cuda.empty_cache()
    return row


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="small networks, on a CPU")
    parser.add_argument("--seconds", type=float, default=230.0, help="no row is begun after these")
    parser.add_argument("--only", nargs="+", help="names of rows; default: all")
    parser.add_argument("--out", type=Path, help="folder for streaming_speed.json and .md")
    args = parser.parse_args()
    bench, began, rows = Bench(args.tiny), time.monotonic(), []
    for name, make, (width, height, frames, fps) in plan(args.tiny):
        if args.only and name not in args.only:
            continue
        if time.monotonic() - began > args.seconds:
            print(f"{name}: not begun: {args.seconds:g} s are over", flush=True)
            continue
        started = time.monotonic()
        rows.append(row_of(bench, name, make, request(width, height, frames, fps)))
        print(f"{name}: {rows[-1]['status']}; {time.monotonic() - started:.1f} s with its making", flush=True)
        if args.out:
            save(args.out, rows, "tiny" if args.tiny else "cuda")
    print(CARD.render(rows, "table"))


def save(folder: Path, rows: Sequence[Mapping[str, Any]], device: str) -> None:
    """What is there so far."""
    folder.mkdir(parents=True, exist_ok=True)
    known = versions("cuda" if device == "cuda" else "cpu")
    record = {"command": "python benchmarks/streaming_speed.py", **known, "rows": list(rows)}
    (folder / "streaming_speed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = (
        f"# Speed card\n\n{CARD.render(rows, 'markdown')}\n\ntorch {known['torch']}, diffusers {known['diffusers']}.\n"
    )
    (folder / "streaming_speed.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

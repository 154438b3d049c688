"""Where a diffusers pipeline's weights wait, on a GPU: all there, a network at a time, a layer at a time.

    python benchmarks/offload.py --out results           # on a GPU; tiny pipelines, and a Wan of 0.7 GB
    python benchmarks/offload.py --device cpu            # a rehearsal, without layers: accelerate cannot there

Every pipeline has random weights, is saved in the real format, and makes the same clip three times through the method
``diffusers:<folder>``. What is counted is the peak of tensors on the GPU while it is loaded and makes its clip, and how
far the clip lies from the one of the pipeline that is wholly there. No row is begun after --seconds.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from artv_diffusers import weights
from artv_diffusers.method import DiffusersVideo
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from artv.progress import quiet_loading
from artv_eval.efficiency.cuda import release
from artv_eval.efficiency.rows import versions
from artv_eval.testing import toy_requests

sys.path.insert(0, str(Path(__file__).parent.parent / "plugins" / "artv-diffusers" / "tests"))
import tiny
import tiny_transformers

TINY = (
    "wan", "wan_image", "modelscope", "i2vgen_xl", "stable_video_diffusion", "cogvideox", "ltx", "skyreels_v2",
    "skyreels_v2_forcing", "animatediff", "latte", "anyflow_far", "cogvideox_image", "ltx_image", "ltx_condition",
    "skyreels_v2_image", "skyreels_v2_forcing_image", "animatediff_pag",
)  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {"anyflow_far": {"arguments": {"chunk_partition": [1, 1]}}}


def larger_wan(root: Path) -> Path:
    """Wan with 8 layers of 1024 in the transformer and in the text encoder, and its published autoencoder."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 8, "num_heads": 16}
    pipe = WanPipeline(
        tokenizer=tiny_transformers.letters(), text_encoder=UMT5EncoderModel(UMT5Config(**sizes)).eval().bfloat16(),
        vae=AutoencoderKLWan().eval().bfloat16(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=WanTransformer3DModel(
            num_attention_heads=8, attention_head_dim=128, ffn_dim=4096, num_layers=8, text_dim=1024
        ).eval().bfloat16(),
    )  # fmt: skip
    return tiny_transformers.saved(pipe, root / "larger-wan")


def pipelines() -> Iterator[tuple[str, Callable[[Path], Path], dict[str, Any]]]:
    """Name, what saves it, settings of the method."""
    yield "wan, 0.7 GB", larger_wan, {"dtype": "bfloat16"}
    for name in TINY:
        make = getattr(tiny if hasattr(tiny, name) else tiny_transformers, name)
        yield name, make, {"dtype": "float32", **SETTINGS.get(name, {})}


def clip_of(
    folder: Path, settings: dict[str, Any], offload: bool | str, device: str
) -> tuple[np.ndarray, float, float]:
    """The clip (T, H, W, 3), the peak of tensors on the GPU in MiB, and the seconds of loading and making it."""
    weights.load.cache_clear()
    on_gpu = device != "cpu"
    if on_gpu:
        release()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    method = DiffusersVideo(str(folder), steps=2, height=64, width=64, offload=offload, device=device, **settings)
    (clip,) = method.generate(toy_requests(1, frames=3, size=64))
    spent = time.perf_counter() - began
    return clip.frames, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0, spent


def rows_of(name: str, folder: Path, settings: dict[str, Any], device: str) -> Iterator[dict[str, Any]]:
    """A row for each place; the first is what the others are compared with."""
    whole = None
    for offload in (False, "model", *(["sequential"] if device != "cpu" else [])):
        row: dict[str, Any] = {"pipeline": name, "offload": offload}
        try:
            with quiet_loading():
                frames, mib, spent = clip_of(folder, settings, offload, device)
            whole = frames if whole is None else whole
            apart = int(np.abs(frames.astype(int) - whole.astype(int)).max())
            row |= {"peak_mib": round(mib, 1), "seconds": round(spent, 2), "levels_apart": apart, "status": "ok"}
        except Exception as error:
            row["status"] = f"failed: {type(error).__name__}: {' '.join(str(error).split())}"[:300]
        yield row


def save(folder: Path, rows: list[dict[str, Any]], device: str) -> None:
    """What is there so far."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"command": "python benchmarks/offload.py", **versions(device), "rows": rows}
    (folder / "offload.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=120.0, help="no pipeline is begun after these")
    parser.add_argument("--out", type=Path, help="folder for offload.json")
    args = parser.parse_args()
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as root:
        for name, make, settings in pipelines():
            if time.monotonic() - began > args.seconds:
                print(f"{name}: not begun: {args.seconds:g} s are over", flush=True)
                continue
            for row in rows_of(name, make(Path(root)), settings, args.device):
                rows.append(row)
                print(json.dumps(row), flush=True)
                if args.out:
                    save(args.out, rows, args.device)


if __name__ == "__main__":
    main()

"""How fast ART-V is on a GPU: each path beside its eager baseline and beside ModelScope, in one run.

    python benchmarks/speed.py --out results                       # everything, about 6 minutes on an H200
    python benchmarks/speed.py --part evaluation --part clip       # parts of it
    python benchmarks/speed.py --device cpu                        # a rehearsal: small networks, times mean nothing

Weights are random: times do not depend on them. Writes ``speed.json`` and ``speed.md`` as it goes.

Parts:
    exact: whole rollouts through graphs and kernels against the model itself, float32 and bfloat16.
    evaluation: one frame, four guidance branches, 320 pixels: what a sampler calls.
    batch: 16 frames in one batch, one branch, beside ModelScope as written.
    tuned: ModelScope compiled and in one CUDA graph, for the comparison with ``batch`` (compiles for minutes).
    clip: a 16-frame clip of 320 pixels, 50 steps of DPM++ 2S a, alone and eight together.
    shapes: generation for a sweep at ``shapes`` size.
    frames: seconds and memory against the number of frames.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artv import ArtVModel, ArtVPipeline, OpenClipTextEncoder
from artv.anchors import anchor_strategy
from artv.autoencoder import paper_autoencoder
from artv.denoiser import Denoiser
from artv.guidance import Guidance, ThreeTerm
from artv.networks import Conditions, InferenceModel
from artv.progress import quiet_loading
from artv.rollout import Sampling, rollout
from artv_eval.efficiency.cases import ArtVForward, Case, artv_inputs, find_cases
from artv_eval.efficiency.rows import versions
from artv_eval.efficiency.settings import prepare, runner

FULL_ONLY = ThreeTerm(ref=0, anchor=0, text=0)
SIGMA = torch.tensor(3.0, dtype=torch.float64)


class Bench:
    """Sizes, dtype and timing for a GPU, or small ones for a rehearsal."""

    def __init__(self, device: str, repeats: int) -> None:
        self.device, self.repeats = torch.device(device), repeats
        self.real = device == "cuda"
        self.dtype = torch.bfloat16 if self.real else torch.float32
        self.resolutions = (320, 448, 768) if self.real else (128,)
        self.pixels = self.resolutions[0]
        self._model: ArtVModel | None = None

    @property
    def model(self) -> ArtVModel:
        """ART-V with random weights, anchor blocks included."""
        if self._model is None:
            torch.manual_seed(0)
            with self.device:
                model = ArtVModel.from_config(preset="paper" if self.real else "shapes").eval().requires_grad_(False)
            for network in (model.dynamic_network, model.mask_network):
                for block in network.anchor_blocks:
                    torch.nn.init.normal_(block.proj_out.weight, std=0.02)
            self._model = model.to(dtype=self.dtype)
        return self._model

    @property
    def text_shape(self) -> tuple[int, int]:
        return (77, 1024) if self.real else (24, 96)

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.randn(*shape, device=self.device, dtype=dtype or self.dtype)

    def milliseconds(self, call: Callable[[], Any]) -> float:
        """Median of CUDA events after a warm-up."""
        if not self.real:
            return _seconds(call) * 1e3
        for _ in range(5):
            call()
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(self.repeats)]
        for start, end in pairs:
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return statistics.median(start.elapsed_time(end) for start, end in pairs)

    def seconds(self, call: Callable[[], Any]) -> float:
        """Wall clock of one call, everything finished."""
        self.wait()
        started = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        if self.real:
            torch.cuda.synchronize()

    def denoiser(self, sampled: Any, frames: int, pixels: int, guidance: Guidance) -> Callable[[], Tensor]:
        """One guided evaluation of ``frames`` frames, repeated as a sampler does."""
        hw = pixels // 8
        latents, ones = self.normal(frames, 4, 4, hw, hw, dtype=torch.float32), torch.ones(frames, device=self.device)
        conditions = Conditions(
            latents[:, :2], latents[:, 1], latents[:, 2], ones, ones, self.normal(frames, *self.text_shape)
        )
        null = self.normal(1, *self.text_shape)
        with torch.no_grad():
            encoded = sampled.encode(conditions)
        denoise = Denoiser(sampled, encoded, conditions.text_BLD, null, guidance=guidance)
        return lambda: denoise(latents[:, 3], SIGMA)

    def pipeline(self) -> ArtVPipeline:
        with self.device:
            autoencoder = paper_autoencoder()
            text = OpenClipTextEncoder() if self.real else OpenClipTextEncoder(width=96, heads=4, layers=2)
        for component in (autoencoder, text):
            component.to(dtype=self.dtype).eval().requires_grad_(False)
        return ArtVPipeline(self.model, autoencoder, text)


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def exact(bench: Bench) -> Iterator[dict[str, Any]]:
    """Largest and mean difference of the latents of a whole rollout, relative to the largest latent."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model = bench.model.to(torch.float32)
    hw, frames = bench.pixels // 8, 3
    text, null = bench.normal(1, *bench.text_shape), bench.normal(1, *bench.text_shape)
    first = bench.normal(1, 4, hw, hw, dtype=torch.float32)

    @torch.no_grad()
    def latents(sampled: Any) -> Tensor:
        dtype = model.dtype
        made = rollout(
            sampled,
            [text.to(dtype)],
            null.to(dtype),
            frames_per_prompt=frames,
            seeds=[0],
            shape=(4, hw, hw),
            sampling=Sampling(guidance=ThreeTerm(), steps=10),
            anchor=anchor_strategy("first"),
            first_BCHW=first,
        )
        return torch.stack([frame.latent_BCHW for frame in made])[1:]

    truth = latents(model)
    scale = truth.abs().max()

    def row(name: str, other: Tensor) -> dict[str, Any]:
        gap = (other - truth).abs() / scale
        return {"what": name, "largest": float(gap.max()), "mean": float(gap.mean())}

    yield row("float32, graphs and kernels", latents(InferenceModel(model)))
    model = model.to(bench.dtype)
    yield row(f"{_name(bench.dtype)}, the model itself", latents(model))
    yield row(f"{_name(bench.dtype)}, graphs and kernels", latents(InferenceModel(model)))


def evaluation(bench: Bench) -> Iterator[dict[str, Any]]:
    """Milliseconds of one evaluation of one frame."""
    module = ArtVForward(bench.model)
    inputs = artv_inputs(module, bench.pixels, 1, 4) if bench.real else None
    if inputs is not None:
        eager = bench.milliseconds(lambda: module(*inputs))
        yield {"what": "eager, everything at each evaluation", "branches": 4, "ms": eager}
    variants = {
        "eager, conditions encoded once": bench.model,
        "fused, launched one by one": InferenceModel(bench.model, graphs=False),
        "fused, in a CUDA graph": InferenceModel(bench.model),
    }
    for name, sampled in variants.items():
        ms = bench.milliseconds(bench.denoiser(sampled, 1, bench.pixels, ThreeTerm()))
        yield {"what": name, "branches": 4, "ms": ms}
    ms = bench.milliseconds(bench.denoiser(variants["fused, in a CUDA graph"], 1, bench.pixels, FULL_ONLY))
    yield {"what": "fused, in a CUDA graph", "branches": 1, "ms": ms}


def batch(bench: Bench) -> Iterator[dict[str, Any]]:
    """16 frames in one batch: batch/s; and ModelScope as written."""
    module = ArtVForward(bench.model)
    for pixels in bench.resolutions:
        fast = bench.milliseconds(bench.denoiser(InferenceModel(bench.model), 16, pixels, FULL_ONLY))
        row = {"what": "ART-V", "pixels": pixels, "eager": None, "fast": 1e3 / fast}
        if bench.real:
            inputs = artv_inputs(module, pixels, 16, 1)
            row["eager"] = 1e3 / bench.milliseconds(lambda inputs=inputs: module(*inputs))
        yield row
    yield from (_modelscope(bench, pixels, "eager") for pixels in bench.resolutions if bench.real)


def tuned(bench: Bench) -> Iterator[dict[str, Any]]:
    """ModelScope compiled, channels-last, in one CUDA graph: minutes a resolution."""
    yield from (_modelscope(bench, pixels, "tuned") for pixels in bench.resolutions if bench.real)


@torch.no_grad()
def _modelscope(bench: Bench, pixels: int, setting: str) -> dict[str, Any]:
    case: Case = find_cases(["modelscope"])[0]
    with bench.device:
        module = prepare(case.build().to(bench.dtype).eval().requires_grad_(False), setting)
    run = runner(module, case.inputs(module, pixels, 16, 1), setting)
    ms = bench.milliseconds(run.call)
    return {"what": "ModelScope", "pixels": pixels, "eager" if setting == "eager" else "fast": 1e3 / ms}


def clip(bench: Bench) -> Iterator[dict[str, Any]]:
    """Seconds of a finished clip, from the prompt to uint8 frames on the host, the first frame given."""
    pipe = bench.pipeline()
    frames, steps = (16, 50) if bench.real else (3, 2)
    image = torch.randint(0, 255, (bench.pixels, bench.pixels, 3), dtype=torch.uint8).numpy()
    settings: dict[str, Any] = {"image": image, "height": bench.pixels, "width": bench.pixels}
    settings |= {"guidance": "three_term", "anchor": "first"}

    def make(prompts: list[str], frames: int, steps: int) -> Callable[[], Any]:
        return lambda: pipe(prompts, num_frames=frames, steps=steps, **settings)

    pipe.fast = False
    make(["a prompt"], 2, 2)()
    eager = bench.seconds(make(["a prompt"], 2, steps)) * (frames - 1)
    yield {"what": "model itself, alone (one frame, times 15)", "s_per_clip": eager}
    pipe.fast = True
    for together in (1, 8):
        prompts = ["a prompt"] * together
        start = bench.seconds(make(prompts, 2, 2))  # chooses algorithms, captures the graph
        seconds = bench.seconds(make(prompts, frames, steps))
        yield {"what": f"fast, {together} together", "s_per_clip": seconds / together, "start_s": start}


def shapes(bench: Bench) -> Iterator[dict[str, Any]]:
    """Clips a second as a sweep makes them: packaged weights and settings, 16 frames."""
    pipe = ArtVPipeline.from_pretrained("shapes").to(bench.device)
    for name, fast, together in (("model itself", False, 24), ("fast", True, 24), ("fast", True, 512)):
        prompts = ["a red circle moves left"] * (together if bench.real else 2)
        pipe.fast = fast
        pipe(prompts, num_frames=2 if bench.real else 1, steps=1)
        pipe(prompts, num_frames=2)
        seconds = bench.seconds(lambda prompts=prompts: pipe(prompts, num_frames=16 if bench.real else 2))
        yield {"what": name, "clips_at_once": together, "clips_per_s": len(prompts) / seconds}


def frames(bench: Bench) -> Iterator[dict[str, Any]]:
    """Seconds and peak memory as clips grow longer; few steps, because time is linear in them too."""
    pipe = bench.pipeline()
    settings: dict[str, Any] = {"height": bench.pixels, "width": bench.pixels, "steps": 8, "guidance": "three_term"}
    for _ in pipe.stream("a prompt", num_frames=3, **settings):
        pass
    for number in (16, 32, 64, 128, 256) if bench.real else (2, 4):
        if bench.real:
            torch.cuda.reset_peak_memory_stats()
        seconds = bench.seconds(
            lambda number=number: [None for _ in pipe.stream("a prompt", num_frames=number, **settings)]
        )
        gib = torch.cuda.max_memory_allocated() / 2**30 if bench.real else None
        yield {"frames": number, "s": seconds, "s_per_frame": seconds / number, "peak_gib": gib}


PARTS = {f.__name__: f for f in (exact, evaluation, batch, tuned, clip, shapes, frames)}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def markdown(record: dict[str, Any]) -> str:
    """One table a part."""
    lines = ["# Speed", "", ", ".join(f"{k} {v}" for k, v in record["made_with"].items()), ""]
    for part, rows in record["parts"].items():
        keys = list(dict.fromkeys(key for row in rows for key in row))
        lines += [f"## {part}", "", PARTS[part].__doc__.splitlines()[0], ""]
        lines += ["| " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
        lines += ["| " + " | ".join(_cell(row.get(key)) for key in keys) + " |" for row in rows] + [""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be given several times; default: all")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--pixels", type=int, action="append", help="of batch and tuned; default: 320, 448 and 768")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    bench = Bench(arguments.device, arguments.repeats)
    bench.resolutions = tuple(arguments.pixels or bench.resolutions)
    arguments.out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"made_with": versions(arguments.device), "parts": {}}
    for part in arguments.part or PARTS:
        started = time.perf_counter()
        rows = record["parts"][part] = []
        with quiet_loading():
            for row in PARTS[part](bench):
                rows.append(row)
                (arguments.out / "speed.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
                (arguments.out / "speed.md").write_text(markdown(record), encoding="utf-8")
        print(f"{part}: {time.perf_counter() - started:.0f} s", *rows, sep="\n  ", flush=True)
        if bench.real:
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

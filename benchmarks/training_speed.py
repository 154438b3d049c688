"""How fast training steps are on one GPU: the settings of before beside today's, in one run.

    python benchmarks/training_speed.py --out results                      # everything
    python benchmarks/training_speed.py --part paper --variant fused       # one of them
    python benchmarks/training_speed.py --part memory --card 24            # of one size of cards
    python benchmarks/training_speed.py --device cpu                       # a rehearsal: times mean nothing

Latents, text and weights are random: times do not depend on them. Each step is the training loop's own (forward,
backward, AdamW, average), timed by CUDA events after a warm-up. Writes ``training_speed.json`` as it goes, and with
``--profile`` the time of every kernel of one step.

Parts:
    paper: 320 pixels, batch 120, and 640 pixels, batch 32.
    shapes: the small networks, batch 512, in a CUDA graph.
    memory: what fits on cards of 24, 48 and 80 GiB, and how fast it is; estimates of ``--dry-run`` beside it.
    curve, small_curve: losses of the same draws with moments of 32 and of 8 bits.
    attention: torch's attention backends, forward and backward, at the paper's sizes.
"""

import argparse
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from artv import ArtVModel
from artv.data.latents import LatentCache
from artv.training.config import TrainConfig, load_config, with_loop
from artv.training.estimate import GIB, estimate, flops_a_sample
from artv.training.model import loss_drawer, prepare_networks
from artv.training.step import Prepare, Step
from artv_eval.efficiency.cuda import clocks
from artv_eval.efficiency.rows import versions

VARIANTS: dict[str, dict[str, Any]] = {
    "before": {"fused": False, "recompute": True, "graph": False},
    "fused, recomputed": {"fused": True, "recompute": True},
    "fused": {"fused": True, "recompute": False},
    "fused, eager": {"fused": True, "recompute": False, "graph": False},
    "fused, two streams": {"fused": True, "recompute": False, "overlap": True},
    "one pass, two streams": {"fused": True, "recompute": False, "overlap": True, "fused_update": True},
    "stratified": {"overlap": True, "fused_update": True, "stratified": True},
    "stratified, FlashAttention-3": {
        "overlap": True,
        "fused_update": True,
        "stratified": True,
        "attention_kernels": "fa3",
    },
    "recomputed, 8 bits": {"fused": True, "recompute": True, "optimizer": "adamw8bit"},
    "8 bits": {"fused": True, "recompute": False, "optimizer": "adamw8bit"},
    "8 bits, eager": {"fused": True, "recompute": False, "optimizer": "adamw8bit", "graph": False},
}
CARDS = {
    24: (("8 bits", 8), ("8 bits, eager", 8), ("recomputed, 8 bits", 8), ("fused, recomputed", 8)),
    48: (("fused", 32), ("8 bits", 40), ("fused, recomputed", 80)),
    80: (("fused", 96), ("fused", 80), ("fused, recomputed", 120)),
}
"""Memory of a card in GiB, and what to try on it, with the batch."""
TEXT = {"paper": (77, 1024), "shapes": (32, 96)}


class Bench:
    """Device, sizes and repeats; small ones for a rehearsal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.device = torch.device(arguments.device)
        self.real, self.repeats, self.out = arguments.device == "cuda", arguments.repeats, arguments.out
        self.variants, self.pixels, self.profiled = arguments.variant, arguments.pixels, arguments.profile
        self.cards, self.steps = arguments.card or list(CARDS), arguments.steps
        self.rate = matrix_rate() if self.real else None

    def milliseconds(self, call: Callable[[], Any]) -> list[float]:
        """Times of calls, one behind the other, between CUDA events."""
        if not self.real:
            started = time.perf_counter()
            call()
            return [1e3 * (time.perf_counter() - started)]
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(self.repeats + 1)]
        marks[0].record()
        for mark in marks[1:]:
            call()
            mark.record()
        torch.cuda.synchronize()
        return [a.elapsed_time(b) for a, b in itertools.pairwise(marks)]


def matrix_rate(n: int = 8192) -> float:
    """FLOP/s of a bfloat16 product of n × n random matrices, median of 20."""
    a, b = torch.randn(2, n, n, device="cuda", dtype=torch.bfloat16)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(26)]
    for mark in marks:
        mark.record()
        a @ b
    torch.cuda.synchronize()
    times = [x.elapsed_time(y) for x, y in itertools.pairwise(marks[4:])]
    return 2 * n**3 / (statistics.median(times) / 1e3)


def settings_of(preset: str, variant: str, pixels: int, batch: int, bench: Bench) -> TrainConfig:
    settings = {"overlap": False, "fused_update": False, "stratified": False} | VARIANTS[variant]
    loop = {name: value for name, value in settings.items() if name in ("graph", "optimizer", "fused_update")}
    config = load_config(preset, size=pixels, **{k: v for k, v in settings.items() if k not in loop})
    return with_loop(config, "model", batch_size=batch, precision="bf16" if bench.real else "fp32", **loop)


def make_step(config: TrainConfig, bench: Bench, latent: int, prepare: Prepare | None = None) -> Step:
    """A training step on random clips that lie on the device."""
    torch.manual_seed(0)
    with bench.device:
        model = ArtVModel.from_config(config.sizes() if bench.real else load_config("shapes").sizes())
    prepare_networks(model, config, bench.device)
    text = TEXT[config.preset if bench.real else "shapes"]
    clips = LatentCache(
        torch.randn(256, config.num_frames, 4, latent, latent, device=bench.device).half(),
        torch.randn(256, *text, device=bench.device).half(),
    )
    null_text = torch.randn(text, device=bench.device)
    return Step(model, loss_drawer(model, clips.sample, null_text, config), config.model, bench.device, prepare)


@cache
def training_flops(preset: str, latent: int) -> float:
    """FLOPs of one sample's forward and backward pass, attention included, nothing recomputed."""
    with torch.device("meta"):
        model = ArtVModel.from_config(load_config(preset).sizes())
        from artv.networks import Conditions

        z, refs, one = torch.randn(1, 4, latent, latent), torch.randn(1, 2, 4, latent, latent), torch.ones(1)
        conditions = Conditions(refs, z, z, one, one, torch.randn(1, *TEXT[preset]))
        with FlopCounterMode(display=False) as counter:
            encoded = model.encode(conditions)
            outputs = [model.dynamic_network(z, torch.ones(1), conditions.text_BLD, encoded.dynamic)]
            if model.mask_network is not None and encoded.mask is not None:
                outputs.append(model.mask_network(z, torch.ones(1), conditions.text_BLD, encoded.mask))
            sum(x.sum() for x in outputs).backward()
    return float(counter.get_total_flops())


def measured(config: TrainConfig, bench: Bench, latent: int, name: str) -> Iterator[dict[str, Any]]:
    """One row: the first step, then the steps after a warm-up; when it is kept, a profile."""
    started = time.perf_counter()
    step = make_step(config, bench, latent)
    if bench.real:
        torch.backends.cudnn.benchmark = True
        torch.cuda.set_stream(torch.cuda.Stream())
        torch.cuda.reset_peak_memory_stats()
    done, losses = 0, []

    def one() -> None:
        nonlocal done
        losses.append(step(done).clone())
        done += 1

    one()
    first = losses[0].item()
    starting = time.perf_counter() - started
    for _ in range(12 if config.model.graph and bench.real else 3):
        one()
    times = bench.milliseconds(one)
    ms, batch = statistics.median(times), config.model.batch_size
    row = {
        "variant": name,
        "batch": batch,
        "pixels": config.size,
        "ms": ms,
        "ms_range": [min(times), max(times)],
        "steps_per_s": 1e3 / ms,
        "samples_per_s": 1e3 * batch / ms,
        "start_s": starting,
        "loss": [first, torch.stack(losses[-5:]).mean().item()],
    }
    if bench.real:
        row["peak_gib"] = torch.cuda.max_memory_allocated() / GIB
        row["reserved_gib"] = torch.cuda.max_memory_reserved() / GIB
        expected = estimate(config).memory
        row["estimated_gib"] = None if expected is None else expected / GIB
        row["captured"] = step._graph is not None
        row["clocks"] = clocks()
        flops = flops_a_sample(config) or training_flops(config.preset, latent)
        row["tflop_a_sample"] = flops / 1e12
        row["share_of_matrix_rate"] = flops * batch / (ms / 1e3) / (bench.rate or 1)
    yield row
    if bench.real and bench.profiled:
        profile(one, bench.out / f"profile-{config.preset}-{config.size}-{name.replace(', ', '-')}.txt")


def profile(call: Callable[[], Any], file: Path) -> None:
    """Every kernel of one call, longest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    with recorded(activities=[ProfilerActivity.CUDA]) as record:
        call()
        torch.cuda.synchronize()
    events = sorted(record.key_averages(), key=lambda e: -e.self_device_time_total)
    lines = [f"{e.self_device_time_total / 1e3:10.3f} ms {e.count:6d} × {e.key[:150]}" for e in events]
    total = sum(e.self_device_time_total for e in events) / 1e3
    file.write_text("\n".join([f"{total:10.3f} ms in all", *lines[:400]]) + "\n", encoding="utf-8")


def _tried(preset: str, name: str, pixels: int, batch: int, bench: Bench) -> Iterator[dict[str, Any]]:
    config = settings_of(preset, name, pixels, batch, bench)
    try:
        yield from measured(config, bench, pixels // (8 if preset == "paper" else 4), name)
    except torch.OutOfMemoryError:
        yield {"variant": name, "batch": batch, "pixels": pixels, "out_of_memory": True}
    gc.collect()
    if bench.real:
        torch.cuda.empty_cache()


def paper(bench: Bench) -> Iterator[dict[str, Any]]:
    for pixels, batch in [(320, 120), (640, 32)] if bench.real else [(128, 2)]:
        for name in bench.variants if bench.pixels is None or pixels in bench.pixels else ():
            yield from _tried("paper", name, pixels, batch, bench)


def memory(bench: Bench) -> Iterator[dict[str, Any]]:
    """At 320 pixels on cards with less memory: torch may have so much of it, less the context's 0.5 GiB."""
    for gib in bench.cards if bench.real else ():
        total = torch.cuda.get_device_properties(0).total_memory / GIB
        torch.cuda.set_per_process_memory_fraction(min((gib - 0.5) / total, 1.0))
        for name, batch in CARDS[gib]:
            yield from ({"card_gib": gib, **row} for row in _tried("paper", name, 320, batch, bench))
    if bench.real:
        torch.cuda.set_per_process_memory_fraction(1.0)


def curve(bench: Bench) -> Iterator[dict[str, Any]]:
    """At 320 pixels, batch 8: means of ten losses each, of the same clips, noise and timesteps."""
    for name in ("fused, eager", "8 bits, eager") if bench.real else ("fused, eager",):
        pixels, batch = (320, 8) if bench.real else (128, 2)
        yield _losses(settings_of("paper", name, pixels, batch, bench), bench, pixels // 8, name)


def small_curve(bench: Bench) -> Iterator[dict[str, Any]]:
    """The same of the small networks, batch 64, at their own rate, eighty times that of ``paper``: they learn."""
    for name in ("fused", "8 bits") if bench.real else ("fused",):
        config = settings_of("shapes", name, 64, 64 if bench.real else 2, bench)
        yield _losses(with_loop(config, "model", warmup=50), bench, 16, name)


def _losses(config: TrainConfig, bench: Bench, latent: int, name: str) -> dict[str, Any]:
    step = make_step(config, bench, latent)
    if bench.real:
        torch.cuda.set_stream(torch.cuda.Stream())
    started = time.perf_counter()
    losses = torch.stack([step(k).clone() for k in range(bench.steps)]).unflatten(0, (-1, 10)).mean(1).tolist()
    seconds = time.perf_counter() - started
    return {"variant": name, "batch": config.model.batch_size, "s": seconds, "losses": losses}


def shapes(bench: Bench) -> Iterator[dict[str, Any]]:
    for name in bench.variants:
        yield from _tried("shapes", name, 64, 512 if bench.real else 2, bench)


def attention(bench: Bench) -> Iterator[dict[str, Any]]:
    """Milliseconds of forward and backward, by backend; keys 77: the text."""
    batch = 120 if bench.real else 1
    backends = {b.name.removesuffix("_ATTENTION").lower(): b for b in (
        SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION
    )}  # fmt: skip
    for heads, positions, keys, width in ((5, 1600, 1600, 64), (10, 400, 400, 64), (20, 100, 100, 64),
                                          (2, 1600, 1600, 32), (5, 1600, 77, 64)):  # fmt: skip
        row: dict[str, Any] = {"heads": heads, "positions": positions, "keys": keys, "width": width}
        shape = partial(torch.randn, device=bench.device, dtype=torch.bfloat16)
        q = shape(batch, positions, heads, width).transpose(1, 2).requires_grad_()
        k, v = (shape(batch, keys, heads, width).transpose(1, 2).requires_grad_() for _ in range(2))
        gradient = torch.randn_like(q)
        for name, backend in backends.items() if bench.real else ():
            with sdpa_kernel(backend):

                def call(q=q, k=k, v=v, gradient=gradient) -> None:
                    F.scaled_dot_product_attention(q, k, v).backward(gradient)

                for _ in range(3):
                    call()
                row[name] = statistics.median(bench.milliseconds(call))
        yield row


PARTS = {f.__name__: f for f in (attention, paper, shapes, memory, curve, small_curve)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be given several times; default: all")
    parser.add_argument(
        "--variant", action="append", choices=VARIANTS, help="default: before, fused with and without recomputation"
    )
    parser.add_argument("--pixels", type=int, action="append", help="of paper; default: 320 and 640")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--card", type=int, action="append", choices=CARDS, help="of memory; default: all")
    parser.add_argument("--steps", type=int, default=200, help="of curve; a multiple of 10")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.variant = arguments.variant or ["before", "fused, recomputed", "fused"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments)
    file = arguments.out / "training_speed.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"parts": {}}
    record: dict[str, Any] = {**stored, "made_with": versions(arguments.device), "matrix_flop_s": bench.rate}
    for part in arguments.part or PARTS:
        rows = record["parts"].setdefault(part, [])
        for row in PARTS[part](bench):
            rows.append(row)
            file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(part, json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

"""The rows of ``artv-eval efficiency``: counts on meta tensors, then, on a GPU, times and memory beside them."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import diffusers
import torch

from artv.progress import quiet_loading
from artv_eval.efficiency.cases import Case, Companions
from artv_eval.efficiency.cuda import Peak, Timing, clocks, in_gb, release, time_calls, unless_out_of_memory
from artv_eval.efficiency.flops import Macs, count_macs
from artv_eval.efficiency.live_bytes import peak_bytes
from artv_eval.efficiency.settings import prepare, runner, running, weights_of
from artv_eval.efficiency.training import measure_training

GIGA, PETA = 1e9, 1e15


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure. ``device``: ``cuda``, ``cpu`` or ``meta``; speeds and memory are measured on ``cuda`` only.

    ``train_batch``: samples in a training step, 0 for none. ``repeats``: at least 20.
    """

    resolutions: Sequence[int] = (320, 448, 768)
    frames: int = 16
    device: str = "meta"
    dtype: str = "bf16"
    setting: str = "eager"
    repeats: int = 30
    train_batch: int = 0


def measure(cases: Sequence[Case], plan: Plan) -> Iterator[dict[str, Any]]:
    """One row a method and resolution, as soon as it is known."""
    for case in cases:
        yield from _measure_case(case, plan)


def _measure_case(case: Case, plan: Plan) -> Iterator[dict[str, Any]]:
    with torch.device("meta"):
        skeleton = case.build().eval()
    parameters = sum(p.numel() for p in skeleton.parameters()) / 1e6
    parts = unless_out_of_memory(lambda: _parts(case, plan)) if plan.device == "cuda" else None
    for resolution in plan.resolutions:
        row = {
            "method": case.name,
            "resolution": resolution,
            "frames": plan.frames,
            "device": plan.device,
            "dtype": plan.dtype,
            "setting": plan.setting,
            "params_m": round(parameters, 3),
            **_counts(case, skeleton, resolution, plan.frames),
            **_EMPTY,
            "memory_simulated_gb": simulated_gb(case, resolution, plan.frames) if plan.setting == "paper" else None,
            **_published(case, resolution, plan.frames),
            "status": "needs a GPU" if plan.device != "cuda" else "ok",
            **versions(plan.device),
        }
        if plan.device == "cuda":
            row |= _speeds(case, parts[0] if parts else None, resolution, plan)
        row |= _ratios(row)
        yield row
    del parts
    if plan.device == "cuda":
        release()


_EMPTY = dict.fromkeys(
    (
        "throughput_batch_s",
        "throughput_low",
        "throughput_high",
        "repeats",
        "memory_gb",
        "memory_reserved_gb",
        "memory_batch_gb",
        "energy_j_batch",
        "evaluation_ms",
        "clip_s",
        "first_frame_s",
        "train_samples_s",
        "train_memory_gb",
        "clock_mhz",
        "max_clock_mhz",
    )
)


def _parts(case: Case, plan: Plan) -> list[Any]:
    """The networks of one evaluation, and after them what lies beside them in memory."""
    beside = case.companions if plan.setting == "paper" and case.as_published.companions else None
    builds = [case.build, *([beside.text_encoder, beside.autoencoder] if beside else [])]
    return [_on_gpu(build, plan, case.as_published.attention) for build in builds]


def _on_gpu(build: Callable[[], Any], plan: Plan, attention: str) -> Any:
    with torch.device("cuda"), quiet_loading():
        return prepare(build().to(weights_of(plan.setting, plan.dtype)).eval(), plan.setting, attention)


def simulated_gb(case: Case, resolution: int, frames: int) -> float:
    """10⁹ bytes that are alive at the peak of one forward of setting ``paper``, counted without a device."""
    how = case.as_published
    together = frames if how.frames_together else case.frames_per_forward or frames
    peak = peak_bytes(case.build, lambda it: case.inputs(it, resolution, together, 1), attention=how.attention)
    if how.companions and case.companions is not None:
        with torch.device("meta"):
            beside = [case.companions.text_encoder(), case.companions.autoencoder()]
        peak += sum(p.numel() * 4 for network in beside for p in network.parameters())
    return peak / GIGA


def forward_macs(case: Case, skeleton: Any, resolution: int, frames: int) -> Macs:
    """One evaluation of all ``frames``, however many of them the method takes at once; ``skeleton`` is on meta."""
    at_once = case.frames_per_forward or frames
    once = count_macs(skeleton, None, *case.inputs(skeleton, resolution, at_once, 1))
    return once * (frames // at_once)


def _counts(case: Case, skeleton: Any, resolution: int, frames: int) -> dict[str, Any]:
    batch = forward_macs(case, skeleton, resolution, frames)
    at_once = case.frames_per_forward or frames
    runs = case.sampler_runs(frames)
    companions = companion_macs(case.companions, resolution, frames) if case.companions else Macs()
    rows = runs * case.evaluations * case.branches  # forwards of `at_once` frames
    clip = batch.full * rows * at_once / frames + companions.full
    return {
        "flops_g": batch.linear_conv / GIGA,
        "flops_full_g": batch.full / GIGA,
        "sampler_runs": runs,
        "evaluations": case.evaluations,
        "branches": case.branches,
        "clip_pflop": 2 * clip / PETA,
    }


@lru_cache
def companion_macs(companions: Companions, resolution: int, frames: int) -> Macs:
    """The text encoder once (prompt and empty prompt) and the decoder for every frame."""
    with torch.device("meta"):
        autoencoder = companions.autoencoder()
    decode = partial(autoencoder.decode, companions.latent(autoencoder, resolution))
    return _text_macs(companions) + count_macs(autoencoder, decode) * frames


@lru_cache
def _text_macs(companions: Companions) -> Macs:
    with torch.device("meta"):
        text_encoder = companions.text_encoder()
    return count_macs(text_encoder, None, *companions.text_inputs(text_encoder))


def _speeds(case: Case, module: Any, resolution: int, plan: Plan) -> dict[str, Any]:
    """Everything that needs a GPU. A part that does not fit in memory stays empty and the status says so."""
    if module is None:
        return {"status": "out of memory: the weights alone"}
    at_once = case.frames_per_forward or plan.frames
    together = plan.frames if plan.setting == "paper" and case.as_published.frames_together else at_once

    def forward(frames: int, branches: int, repeats: int = plan.repeats) -> tuple[Timing | None, Peak] | None:
        def work() -> tuple[Timing | None, Peak]:
            with running(plan.setting, case.as_published.attention):
                run = runner(module, case.inputs(module, resolution, frames, branches), plan.setting)
                return time_calls(run.call, repeats) if repeats else None, run.peak()

        result = unless_out_of_memory(work)
        release()
        return result

    values: dict[str, Any] = {}
    batch = forward(plan.frames, 1)
    single = batch if together == plan.frames else forward(together, 1, repeats=0)
    evaluation = forward(at_once, case.branches)
    if batch and batch[0]:
        timing = batch[0]
        values |= {
            "throughput_batch_s": 1 / timing.median_s,
            "throughput_low": 1 / timing.high_s,
            "throughput_high": 1 / timing.low_s,
            "repeats": timing.repeats,
            "energy_j_batch": timing.energy_j,
            "memory_batch_gb": batch[1].allocated,
        }
    if single:
        values |= {"memory_gb": single[1].allocated, "memory_reserved_gb": single[1].reserved}
    if evaluation and evaluation[0]:
        values["evaluation_ms"] = 1e3 * evaluation[0].median_s
        values |= _clip(case, evaluation[0].median_s, resolution, plan)
    values |= clocks()
    if plan.train_batch:
        values |= measure_training(case, resolution, plan.frames, plan.train_batch, max(plan.repeats // 2, 5))
    lacking = [name for name, part in (("batch", batch), ("forward", single), ("evaluation", evaluation)) if not part]
    return {**values, "status": f"out of memory: {', '.join(lacking)}" if lacking else "ok"}


def _clip(case: Case, evaluation_s: float, resolution: int, plan: Plan) -> dict[str, Any]:
    """Seconds of a finished clip and until its first sampled frame, from the measured parts and their numbers."""
    others = unless_out_of_memory(lambda: _companion_seconds(case, resolution, plan))
    release()
    if others is None:
        return {}
    text_s, decode_s = others
    run_s = case.evaluations * evaluation_s
    clip_s = text_s + case.sampler_runs(plan.frames) * run_s + plan.frames * decode_s
    return {"clip_s": clip_s, "first_frame_s": text_s + run_s + decode_s if case.frames_per_forward else clip_s}


def _companion_seconds(case: Case, resolution: int, plan: Plan) -> tuple[float, float]:
    """(the text encoder for prompt and empty prompt, the decoder for one frame), eager."""
    if case.companions is None:
        return 0.0, 0.0
    attention = case.as_published.attention
    text_encoder = _on_gpu(case.companions.text_encoder, plan, attention)
    autoencoder = _on_gpu(case.companions.autoencoder, plan, attention)
    ids = case.companions.text_inputs(text_encoder)
    latent = case.companions.latent(autoencoder, resolution)
    with running(plan.setting, attention):
        text = time_calls(lambda: text_encoder(*ids), plan.repeats)
        decode = time_calls(lambda: autoencoder.decode(latent), plan.repeats)
    return text.median_s, decode.median_s


def _published(case: Case, resolution: int, frames: int) -> dict[str, Any]:
    values = case.published.get(resolution) if frames == 16 else None
    training = case.training
    return {
        "paper": values._asdict() if values else None,
        "paper_training": training._asdict() if training else None,
    }


def _ratios(row: dict[str, Any]) -> dict[str, Any]:
    """Measured over published, for each of Table 2's three columns; memory in tensors, in 10⁹ bytes as there."""
    paper, memory = row["paper"] or {}, in_gb(row["memory_gb"])
    measured = {name: row[name] for name in ("flops_g", "throughput_batch_s")} | {"memory_gb": memory}
    return {
        f"{name}_ratio": value / paper[name] if paper and value is not None else None
        for name, value in measured.items()
    }


def versions(device: str) -> dict[str, Any]:
    """What the numbers were taken with."""
    hardware = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return {"hardware": hardware, "torch": torch.__version__, "diffusers": diffusers.__version__}

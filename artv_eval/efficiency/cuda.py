"""Measuring on a GPU: times by CUDA events, peak memory, energy and clocks. Out of memory is a result, not an error."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

WARM_UP = 5
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call: the median and the 5–95 % range of ``repeats`` calls; joules a call if NVML counts them."""

    median_s: float
    low_s: float
    high_s: float
    repeats: int
    energy_j: float | None = None


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Peak memory of one call, weights included, in GiB: in tensors, and reserved from the driver."""

    allocated: float
    reserved: float


def time_calls(call: Callable[[], Any], repeats: int = 30) -> Timing:
    """Times ``call`` after a warm-up, each repetition between two events, so that only the GPU's time counts."""
    for _ in range(WARM_UP):
        call()
    torch.cuda.synchronize()
    before = energy_mj()
    pairs = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    after = energy_mj()
    seconds = torch.tensor([start.elapsed_time(end) / 1e3 for start, end in pairs], dtype=torch.float64)
    low, median, high = torch.quantile(seconds, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
    energy = None if before is None or after is None else (after - before) / 1e3 / repeats
    return Timing(median_s=median, low_s=low, high_s=high, repeats=repeats, energy_j=energy)


def peak_memory(call: Callable[[], Any]) -> Peak:
    """Peak memory of one ``call``, with everything that is alive already."""
    release()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return Peak(
        allocated=torch.cuda.max_memory_allocated() / GIB,
        reserved=torch.cuda.max_memory_reserved() / GIB,
    )


def in_gb(gib: float | None) -> float | None:
    """10⁹ bytes, as tables of papers have it, from 2³⁰ bytes."""
    return None if gib is None else gib * GIB / 1e9


def unless_out_of_memory(measure: Callable[[], Any]) -> Any:
    """The result of ``measure``, or None if the GPU's memory does not hold it; what it had taken is freed."""
    try:
        return measure()
    except torch.OutOfMemoryError:
        pass  # freed below, outside of the handler, whose traceback would keep the tensors alive
    release()
    return None


def release() -> None:
    """Returns unused memory to the driver."""
    gc.collect()
    torch.cuda.empty_cache()


def clocks() -> dict[str, float | None]:
    """SM clock in MHz now, and the highest one; None where NVML does not say."""
    handle = _nvml()
    if handle is None:
        return {"clock_mhz": None, "max_clock_mhz": None}
    import pynvml

    return {
        "clock_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
        "max_clock_mhz": float(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)),
    }


def energy_mj() -> float | None:
    """The GPU's energy counter in millijoules; it ticks every 20–100 ms, so short measurements are rough."""
    handle = _nvml()
    if handle is None:
        return None
    import pynvml

    try:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except pynvml.NVMLError:
        return None


def _nvml() -> Any:
    """NVML's handle of the current device, or None without NVML (package ``nvidia-ml-py``)."""
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid).removeprefix("GPU-")
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (ImportError, AttributeError):
        return None
    except Exception as error:  # pynvml's errors have no common base that exists without the package
        if type(error).__module__.startswith("pynvml"):
            return None
        raise

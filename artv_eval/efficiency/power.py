"""Power while something runs: of a GPU as its driver says, of a CPU by its energy counter, where they can be read."""

import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from artv.files import read_text

RAPL = Path("/sys/class/powercap")
EVERY = 0.25  # seconds between two readings of a GPU


class PowerMeter:
    """``with PowerMeter(device) as power: …``; then ``power.watts``: the mean, or None where nothing measures it.

    A CPU's counter wraps about once in an hour at full load; a span across that is not measured.
    """

    def __init__(self, device: str) -> None:
        self.device, self.watts = device, None
        self._ended = threading.Event()
        self._readings: list[float] = []

    def __enter__(self) -> "PowerMeter":
        self._started, self._joules = time.monotonic(), _cpu_joules()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        if self.device.startswith("cuda"):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.device.startswith("cuda"):
            self._ended.set()
            self._thread.join()
            self.watts = sum(self._readings) / len(self._readings) if self._readings else None
            return
        joules, seconds = _cpu_joules(), time.monotonic() - self._started
        if joules is not None and self._joules is not None and joules > self._joules and seconds > 0:
            self.watts = (joules - self._joules) / seconds

    def _follow(self) -> None:
        while True:
            watts = gpu_watts(self.device)
            if watts is None:
                return
            self._readings.append(watts)
            if self._ended.wait(EVERY):
                return

    watts: float | None


def gpu_watts(device: str) -> float | None:
    """Power that a GPU draws now, as ``nvidia-smi`` gives it."""
    import torch

    index = torch.device(device).index or 0
    try:
        which = str(torch.cuda.get_device_properties(index).uuid)
        asked = ["nvidia-smi", f"--id=GPU-{which}", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
        return float(subprocess.run(asked, capture_output=True, encoding="utf-8", check=True, timeout=5).stdout)
    except (OSError, ValueError, AttributeError, RuntimeError, AssertionError, subprocess.SubprocessError):
        return None


def _cpu_joules() -> float | None:
    """What all packages have used since the counter began; None where there is none, or root alone may read it."""
    try:
        counters = [path / "energy_uj" for path in RAPL.glob("intel-rapl:*") if path.name.count(":") == 1]
        return sum(int(read_text(path)) for path in counters) / 1e6 if counters else None
    except (OSError, ValueError):
        return None

"""For every test, plugins' included: as many processes as there are cores, one thread each."""

import os

os.environ.setdefault(
    "GOMP_SPINCOUNT", "20000"
)  # idle OpenMP threads must not spin forever while processes share cores
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; what a test starts takes it over

MOST = 8  # processes: each holds torch, about 1 GB


def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto``, the default, stands for: the cores that this process may use; 0 is this process alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores == 1 else min(cores, MOST)

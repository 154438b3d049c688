"""For every test, plugins' included: as many processes as there are cores, one thread each."""

import os
import sys

# many tests start processes: compiling all of torch and diffusers again costs each of them five seconds
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault(
    "GOMP_SPINCOUNT", "20000"
)  # idle OpenMP threads must not spin forever while processes share cores
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; what a test starts takes it over

MOST = 8  # processes: each holds torch, about 1 GB


def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto``, the default, stands for: the cores that this process may use; 0 is this process alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores == 1 else min(cores, MOST)


LONG = (
    "tests/artv/training/test_processes.py",
    "tests/artv_eval/executors/test_ray.py",
    "tests/artv_eval/test_documentation.py",
    "tests/artv_eval/cli/test_matrix.py",
    "tests/artv_eval/sweep/test_trainings.py",
    "tests/artv_eval/plugins/test_scaffold.py",
    "tests/artv/cli/test_application.py",
    "tests/artv/data/test_readers.py",
    "tests/artv_eval/sweep/test_run.py",
    "tests/artv_eval/cli/test_score.py",
    "tests/artv_eval/cli/test_command_line.py",
    "tests/artv/training/test_checkpoint.py",
    "tests/artv/training/fast/test_blocks.py",
    "tests/artv/networks/fast/test_kernels.py",
)
"""Files of 20 seconds and more, which begin first, so that the processes end together."""


def pytest_collection_modifyitems(items) -> None:
    """By file, the long ones first; a file's tests keep their order."""
    place = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.location[0], len(LONG)))

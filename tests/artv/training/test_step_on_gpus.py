"""A captured step of several GPUs against one GPU that accumulates, which is not captured."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent / "exchanged.py"


def losses(out: Path, gpus: int, at_once: int, reduced: str):
    start = ["-m", "torch.distributed.run", "--nproc-per-node", str(gpus)] if gpus > 1 else []
    command = [sys.executable, *start, str(SCRIPT), str(out), str(at_once), reduced]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[3])
    assert done.returncode == 0, done.stderr
    return torch.load(out, weights_only=True)


@pytest.mark.parametrize("reduced", ["fp32", "bf16"])
@pytest.mark.parametrize("gpus", [2, 4])
def test_fifty_losses_are_those_of_one_that_accumulates(tmp_path, gpus, reduced):
    if torch.cuda.device_count() < gpus:
        pytest.skip(f"needs {gpus} GPUs")
    one, several = (losses(tmp_path / f"{count}.pt", count, 8 // gpus, reduced) for count in (1, gpus))
    assert several["captured"] and not one["captured"]
    torch.testing.assert_close(several["losses"], one["losses"], rtol=1e-3, atol=0)

"""Worker processes with hardly any shared memory: a note and the same batches, not a traceback or an endless wait."""

import subprocess
import sys

import pytest

SCRIPT = """
import torch
from torch.utils.data import TensorDataset
from artv.data.loading import read_ahead
data = TensorDataset(torch.arange(4_000_000.).reshape(40, -1))
print(sum(float(x.sum()) for x, in read_ahead(data, num_workers=2, batch_size=4)))
"""


def test_too_little_shared_memory(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    mount = "mount -t tmpfs -o size=64k none /dev/shm"
    inside = f"{mount} && exec {sys.executable} {tmp_path / 'script.py'}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs privileges that this user has not")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside], capture_output=True, text=True, timeout=120, check=False
    )
    plain = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.returncode == 0 and done.stdout == plain.stdout
    assert "/dev/shm has room for 0 MiB" in done.stderr and "Traceback" not in done.stderr

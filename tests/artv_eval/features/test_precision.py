"""The precision that extractors compute in, from several threads."""

import time
from concurrent.futures import ThreadPoolExecutor

import torch

from artv_eval.features.precision import inference, switched


def test_one_threads_tf32_does_not_reach_anothers_float32():
    def seen(name):
        with inference(name):
            found = []
            for _ in range(5):
                found.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
                time.sleep(0.002)
        return name, set(found)

    with switched("float32"), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(seen, ["tf32", "float32"] * 8))
        assert not torch.backends.cudnn.allow_tf32
    wanted = {"tf32": {(True, "high")}, "float32": {(False, "highest")}}
    assert all(found == wanted[name] for name, found in answers)

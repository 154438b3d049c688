"""The precision that extractors compute in, from several threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from artv.errors import UserError
from artv_eval.features.precision import inference, precision, switched


def now():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


def test_one_threads_tf32_does_not_reach_anothers_float32():
    def seen(name):
        with inference(name):
            found = []
            for _ in range(5):
                found.append(now())
                time.sleep(0.002)
        return name, set(found)

    with switched("float32"), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(seen, ["tf32", "float32"] * 8))
        assert not torch.backends.cudnn.allow_tf32
    wanted = {"tf32": {(True, "high")}, "float32": {(False, "highest")}}
    assert all(found == wanted[name] for name, found in answers)


def test_threads_of_one_precision_work_at_the_same_time():
    both = threading.Barrier(2, timeout=20)

    def meet(_):
        with inference():
            both.wait()  # neither has left

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(meet, range(2))) == [None, None]


def test_inside_one_precision_there_may_be_another():
    before = now()
    both = threading.Barrier(2, timeout=20)

    def nested(_):
        with precision("float32"):
            both.wait()
            with precision("tf32"):
                inner = now()
            return inner, now()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(nested, range(2))) == [((True, "high"), (False, "highest"))] * 2
    assert now() == before
    with pytest.raises(UserError, match="float32 or tf32"), precision("float64"):
        pass

"""Freed memory that the C library keeps, given back."""

import platform
from pathlib import Path

import pytest

from artv_eval.memory import give_back


def resident() -> int:
    """Bytes of this process in memory."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(text.split("VmRSS:")[1].split()[0])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's")
def test_what_lies_freed_between_what_is_in_use_goes_back():
    pieces = [bytearray(100_000) for _ in range(600)]
    kept = pieces[::20]  # the last of which is nearly at the end of the heap
    del pieces
    before = resident()
    give_back()
    assert before - resident() > 30e6 and len(kept) == 30


def test_another_c_library_is_left_alone(monkeypatch):
    asked = []
    monkeypatch.setattr("ctypes.CDLL", lambda name: asked.append(name) or object())
    give_back()
    assert asked == [None]

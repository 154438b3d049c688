"""Ctrl-C and SIGTERM are noted once; a second one does what it did before."""

import os
import signal
import threading

import pytest

from artv.training import processes
from artv.training.stopping import stop_signals


@pytest.fixture
def heard():
    """SIGTERM's own handler of this test, put back afterwards; Ctrl-C's is Python's."""
    heard = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, lambda *_: heard.append("term"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_does_what_it_did(heard, number):
    with stop_signals() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked() and not heard
        if number == signal.SIGTERM:
            os.kill(os.getpid(), number)
            assert heard == ["term"]
        else:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
                signal.pause()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_afterwards_everything_is_as_before(heard):
    with pytest.raises(ValueError, match="of the step"), stop_signals():
        raise ValueError("of the step")
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == ["term"]


def test_of_several_processes_each_notes_sigterm_so_that_all_can_save(heard, monkeypatch):
    monkeypatch.setattr(processes, "world", lambda: 2)
    with stop_signals() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked() and not heard
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["term"]


def test_another_thread_hears_no_signals_and_trains_all_the_same(heard):
    said = []

    def train():
        with stop_signals() as asked:
            said.append(asked())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert said == [False] and signal.getsignal(signal.SIGINT) is signal.default_int_handler

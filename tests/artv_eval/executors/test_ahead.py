"""Items come in order, and are made while nobody takes any; what ends them is raised at its place."""

import threading

import pytest

from artv_eval.executors.ahead import ahead


def test_the_next_are_made_while_nobody_takes_them():
    made, last = [], threading.Event()

    def items():
        for i in range(5):
            made.append((i, threading.current_thread().name))
            yield i
        last.set()

    taken = ahead(items())
    assert made == [] and next(taken) == 0
    assert last.wait(10) and made == [(i, "ahead") for i in range(5)]
    assert list(taken) == [1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_comes_after_what_was_made_before_it(error):
    def items():
        yield 1
        raise error("why")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(error, match="why"):
        next(taken)

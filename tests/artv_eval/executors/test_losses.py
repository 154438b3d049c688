"""What a task is blamed for: against SciPy's exact test of Fisher."""

import pytest
from scipy.stats import fisher_exact

from artv_eval.executors.losses import CHANCE, FEWEST, MOST, Losses


@pytest.mark.parametrize("finished", [1, 3, 9, 17, 40])
@pytest.mark.parametrize("others_lost", [0, 1, 5])
def test_a_task_is_to_blame_when_its_losses_are_no_chance(finished, others_lost):
    losses = Losses()
    losses.finished("before the first loss, which is no comparison")
    blamed = [losses.blamed("it")]
    for other in range(others_lost):
        assert not losses.blamed(other)
    for other in range(finished):
        losses.finished(other)
    blamed += [losses.blamed("it") for _ in range(2, MOST)]
    tables = [[[n, 0], [others_lost, finished]] for n in range(1, MOST)]
    chances = [fisher_exact(table, alternative="greater").pvalue for table in tables]
    assert blamed == [n >= FEWEST and chance < CHANCE for n, chance in enumerate(chances, 1)]


def test_what_ended_while_it_was_being_done_counts_before_its_first_loss_is_known():
    losses = Losses()
    losses.began("it")
    for other in range(17):
        losses.finished(other)
    assert [losses.blamed("it") for _ in range(FEWEST)] == [False] * (FEWEST - 1) + [True]


def test_where_nothing_ends_any_more_nobody_waits_for_it():
    losses = Losses()
    losses.finished("a")
    assert [losses.blamed("b") for _ in range(MOST)] == [False] * (MOST - 1) + [True]
    assert [losses.blamed("c") for _ in range(FEWEST)] == [False] * (FEWEST - 1) + [True]


def test_what_is_to_blame_itself_excuses_nobody():
    losses = Losses()
    assert not losses.blamed("b") and not losses.blamed("a")
    for other in range(40):
        losses.finished(other)
    assert [losses.blamed("a") for _ in range(2)] == [False, True]
    assert fisher_exact([[3, 0], [3, 40]], alternative="greater").pvalue > CHANCE  # with those of a
    assert [losses.blamed("b") for _ in range(2)] == [False, True]

"""Cells trained under several seeds are one row: seeds are paired by their number, clips by their request."""

import re
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scored import Mean, Shift, scored, single, trained

from artv_eval.results.rows import Curve
from artv_eval.sweep.over_seeds import (
    difference_over_seeds,
    few_seeds,
    lost_seeds,
    mean_curves,
    replicates,
    value_over_seeds,
    worth_in_training,
)

N = 12
LEARNT = {1: 0.4, 2: 0.9, 3: 0.5, 4: 1.1}  # training seed → value, the same for every clip


def alike(values, n=N):
    """Clips without any chance of their own."""
    return {seed: np.full(n, value) for seed, value in values.items()}


def normal(seed, n=N, d=1):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_what_shares_metric_ablation_and_name_is_one_cell_in_order():
    items = [
        scored("off", normal(0), seed=1), scored("on", normal(1), seed=1), scored("off", normal(2), seed=2),
        scored("off", normal(3), ablation="other"), scored("off", normal(4), metric=Shift()),
    ]  # fmt: skip
    found = replicates(items)
    assert [[items.index(item) for item in group.items] for group in found] == [[0, 2], [1], [3], [4]]


@pytest.mark.parametrize(
    ("group", "about"),
    [
        (trained("on", alike(LEARNT)), "method"),
        (trained("on", {1: normal(0)}, checkpoint="abc"), "checkpoints"),
        (single("on", normal(0), checkpoint="abc"), "checkpoints"),
        (single("real", normal(0)), None),
        (trained("on", {1: normal(0), 2: None}, checkpoint="abc"), "checkpoints"),
    ],
)
def test_what_a_value_speaks_of_follows_from_the_trainings_that_are_there(group, about):
    assert group.about == about


def test_a_value_is_the_mean_over_trainings_with_students_interval():
    found = value_over_seeds(trained("on", alike(LEARNT)))
    wanted = stats.ttest_1samp(list(LEARNT.values()), 0)
    assert found.value == pytest.approx(np.mean(list(LEARNT.values()))) and (found.seeds, found.n) == (4, N)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))
    assert found.p_value == pytest.approx(wanted.pvalue) and found.se_clips == pytest.approx(0)


def test_a_value_is_over_the_clips_that_every_training_has():
    a, b = normal(1), normal(2)
    group = replicates([
        scored("on", a[[0, 2, 3, 7]], positions=[0, 2, 3, 7], seed=1),
        scored("on", b[[2, 3, 5, 7, 8]], positions=[2, 3, 5, 7, 8], seed=2),
    ])[0]  # fmt: skip
    found = value_over_seeds(group)
    assert found.n == 3 and found.value == pytest.approx((a[[2, 3, 7]].mean() + b[[2, 3, 7]].mean()) / 2)


@pytest.mark.parametrize("metric", [Mean(), Shift()])
def test_seeds_are_paired_by_their_number_however_they_are_ordered(metric):
    a = {seed: normal(seed) for seed in (3, 1, 2)}
    b = {seed: normal(10 + seed) for seed in (1, 2, 3, 9)}
    more = {"metric": metric, "reference": normal(99)}
    found = difference_over_seeds(trained("on", a, **more), trained("off", b, **more))
    each = [metric.evaluate(a[seed], normal(99)) - metric.evaluate(b[seed], normal(99)) for seed in (1, 2, 3)]
    assert found.seeds == 3 and found.difference == pytest.approx(np.mean(each))


def test_differences_without_chance_of_clips_are_the_paired_t_test_over_seeds():
    other = {1: 0.2, 2: 0.3, 3: 0.6, 4: 0.7}
    found = difference_over_seeds(trained("on", alike(LEARNT)), trained("off", alike(other)))
    wanted = stats.ttest_rel(list(LEARNT.values()), list(other.values()))
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))


@pytest.mark.parametrize("turned", [False, True])
def test_what_was_not_trained_is_the_same_for_every_seed_of_the_other(turned):
    sides = [trained("on", alike(LEARNT)), single("fixed", np.full(N, 0.3))]
    found = difference_over_seeds(*(sides[::-1] if turned else sides))
    wanted = stats.ttest_1samp([value - 0.3 for value in LEARNT.values()], 0)
    assert found.difference == pytest.approx((-1 if turned else 1) * (np.mean(list(LEARNT.values())) - 0.3))
    assert found.p_value == pytest.approx(wanted.pvalue) and found.seeds == 4


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (trained("on", {1: normal(0), 2: normal(1)}), trained("off", {2: normal(2), 3: normal(3)})),
        (trained("on", {1: normal(0)}), single("off", normal(1))),
        (single("on", normal(0)), single("off", normal(1))),
        (trained("on", {1: normal(0), 2: None}), trained("off", {1: normal(2), 2: normal(3)})),
    ],
)
def test_fewer_than_two_pairs_of_trainings_are_no_test_of_a_method(a, b):
    assert difference_over_seeds(a, b) is None


def test_clips_of_one_prompt_are_counted_as_prompts():
    own = np.repeat(normal(0, 6), 2, axis=0)
    found = value_over_seeds(trained("on", {1: own, 2: own + 0.1}, seeds_per_prompt=2))
    assert (found.n, found.prompts) == (12, 6)
    assert found.se_clips == pytest.approx(stats.sem(own[::2, 0]))  # two equal clips a prompt say what one says


def test_lost_trainings_are_named_and_the_others_counted():
    failed = scored("on", None, seed=3, status="failed: training stopped: loss is nan")
    there = [scored("on", normal(seed), seed=seed) for seed in (1, 2)]
    (line,) = lost_seeds(replicates([*there, failed]))
    assert line == "on: training stopped: loss is nan; its values are over 2 other trainings"
    assert lost_seeds(replicates(there)) == lost_seeds(replicates([failed])) == []


def test_curves_of_trainings_have_students_band():
    curves = np.random.default_rng(0).normal(size=(3, 5))
    given = [Curve(ablation="mask", cell="on", metric="mean", values=tuple(curve)) for curve in curves]
    other = Curve(ablation="mask", cell="off", metric="mean", values=(1.0, None))
    joined, alone = mean_curves([given[0], other, *given[1:]])
    low, high = stats.t.interval(0.95, 2, curves.mean(0), stats.sem(curves))
    assert np.array(joined.values) == pytest.approx(curves.mean(0)) and alone == other
    assert np.array(joined.low) == pytest.approx(low) and np.array(joined.high) == pytest.approx(high)


def test_a_point_that_one_training_lacks_is_the_mean_of_the_others():
    given = [Curve(ablation="a", cell="on", metric="m", values=values) for values in [(1.0, None), (3.0, 4.0)]]
    (joined,) = mean_curves(given)
    assert joined.values == (2.0, 4.0) and joined.low[1] is None is joined.high[1]


def power_law(times, luck, names=("on", "off"), lengths=(100, 200, 400)):
    """Two cells whose metric falls as the root of the training; the second needs it ``times`` as long."""
    groups = []
    for (name, factor), C in product(zip(names, (1, times), strict=True), lengths):
        values = {seed: 50 * (C / factor) ** -0.5 * np.exp(luck * seed * (factor > 1)) for seed in (0, 1, 2)}
        groups.append(trained(f"{name} @{C}", alike(values), length=C))
    return groups


@pytest.mark.parametrize("times", [0.5, 2.0, 3.0])
def test_worth_of_a_power_law_is_the_ratio_of_trainings(times):
    (line,) = worth_in_training(power_law(times, luck=0.0))
    said = f"mask: off takes {times:.2g} [{times:.2g}, {times:.2g}] times the training of on to the same mean"
    assert line == f"{said} ({', '.join(f'{times:.2g} at {steps} steps' for steps in (100, 200, 400))})"


def test_worth_with_luck_has_an_interval_that_holds_the_truth():
    (line,) = worth_in_training(power_law(2.0, luck=0.02))
    value, low, high = map(float, re.findall(r"\d+\.?\d*", line.split("takes")[1].split("times")[0]))
    assert value == pytest.approx(2 * np.exp(0.02 * 2), abs=0.05)  # log k = −d/β: luck adds 0.02 to d, β is −1/2
    assert low < value < high


@pytest.mark.parametrize(
    "groups",
    [
        power_law(2.0, 0.0, lengths=(100,)),
        [trained("on", alike(LEARNT)), trained("off", alike(LEARNT))],
        [trained(f"{name} @{C}", {1: np.full(N, C)}, length=C) for name in ("on", "off") for C in (1, 2)],
        [trained(f"on @{C}", alike(LEARNT), length=C) for C in (1, 2)],
    ],
)
def test_without_two_lengths_two_seeds_and_two_cells_nothing_is_said_of_worth(groups):
    assert worth_in_training(groups) == []


def test_a_metric_that_never_changes_with_training_costs_its_line_alone():
    groups = [trained(f"{name} @{C}", alike({1: 5.0, 2: 5.0}), length=C) for name in ("on", "off") for C in (1, 2)]
    (line,) = worth_in_training(groups)
    assert "against training: absent: the metric does not change" in line


def test_two_seeds_come_with_what_they_are_worth():
    from made import pair

    assert few_seeds([pair("fvd", 1, 2, about="method", seeds=3), pair("fvd", 1, 2)]) == []
    (line,) = few_seeds([pair("fvd", 1, 2, about="method", seeds=2), pair("kvd", 1, 2, about="method", seeds=2)])
    assert line.startswith("2 training seeds: in 3.4 to 6.3 % of cases")

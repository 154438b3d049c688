"""What a component is worth in training, from the rows of runs of different lengths."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made import pair, row
from scipy import stats

from artv_eval.report.lengths import worth_of_rows
from artv_eval.results.rows import Results

LENGTHS, SEEDS = (1000, 4000), 4


def trained(times, noise=0.0, rng=None, lasting=0.0, lengths=LENGTHS, seeds=SEEDS, about="method", better=False):
    """Rows and tests as a sweep gives them, of 300 C^-0.4 and the same at C / times, with a share of noise by seed, of
    which a part is the seed's own at all lengths."""
    rows, pairs = [], []
    always = rng.normal(size=(2, seeds)) if rng else np.tile([-1, 1], (2, seeds // 2))
    for C in lengths:
        own = rng.normal(size=(2, seeds)) if rng else always
        luck = 1 + noise * (lasting**0.5 * always + (1 - lasting) ** 0.5 * own)
        on, off = 300 * C**-0.4 * luck[0], 300 * (C / times) ** -0.4 * luck[1]
        t = stats.t.ppf(0.975, seeds - 1)
        for name, values in (("on", on), ("off", off)):
            spread = t * stats.sem(values)
            said = {"seeds": seeds, "train_steps": C, "better": better, "standard_error": stats.sem(values)}
            rows.append(row(f"{name} @{C}", "fvd", values.mean(), spread=spread, **said))
        error = stats.sem(on - off)
        names = {"a": f"on @{C}", "b": f"off @{C}"}
        pairs.append(pair("fvd", 1.0, 1.0, error=error, seeds=seeds, about=about, **names))
    return Results(run=None, rows=rows, comparisons=pairs)


def said(results):
    (line,) = worth_of_rows(results)
    assert (
        line.startswith("mask: off takes ")
        and "the training of on to the same fvd (" in line
        and line.endswith("by the intervals of values and differences")
    )
    return [float(number) for number in re.findall(r"[\d.e+]+", line.split("takes")[1].split("times")[0])]


def test_results_without_standard_errors_are_not_guessed_at():
    new = trained(2.9, noise=0.02)
    (line,) = worth_of_rows(replace(new, rows=[replace(r, standard_error=None) for r in new.rows]))
    assert "absent: results of an older version do not say standard errors" in line


def test_of_power_laws_it_is_their_ratio():
    assert said(trained(2.9)) == pytest.approx([2.9, 2.9, 2.9])
    value, low, high = said(trained(2.9, noise=0.02))
    assert value == pytest.approx(2.9) and low < 2.7 and high > 3.1


@pytest.mark.parametrize(("times", "lasting"), [(2.0, 0.0), (1.0, 1.0)])
def test_its_interval_covers_the_truth(times, lasting):
    rng = np.random.default_rng(0)
    made = [said(trained(times, 0.03, rng, lasting)) for _ in range(400)]
    inside = np.mean([low <= times <= high for _, low, high in made])
    assert 0.92 < inside <= 1  # 400 draws: ± 0.011 at 0.95


@pytest.mark.parametrize(
    "changes", [{"lengths": (1000,)}, {"about": "checkpoints"}, {"better": None}], ids=["length", "seeds", "direction"]
)
def test_nothing_is_said_without_lengths_trainings_and_a_direction(changes):
    assert worth_of_rows(trained(2.0, **changes)) == []


def test_a_value_that_never_changes_costs_its_line_alone():
    flat = trained(1.0)
    flat = replace(flat, rows=[replace(r, value=1.0) for r in flat.rows])
    (line,) = worth_of_rows(flat)
    assert line.startswith("mask: fvd of on and off against training: absent: the metric does not change")

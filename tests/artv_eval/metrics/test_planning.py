"""What to buy: the power that is promised is the one that whole simulated sweeps have."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from artv_eval.api import GeneratedClip
from artv_eval.cli.power import Spent, _chance_of, _json, _price, _spent, _text
from artv_eval.metrics.planning import Chance, Option, Price, cheapest, clips_needed, power_of, within_budget
from artv_eval.metrics.training_seeds import Measured, over_seeds
from artv_eval.results.documents import write_json
from artv_eval.results.rows import Comparison
from artv_eval.results.store import RunStore


def simulated(difference, chance, seeds, clips, repetitions=1500):
    """Share of sweeps, simulated clip by clip, in which the test of the method finds the difference."""
    rng = np.random.default_rng(0)
    sd = chance.se_clips * np.sqrt(chance.clips)
    found = 0
    for _ in range(repetitions):
        both = rng.normal(size=(clips, 1)) * np.sqrt(chance.shared)
        own = rng.normal(size=(clips, seeds)) * np.sqrt(1 - chance.shared)
        values = difference + rng.normal(size=seeds) * chance.sd_trainings + (both + own) * sd
        found += over_seeds(Measured(values.mean(0), np.cov(values.T) / clips, clips)).p_value < 0.05
    return found / repetitions


@pytest.mark.parametrize(
    ("difference", "chance", "seeds", "clips"),
    [
        (3.0, Chance(sd_trainings=2.0, se_clips=0.4, clips=512), 4, 64),
        (6.0, Chance(sd_trainings=2.0, se_clips=0.4, clips=512, shared=0.5), 2, 8),
        (0.5, Chance(sd_trainings=0.1, se_clips=0.4, clips=512, shared=0.9), 3, 300),
        (1.0, Chance(sd_trainings=1.0, se_clips=1.0, clips=20, shared=0.3), 8, 20),
        (1.0, Chance(sd_trainings=0.0, se_clips=1.0, clips=8), 8, 8),  # nothing shared, yet an estimate of it
    ],
)
def test_the_power_is_that_of_simulated_sweeps(difference, chance, seeds, clips):
    assert power_of(difference, chance, seeds, clips) == pytest.approx(
        simulated(difference, chance, seeds, clips), abs=0.035
    )


def test_trainings_tell_more_than_clips_where_trainings_vary():
    chance = Chance(sd_trainings=2.07, se_clips=0.39, clips=512)  # the mask's FVD over four seeds
    best, *others = within_budget(3.0, chance, Price(training=2.0, clip=0.002), 40.0)
    fewest = next(option for option in others if option.seeds == 2)
    assert best.seeds > 4 and fewest.clips > 3_000 and best.power > 2 * fewest.power
    assert all(option.minutes <= 40 for option in (best, *others))


def test_the_cheapest_reaches_the_power_that_is_asked_for():
    chance = Chance(sd_trainings=0.5, se_clips=2.0, clips=20)
    found = cheapest(2.0, chance, Price(training=10.0, clip=0.1), power=0.8)
    assert found and 0.8 <= found.power < 0.9
    assert simulated(2.0, chance, found.seeds, found.clips) == pytest.approx(found.power, abs=0.035)
    assert cheapest(0.001, Chance(sd_trainings=5.0, se_clips=1.0, clips=20), Price(training=1.0, clip=0.0)) is None


def test_the_spreads_of_a_comparison_are_found_again():
    own, shared, between, seeds = 0.3**2, 0.5 * 0.3**2, 0.8**2, 4
    error = np.sqrt((between + own - shared) / seeds + shared)
    chance = Chance.of(0.8, 0.3, error, seeds, 100)
    assert (chance.sd_trainings, chance.shared) == pytest.approx((0.8, 0.5))


def test_the_command_reads_a_run_and_says_what_to_buy(toy, cli):
    toy("--ablation", "learning", "--train", "--train-seeds", 3, "--metrics", "brightness", "--out", "run")
    arguments = ("power", "run", "--metric", "brightness", "--difference", 3, "--train-minutes", 2, "--budget", 60)
    outcome = cli(*arguments, "--clip-seconds", 1)
    assert outcome.code == 0 and "training seeds a side" in outcome.out, outcome.err
    options = json.loads(cli(*arguments, "--clip-seconds", 1, "--format", "json").out)
    assert options[0]["power"] == max(option["power"] for option in options)
    Path("run/manifest.json").unlink()  # it is needed for what trainings took alone
    assert cli(*arguments).code == 0
    lacking = cli("power", "run", "--metric", "brightness", "--difference", 3)
    assert lacking.code == 2 and "give --train-minutes: there is no training here" in lacking.err


def test_prices_are_of_the_two_cells_that_are_compared(tmp_path):
    """Not of trainings of another length, and clips cost what they took."""
    store = RunStore(tmp_path)
    took = {("on @100", "1"): 50, ("on @100", "2"): 70, ("off @100", "3"): 90, ("on @900", "4"): 900}
    cells = [{"ablation": "mask", "cell": name, "id": 16 * digit, "training": {"seconds": seconds}}
             for (name, digit), seconds in took.items()]  # fmt: skip
    write_json(tmp_path / "manifest.json", {"cells": [*cells, {"ablation": "mask", "cell": "real", "id": 16 * "5"}]})
    for digit, seconds in (("1", 2.0), ("2", 3.0), ("3", 10.0), ("4", 99.0)):
        store.save_clip(16 * digit, 0, GeneratedClip(np.zeros((1, 8, 8, 3), np.uint8), seconds=seconds))
    pair = Comparison(ablation="mask", metric="fvd", a="on @100", b="off @100", difference=1.0, ci_low=0.0, ci_high=2.0,
                      p_value=0.5, n=4, p_holm=0.5)  # fmt: skip
    found = _spent(store, pair)
    assert found == Spent(of="on @100 − off @100", training=70.0, clip=3.0)
    assert _price(found, None, None) == Price(training=70 / 60, clip=3 / 60)
    assert _price(found, 5.0, 0.0) == Price(training=5.0, clip=0.0)


def test_where_clips_of_a_prompt_go_together_prompts_are_what_is_bought(tmp_path):
    """Errors over 50 prompts of 4 clips fall with further prompts; a prompt costs its four clips."""
    pair = Comparison(ablation="mask", metric="fvd", a="on", b="off", difference=1.0, ci_low=0.0, ci_high=2.0,
                      p_value=0.5, n=200, prompts=50, p_holm=0.5, sd_trainings=0.8, se_clips=0.3, standard_error=0.5,
                      seeds=4)  # fmt: skip
    chance, spent = _chance_of(pair), _spent(RunStore(tmp_path), pair)
    assert chance == Chance.of(0.8, 0.3, 0.5, 4, 50)
    assert _price(spent, 5.0, 3.0) == Price(training=5.0, clip=4 * 3 / 60)
    option = Option(seeds=3, clips=70, minutes=9.0, power=0.8)
    said = _text(2.0, chance, _price(spent, 5.0, 3.0), [option], spent)
    assert (
        "over 50 prompts of 4 clips" in said and "70 prompts of 4 clips a cell" in said and "a clip 3 seconds" in said
    )
    assert json.loads(_json([option], spent)) == [
        {"seeds": 3, "clips": 280, "minutes": 9.0, "power": 0.8, "prompts": 70}
    ]
    alone = replace(pair, prompts=None)
    assert _chance_of(alone).clips == 200 and _spent(RunStore(tmp_path), alone).each == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--difference", 1), "give a run's folder, or --sd-trainings and --se-clips"),
        (("--difference", 0, "--sd-trainings", 1, "--se-clips", 1), "--difference is 0"),
        (("--difference", 1, "--sd-trainings", 1, "--se-clips", 1), "give --train-minutes"),
        (("--difference", 1, "--sd-trainings", 1, "--se-clips", 1, "--train-minutes", 9, "--budget", 3), "cost 36"),
    ],
)
def test_bad_input_ends_in_one_line(cli, arguments, message):
    outcome = cli("power", *arguments)
    assert outcome.code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1


def test_what_is_not_known_is_said_beside_the_plan(cli):
    given = ("power", "--difference", 2, "--se-clips", 0.4, "--train-minutes", 5)
    said = cli(*given, "--sd-trainings", 0).out
    assert "a clip nothing (--clip-seconds" in said and "± 0 is an estimate" in said
    known = cli(*given, "--sd-trainings", 1, "--clip-seconds", 1).out
    assert "a clip 1 seconds" in known and "estimate" not in known


def test_power_agrees_with_the_t_test_it_approximates():
    needed = clips_needed(0.5, standard_error=1 / np.sqrt(100), n=100)
    assert needed == 34  # a paired t-test at effect size 0.5, as G*Power and tables of Cohen's have it
    rng = np.random.default_rng(0)
    found = [stats.ttest_1samp(rng.normal(0.5, 1, needed), 0).pvalue < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


def test_few_clips_are_never_said_to_be_enough():
    """An effect of 3 standard deviations: a t-test has power above 0.8 from 4 pairs on; p < 0.05 needs 6."""
    assert clips_needed(9.5, standard_error=1.2, n=6) == 6

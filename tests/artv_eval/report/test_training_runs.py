"""A training's folder as results: what its files say is in tables, on the page and in figures, under its step."""

import json

import pytest

from artv.training.config import load_config
from artv_eval.report.figures import figures
from artv_eval.report.html import load_run, page

VALIDATIONS = {1000: 0.5, 2000: 0.25}
FVD = {"metric": "fvd", "value": 131.0, "ci_low": 126.0, "ci_high": 136.0, "n": 8, "status": "ok",
       "higher_is_better": False, "protocol": "shapes@1"}  # fmt: skip


@pytest.fixture
def training(tmp_path):
    folder = tmp_path / "mine"
    rows = [{"stage": "model", "step": step, "loss": 2 * value} for step, value in VALIDATIONS.items()]
    for step, value in VALIDATIONS.items():
        validation = {"loss": value, "loss@100": value / 2}
        rows.append({"stage": "model", "step": step, "validation": validation, "best": True})
    files = {
        "config.json": load_config("shapes", validation_clips=6).model_dump_json(),
        "model/log.jsonl": "\n".join(map(json.dumps, rows)) + '\n{"st',
        "watch/curves.jsonl": json.dumps({"step": 2000, **FVD}) + '\n{"step": 30',
        "best/best.json": json.dumps({"step": 2000, "metric": "loss", "value": 0.25}),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_each_value_is_a_row_with_its_step(training):
    results, _ = load_run(training)
    found = {(row.metric, row.train_steps): (row.value, row.n) for row in results.rows}
    assert found == {
        **{("validation loss", step): (value, 6) for step, value in VALIDATIONS.items()},
        **{("validation loss@100", step): (value / 2, 6) for step, value in VALIDATIONS.items()},
        ("training loss", 2000): (0.5, 512),
        ("fvd", 2000): (131.0, 8),
    }
    assert {row.cell for row in results.rows} == {"mine @1000", "mine @2000"}
    assert results.notes[0].startswith(f"{training}: not finished, 12000 steps asked for")
    assert results.notes[1] == f"best by loss: step 2000, 0.25, kept in {training / 'best'}"


def test_n_is_the_clips_that_there_were(training):
    log = training / "model" / "log.jsonl"
    log.write_text('{"step": 9, "validation": {"loss": 1.0}, "clips": 2}\n{"step": 9, "loss": 1.0, "samples": 24}')
    rows = load_run(training)[0].rows
    assert {row.metric: row.n for row in rows if row.train_steps == 9} == {"validation loss": 2, "training loss": 24}


def test_its_curves_are_on_the_page_and_in_figures(training):
    results, store = load_run(training)
    text = page(results, store)
    assert all(f'id="{section}"' in text for section in ("values-0", "lengths", "losses")) and 'id="made"' not in text
    assert [name for name, _ in figures(results, store)] == [
        "training-validation loss-training",
        "training-validation loss@100-training",
        "training-loss",
    ]


def test_the_command_shows_it_without_scores_too(training, cli):
    other = training.with_name("other")
    training.rename(other)
    (other / "watch" / "curves.jsonl").unlink()
    outcome = cli("report", other, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert {row["metric"] for row in json.loads(outcome.out)["rows"]} == {
        "training loss", "validation loss", "validation loss@100"
    }  # fmt: skip

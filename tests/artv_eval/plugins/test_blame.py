"""Whatever a member of a plugin's component raises at work: one line, and what does not need it goes on."""

import json
from pathlib import Path

import pytest

from artv_eval import extras

TOY = Path(__file__).parents[1] / "toy"
SOURCE = """
import sys
from artv_eval import CellSpec, Component, hookimpl

toy = next(module for name, module in sys.modules.items() if name.startswith("artv_eval_plugin_toy_"))


def broken(*arguments, **named):
    toy.log("broken")
    raise RuntimeError("no\\nluck")


def rubbish(*arguments, **named):
    return object()


class Card(toy.Card):
    pass


class Metric(toy.Brightness):
    name, digest = "faulty", "faulty-1"


class Method(toy.Noisy):
    pass


class Trainer(toy.ToyTrainer):
    pass


def ablation():
    return lambda context: [CellSpec(name="one", method="noisy"), CellSpec(name="other", method="faulty")]


def training():
    return toy.learning()


setattr(KIND, "MEMBER", property(FAULT) if VALUE else FAULT)

@hookimpl
def register_protocols(): return [Component("faulty@1", f"{__name__}:Card", "x")]
@hookimpl
def register_metrics(): return [Component("faulty", f"{__name__}:Metric", "x")]
@hookimpl
def register_methods(): return [Component("faulty", f"{__name__}:Method", "x")]
@hookimpl
def register_trainers(): return [Component("faulty-train", f"{__name__}:Trainer", "x")]
@hookimpl
def register_ablations(): return [Component("faulty", f"{__name__}:ablation", "x")]
"""
REQUIRED = {
    "Metric": ("name", "digest", "needs", "higher_is_better", "describe", "evaluate"),
    "Method": ("generate",),
    "Card": ("name", "hash", "requests", "reference"),
}
OPTIONAL = {"Metric": extras.EvaluatorExtras, "Method": extras.MethodExtras, "Card": extras.ProtocolExtras}
VALUES = ("name", "digest", "hash", "needs", "higher_is_better")  # of those that a kind must have, no functions


def members():
    for kind, names in REQUIRED.items():
        yield from ((kind, name, name in VALUES) for name in names)
        for name, default in vars(OPTIONAL[kind]).items():
            if not name.startswith("_") and name not in ("efficiency_case", "defaults"):  # asked of the factory
                yield kind, name, isinstance(default, property) or not callable(default)


@pytest.fixture
def sweep(cli, tmp_path):
    def call(source):
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "faulty.py").write_text(source, encoding="utf-8")
        plugins = ("--plugins-dir", TOY, "--plugins-dir", "plugins", "--protocol", "faulty@1", "--ablation", "faulty")
        return cli("sweep", *plugins, "--num-videos", 6, "--metrics", "brightness,faulty,distance", "--format", "json")

    return call


@pytest.mark.parametrize(("kind", "member", "value"), list(members()))
def test_what_a_member_raises_is_told_and_costs_what_needs_it(sweep, made, kind, member, value):
    source = SOURCE.replace("KIND", kind).replace("MEMBER", member).replace("VALUE", str(value))
    outcome = sweep(source.replace("FAULT", "broken"))
    asked = "broken" in made()
    assert "Traceback" not in outcome.err
    if not outcome.out:  # without a protocol there is nothing to do
        last = outcome.err.strip().splitlines()[-1]
        assert kind == "Card" and outcome.code in (1, 2) and last.startswith("artv-eval: ")
        assert not asked or ("faulty.py/faulty" in last and "RuntimeError: no luck" in last)
        return
    found = json.loads(outcome.out)
    status = {(row["cell"], row["metric"]): row["status"] for row in found["rows"]}
    for (cell, metric), its in status.items():
        spared = metric == "brightness" or (metric, kind) not in {("faulty", "Metric"), ("distance", "Card")}
        assert its == "ok" or not spared or (kind == "Method" and cell == "other")
    assert status["one", "brightness"] == "ok" and len(status) > 3
    assert not asked or "RuntimeError: no luck" in " ".join([*status.values(), *found["notes"]])


@pytest.mark.parametrize("member", ["per_clip", "curve", "covariance_samples", "resample", "digest", "needs"])
def test_what_is_no_value_is_told_and_costs_what_needs_it(sweep, member):
    source = SOURCE.replace("KIND", "Metric").replace("MEMBER", member).replace("VALUE", str(member in VALUES))
    outcome = sweep(source.replace("FAULT", "rubbish"))
    assert "Traceback" not in outcome.err and outcome.out
    status = {row["metric"]: row["status"] for row in json.loads(outcome.out)["rows"]}
    assert status["brightness"] == status["distance"] == "ok"


OTHERS = """
import sys
import torch
from artv_eval import Component, hookimpl
from artv.data.readers import PyAvReader
from artv_eval.executors.serial import SerialExecutor

toy = next((m for name, m in sys.modules.items() if name.startswith("artv_eval_plugin_toy_")), None)
Trained = toy.ToyTrainer if toy else object


def broken(*arguments, **named):
    raise RuntimeError("no\\nluck")


class Extractor:
    name, digest, dim = "faulty", "faulty-1", 3

    def __call__(self, clip_BTCHW):
        return clip_BTCHW.float().mean((1, 3, 4))


class Reader(PyAvReader):
    pass


class Executor(SerialExecutor):
    pass


class Trainer(Trained):
    pass


setattr(KIND, "MEMBER", property(broken) if VALUE else broken)

@hookimpl
def register_features(): return [Component("faulty", f"{__name__}:Extractor", "x")]
@hookimpl
def register_readers(): return [Component("faulty", f"{__name__}:Reader", "x")]
@hookimpl
def register_executors(): return [Component("faulty", f"{__name__}:Executor", "x")]
@hookimpl
def register_trainers(): return [Component("faulty-train", f"{__name__}:Trainer", "x")]
"""


def written(kind, member, value):
    Path("plugins").mkdir()
    source = OTHERS.replace("KIND", kind).replace("MEMBER", member).replace("VALUE", str(value))
    Path("plugins", "other.py").write_text(source, encoding="utf-8")
    return "--plugins-dir", "plugins"


def told(outcome):
    """What is said of the fault: an error that names the plugin, a row, or a note."""
    rows = json.loads(outcome.out) if outcome.out else {"rows": [], "notes": []}
    assert "Traceback" not in outcome.err
    return " ".join([outcome.err, *(row["status"] for row in rows["rows"]), *rows["notes"]])


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        *(("Extractor", member, True) for member in ("name", "digest", "dim", "device", "world")),
        *(("Extractor", member, False) for member in ("__call__", "__init__", "seen")),
        ("Reader", "used", True),
        *(("Reader", member, False) for member in ("__init__", "__len__", "__getitem__")),
    ],
)
def test_scoring_tells_what_a_member_raises_and_goes_on(cli, sides, monkeypatch, tmp_path, kind, member, value):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plugins = written(kind, member, value)
    chosen = ("--reader", "faulty", "--metrics", "flicker")
    if kind == "Extractor":
        chosen = ("--features", "faulty", "--metrics", "kvd,flicker")
    files = ("--real", sides[0], "--fake", sides[1], "--frames", 4, "--workers", 0)
    outcome = cli("score", *plugins, *files, *chosen, "--format", "json")
    status = {row["metric"]: row["status"] for row in json.loads(outcome.out)["rows"]} if outcome.out else {}
    asked = "no luck" in (said := told(outcome)) or "fake/0.mp4 cannot be read: no)" in said
    assert asked == (outcome.code != 0), outcome
    assert status.get("flicker", "ok") == "ok" or kind == "Reader", status


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [("Executor", "elsewhere", True), ("Executor", "run", False)]
    + [("Trainer", member, False) for member in ("settings", "train", "cost", "steps", "curves")],
)
def test_a_sweep_tells_what_executors_and_trainers_raise(cli, made, kind, member, value):
    plugins = ("--plugins-dir", TOY, *written(kind, member, value), "--protocol", "toy@1", "--num-videos", 6)
    chosen = ("--ablation", "noise", "--executor", "faulty")
    if kind == "Trainer":
        chosen = ("--ablation", "learning", "--train", "--train-seeds", 1, "--set", "trainer.name=faulty-train")
    outcome = cli("sweep", *plugins, *chosen, "--metrics", "brightness", "--format", "json")
    said = told(outcome)
    assert "no luck" in said or (outcome.code == 0 and member in ("cost", "steps", "curves"))
    assert outcome.code in (0, 1, 2)

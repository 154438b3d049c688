"""The name of a twin: every setting is part of it, or declared to be technical and handed on beside it."""

import json
import os
import signal
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from artv.errors import UserError
from artv.training.config import (
    TECHNICAL,
    LoopConfig,
    TrainConfig,
    code_version,
    identity,
    load_config,
    technical,
    with_changes,
)
from artv.yaml_files import read_yaml
from artv_eval.methods.checkpoints import check_partners
from artv_eval.plugins.digests import digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import recipe
from artv_eval.twins.artv import ArtVTrainer, _config
from artv_eval.twins.training import Training

ROOT = Path(__file__).parents[3]
STAGES = ("autoencoder", "text_encoder", "model")
OTHERS = (True, False, 3, 128, 0.25, 7.5, "some/folder", ("wandb",), load_config("shapes").sizes().to_dict())


def other(path, annotation):
    """The settings with another value at ``path`` that is allowed there."""
    plain = load_config("shapes")
    for value in (*get_args(annotation), *OTHERS):
        change = {path[0]: {path[1]: value} if len(path) > 1 else value}
        try:
            changed = with_changes(plain, change, "test")
        except UserError:
            continue
        if changed.model_dump_json() != plain.model_dump_json():
            return changed
    raise AssertionError(f"no other value of {path}: add one to OTHERS")


def every_setting():
    for name, field in TrainConfig.model_fields.items():
        if name not in STAGES:
            yield (name,), field.annotation
    for field in fields(LoopConfig):
        yield ("model", field.name), field.type


SETTINGS = {".".join(path): annotation for path, annotation in every_setting()}


def test_a_start_of_other_networks_is_told_with_the_plan():
    """Not when the twin with a mask has been trained for hours."""
    trainer = ArtVTrainer(init="shapes")
    assert trainer.components is None and trainer.settings({}, seed=0, steps=4)["start"]["init"]
    with pytest.raises(UserError, match=r"shapes holds other networks .* mask\.channels is \(16, 24, 24\), not None"):
        trainer.settings({"mask": False}, seed=0, steps=4)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_in_the_name_or_technical(name):
    path = tuple(name.split("."))
    changed = other(path, SETTINGS[name])
    assert (identity(changed) == identity(load_config("shapes"))) == (path[-1] in TECHNICAL)
    assert bool(technical(changed)) == (path[-1] in TECHNICAL) or path == ("preset",)
    # nothing that was asked for is lost on the way to the training
    assert _config({"config": identity(changed), "how": technical(changed)}) == changed


@pytest.mark.parametrize(("preset", "before"), [("shapes", "0cec02535099e1c2"), ("paper", "9cf896ccd6956302")])
def test_a_preset_that_gets_faster_has_the_name_of_before(preset, before):
    """Digests by the code of commit 2ba03bc, whose ``paper`` used one stream and updated in several passes."""
    assert digest(identity(load_config(preset)))[:16] == before
    again = _config({"config": identity(load_config(preset)), "how": technical(load_config(preset))})
    assert again == load_config(preset)


def test_a_setting_that_is_as_before_it_existed_leaves_the_name_as_it_was():
    """The digest is by the code of commit 2ba03bc, which drew every sample apart."""
    apart, even = load_config("paper", stratified=False), load_config("paper")
    assert (digest(identity(apart))[:16], code_version(apart)) == ("9cf896ccd6956302", 1)
    assert code_version(even) != 1  # what trains another model has another name
    assert _config({"config": identity(apart), "how": technical(apart)}) == apart


def test_checkpoints_of_which_one_was_trained_by_even_shares_are_no_twins(tmp_path):
    for name, changes in {"before": {}, "apart": {"stratified": False}, "even": {"stratified": True}}.items():
        settings = json.loads(load_config("paper", **changes).model_dump_json())
        settings = {key: value for key, value in settings.items() if name != "before" or key != "stratified"}
        (tmp_path / name / "pipeline").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    before, apart, even = (str(tmp_path / name / "pipeline") for name in ("before", "apart", "even"))
    check_partners(before, apart, "mask")
    with pytest.raises(UserError, match="are no twins: stratified was False in the training of one and True in"):
        check_partners(before, even, "mask")


def test_what_is_declared_technical_exists():
    assert set(TECHNICAL) <= {name.split(".")[-1] for name in SETTINGS}


def test_ids_are_those_of_the_twins_in_the_package():
    """benchmarks/results/twins-shapes2-h200, trained before settings were told apart as they are now."""
    folder = ROOT / "benchmarks" / "results" / "twins-shapes2-h200"
    noted = json.loads((folder / "trainings.json").read_text(encoding="utf-8"))["trainings"]
    changes = {"world": 2, "clips": 8192, **read_yaml(folder / "settings.yaml", "settings")["training"]}
    made = recipe(PluginManager(), "trainers", "artv-train", {"preset": "shapes"})
    for row in noted:
        mine = changes if row["cell"] == "mask=on" else {**changes, "mask": False, "fused": False, "validate_every": 9}
        settings = ArtVTrainer(device="cuda").settings(mine, seed=row["seed"], steps=3500)
        training = Training(trainer=made, changes=mine, settings=settings, seed=row["seed"], steps=3500)
        assert training.id == row["id"]


def test_stopped_it_saves_the_step_that_it_is_at_and_says_how_to_go_on(tmp_path):
    """A real ``artv train`` of networks of a few weights; the signal reaches this process alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sizes = load_config("shapes").sizes().to_dict()
    for network in ("dynamic", "mask"):
        sizes[network] |= {"channels": [8, 8], "heads": [1, 1], "attention": [False, True], "norm_groups": 4}
    trainer = ArtVTrainer()
    changes = {"networks": sizes, "clips": 4, "num_frames": 3, "validate_every": 0, "model": {"batch_size": 2}}
    settings, state = trainer.settings(changes, seed=1, steps=100_000), tmp_path / "model" / "state"
    try:
        threading.Thread(target=interrupt_when, args=(tmp_path / "model" / "log.jsonl",), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            trainer.train(settings, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    said = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()[-1]
    step = json.loads((state / "step.json").read_text(encoding="utf-8"))["step"]
    assert step > 0 and said.endswith(
        f"stopped and saved at step {step} of 100000; run the same command again to continue"
    )


def interrupt_when(log):
    while not (log.exists() and log.stat().st_size):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_batch_that_is_asked_for_is_the_one_that_is_trained_with():
    """On a CPU too, where it is the preset's own for GPUs: two cells of a grid would be one training."""

    def batch(**model):
        return ArtVTrainer().settings({"model": model}, seed=1, steps=1)["config"]["model"]["batch_size"]

    assert [batch(), batch(batch_size=64), batch(batch_size=512)] == [32, 64, 512]

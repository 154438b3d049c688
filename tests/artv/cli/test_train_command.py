"""From the options of ``artv train`` and its file to the settings of the training, and what is refused before it."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from artv.cli import app
from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv.presets import ASSETS
from artv.training import launch
from artv.training.config import load_config
from artv.video import write_video


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """Runs ``artv train`` up to where the work would begin; gives what that is handed, or the error."""
    found = {}

    def note(config, out, **options):
        found.update(config=config, out=out, **options)

    monkeypatch.setattr(launch, "launch_training", note)

    def run(*options, file=None, preset="shapes"):
        command = ["train", "--preset", preset, "--out", str(tmp_path / "run"), *map(str, options)]
        if file is not None:
            (tmp_path / "x.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
            command += ["--config", str(tmp_path / "x.yaml")]
        done = CliRunner().invoke(app, command)
        if done.exception is not None:
            raise done.exception
        return found

    return run


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "a.mp4", ShapesWorld(num_frames=2, size=16).clip(0).frames)
    (folder / "captions.csv").write_text("file,caption\na.mp4,a red circle\n", encoding="utf-8")
    return folder


def test_nothing_said_is_the_preset(launched):
    asked = launched()
    assert asked["config"] == load_config("shapes") and asked["stages"] == ["autoencoder", "text_encoder", "model"]
    assert {key: asked[key] for key in ("components", "init", "revision", "variant", "device")} == dict.fromkeys(
        ("components", "init", "revision", "variant", "device")
    )


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--no-mask"], "mask", False),
        (["--no-anchor"], "anchor", False),
        (["--clips", 7], "clips", 7),
        (["--ref-noise", "constant:0"], "ref_noise", "constant:0"),
        (["--seed", 9], "seed", 9),
        (["--reader", "pyav"], "reader", "pyav"),
        (["--tracker", "none", "--tracker", "tensorboard"], "trackers", ("none", "tensorboard")),
        (["--steps", 70], "model.steps", 70),
        (["--batch-size", 3], "model.batch_size", 3),
        (["--batch-size", 4, "--global-batch", 12], "model.global_batch", 12),
        (["--minutes", 1.5], "model.minutes", 1.5),
        (["--lr", 0.25], "model.lr", 0.25),
    ],
    ids=lambda x: str(x),
)
def test_each_option_is_its_setting_also_over_a_file(launched, options, name, value):
    def of(config):
        for part in name.split("."):
            config = getattr(config, part)
        return config

    *stage, key = name.split(".")
    other = {"mask": True, "anchor": True, "trackers": ["none"], "reader": "decord", "ref_noise": "constant:0.5"}
    filed = other.get(key, 2)
    assert of(load_config("shapes")) != value
    assert of(launched(*options)["config"]) == value
    assert of(launched(*options, file={stage[0]: {key: filed}} if stage else {key: filed})["config"]) == value


def test_data_of_a_file_are_taken_unless_others_are_asked_for(launched, clips):
    assert launched(file={"data": str(clips)})["config"].data == str(clips)
    assert launched("--data", "builtin", file={"data": str(clips)})["config"].data == "builtin"
    assert launched("--data", clips)["config"].data == str(clips)
    assert launched()["config"].data == "builtin"


def test_steps_of_the_networks_are_the_most_of_the_stages_before(launched):
    config = launched("--steps", 70)["config"]
    assert (config.autoencoder.steps, config.text_encoder.steps, config.model.steps) == (70, 70, 70)
    config = launched("--steps", 4_200)["config"]
    assert (config.autoencoder.steps, config.text_encoder.steps, config.model.steps) == (4_200, 4_000, 4_200)


def test_the_second_world_brings_its_lengths_unless_they_are_said(launched):
    config = launched("--world", 2)["config"]
    assert (config.num_frames, config.horizon) == (48, 144)
    config = launched("--world", 2, file={"num_frames": 8})["config"]
    assert (config.num_frames, config.horizon) == (8, 144)
    config = launched(file={"world": 2, "horizon": 20})["config"]
    assert (config.world, config.num_frames, config.horizon) == (2, 48, 20)


def test_stages_in_the_order_in_which_they_are_asked_for(launched):
    asked = launched("--stages", "autoencoder, model", "--components", "shapes")
    assert asked["stages"] == ["autoencoder", "model"] and asked["components"] == "shapes"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stages", "autoencoder,modle"], "stage is 'modle'; did you mean model"),
        (["--stages", ""], "stage is ''"),
        (["--data", "/nowhere/clips"], "data folder /nowhere/clips does not exist"),
        (["--validation", "/nowhere/clips"], "data folder /nowhere/clips does not exist"),
        (["--components", "/nowhere"], "components /nowhere: /nowhere/autoencoder is missing"),
        (["--init", "/nowhere"], "/nowhere is not a folder"),
        (["--init", "shape"], "shape is not a folder; give a diffusers folder or a repository id"),
        (["--init", "shape"], "or one of shapes, shapes:"),
        (["--init", "shapes:no-mask"], "shapes with these switches: mask.channels is None, not (16, 24, 24)"),
        (["--init", str(ASSETS / "model"), "--no-anchor"], "anchor is True, not False"),
        (["--init", "shapes:no-msk"], "did you mean shapes:no-mask"),
        (["--init", str(ASSETS / "twins.json")], "twins.json is not a folder"),
        (["--init", str(ASSETS.parent)], "holds no networks of ours (model/config.json)"),
        (["--tracker", "tensorbord"], "did you mean tensorboard"),
        (["--resume"], "nothing to resume in"),
        (["--steps", 0], "setting steps = 0: input should be greater than or equal to 1"),
        (["--clips", 0], "clips = 0: input should be greater than or equal to 1"),
        (["--batch-size", -1], "batch_size = -1"),
        (["--device", "gpu"], "--device is 'gpu'"),
        (["--lr", "nan"], "lr = nan"),
    ],
    ids=lambda x: " ".join(map(str, x)) if isinstance(x, list) else "",
)
def test_mistakes_are_told_and_nothing_is_made(launched, tmp_path, options, words):
    with pytest.raises(UserError) as caught:
        launched(*options)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_another_world_and_other_data_are_two_things(launched, clips):
    with pytest.raises(UserError, match=r"world 2 is a built-in one, and data is .*; give one of the two"):
        launched("--world", 2, "--data", clips)


@pytest.mark.parametrize("init", ["shapes", "owner/name", str(ASSETS / "model")])
def test_networks_start_from_what_is_packaged_a_folder_or_a_hub(launched, init):
    assert launched("--init", init)["init"] == init
    assert launched("--no-mask", "--init", "shapes:no-mask")["init"] == "shapes:no-mask"


def test_the_papers_networks_start_somewhere(launched):
    with pytest.raises(UserError, match="the paper preset starts from pretrained weights; give --init"):
        launched(preset="paper")
    assert launched("--init", "owner/name", preset="paper")["init"] == "owner/name"


def test_a_caption_without_a_clip_is_told(launched, clips, tmp_path):
    folder = Path(tmp_path / "clips")
    folder.mkdir()
    (folder / "captions.csv").write_text("file,caption\ngone.mp4,a red circle\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"captions\.csv names gone\.mp4, which is no file"):
        launched("--data", folder)


def test_what_was_asked_for_is_told_apart_from_the_presets(launched):
    assert launched()["given"] == {"model": {}}
    found = launched("--batch-size", 512, file={"model": {"precision": "bf16"}, "seed": 3})
    assert found["given"] == {"model": {"precision": "bf16", "batch_size": 512}, "seed": 3}

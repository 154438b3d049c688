"""A run's folder: what may change from one start to the next, what is asked of the stages, whose latents are whose."""

import json

import pytest
import torch

from artv.data.shard_index import INDEX, read_index
from artv.errors import UserError
from artv.presets import load_components
from artv.training import processes
from artv.training.clips import Clips
from artv.training.config import load_config, technical, with_changes, with_loop
from artv.training.inputs import SAMPLES, claim_inputs
from artv.training.run import _claim, _pretrain, _under_way, make_latents

CPU = torch.device("cpu")


def claimed(folder, config):
    _claim(folder, config)
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


HOW = [
    {"model": {"minutes": 3}},
    {"model": {"save_minutes": 7.5, "graph": False}},
    {"recompute": True, "overlap": False, "fused": False},
    {"reader": "pyav"},
    {"validate_every": 3, "validation_clips": 8, "sample_every": 0, "best_by": "loss@100", "trackers": ["none"]},
]


@pytest.mark.parametrize("changes", HOW, ids=str)
def test_what_does_not_change_the_training_may_change(tmp_path, changes):
    config = load_config("shapes")
    claimed(tmp_path, config)
    again = with_changes(config, changes, "test")
    assert claimed(tmp_path, again)["model"]["save_minutes"] == again.model.save_minutes


WHAT = [
    ("seed", 1),
    ("mask", False),
    ("drop_text", 0.2),
    ("size", 32),
    ("fps", 4.0),
    ("crop", "random"),
    ("workers", 3),
    ("model.lr", 1e-4),
    ("model.steps", 7),
    ("model.precision", "fp32"),
    ("model.optimizer", "adamw8bit"),
    ("autoencoder.batch_size", 3),
]


@pytest.mark.parametrize(("name", "value"), WHAT)
def test_what_changes_the_training_is_refused_by_its_name(tmp_path, name, value):
    config = load_config("shapes")
    before = claimed(tmp_path, config)
    *stage, key = name.split(".")
    changes = {stage[0]: {key: value}} if stage else {key: value}
    with pytest.raises(UserError) as caught:
        _claim(tmp_path, with_changes(config, changes, "test"))
    theirs = (before[stage[0]] if stage else before)[key]
    assert f"{tmp_path} was trained with {name} = {theirs}, not {value}; use the same settings" in str(caught.value)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == before


def test_a_run_of_before_a_setting_was_there_had_its_default(tmp_path):
    config = load_config("shapes")
    stored = claimed(tmp_path, config)
    for key in ("crop", "world", "horizon", "start_share"):
        stored.pop(key)
    stored["model"].pop("optimizer")
    (tmp_path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(UserError, match=r"start_share = 0\.0, not 0\.3"):  # the preset's is not the default
        _claim(tmp_path, config)
    _claim(tmp_path, config.model_copy(update={"start_share": 0.0}))


def test_a_run_goes_on_with_as_many_samples_a_step_however_many_processes(tmp_path, monkeypatch):
    config = with_loop(load_config("shapes"), "model", batch_size=120)
    monkeypatch.setattr(processes, "wait", lambda: None)
    monkeypatch.setattr(processes, "world", lambda: 4)
    _claim(tmp_path, config)
    monkeypatch.setattr(processes, "world", lambda: 1)
    alone = with_loop(config, "model", global_batch=480)
    with pytest.raises(UserError, match=r"model\.global_batch = None, not 480"):
        _claim(tmp_path, alone)  # of an older version: of how many processes nobody knows
    claim_inputs(tmp_path, {SAMPLES: 480})
    said = rf"{tmp_path} was begun with other samples a step \(480\) than there are now \(120\); start as many"
    with pytest.raises(UserError, match=said):
        _claim(tmp_path, config)
    assert claimed(tmp_path, alone)["model"]["global_batch"] == 480
    monkeypatch.setattr(processes, "world", lambda: 2)
    _claim(tmp_path, alone)


def test_five_differences_are_enough(tmp_path):
    config = load_config("shapes")
    _claim(tmp_path, config)
    changes = {"seed": 2, "mask": False, "anchor": False, "fps": 4.0, "drop_ref": 0.2, "drop_text": 0.3}
    with pytest.raises(UserError) as caught:
        _claim(tmp_path, with_changes(config, changes, "test"))
    assert str(caught.value).count(", not ") == 5


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write to .*; choose another --out"):
        _claim(tmp_path / "file" / "run", load_config("shapes"))


@pytest.mark.parametrize("stage", ["autoencoder", "text_encoder"])
def test_the_papers_components_come_pretrained(tmp_path, stage):
    with pytest.raises(UserError, match=f"the paper preset takes its {stage} from a pretrained pipeline"):
        _pretrain(stage, load_config("paper"), tmp_path, None, None)


@pytest.fixture(scope="module")
def components():
    return load_components("shapes")


def latents(config, folder, components):
    make_latents(config, folder, Clips(config, CPU), components["autoencoder"], components["text_encoder"])
    return read_index(folder)


@pytest.fixture(scope="module")
def tiny():
    return load_config("shapes", clips=3, num_frames=2, size=16, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny, components):
    folder = tmp_path_factory.mktemp("latents")
    latents(tiny, folder, components)
    return folder


def test_shards_say_what_they_are_of(folder):
    index = read_index(folder)
    assert (index.clips, index.num_frames, index.size, index.fps, index.data) == (3, 2, 16, 8.0, "builtin")
    assert index.source == "shapes@1, train, seed 5"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 6}, "source = shapes@1, train, seed 5"),
        ({"fps": 4.0}, "fps = 8.0, not 4.0"),
        ({"clips": 4}, "clips = 3"),
    ],
)
def test_shards_of_another_run_are_not_taken(folder, tiny, components, changes, words):
    with pytest.raises(UserError, match=words):
        latents(tiny.model_copy(update=changes), folder, components)


@pytest.mark.parametrize(
    ("changes", "data", "source"),
    [
        ({"crop": "random"}, "builtin crops 5", "shapes@1, train, seed 5"),
        ({"world": 2, "horizon": 9}, "builtin 2 to 9", "shapes@2, train, seed 5"),
    ],
)
def test_what_changes_pixels_is_in_the_name(tmp_path, tiny, components, changes, data, source):
    index = latents(tiny.model_copy(update=changes), tmp_path, components)
    assert (index.data, index.source) == (data, source)


def test_shards_that_were_given_are_taken_under_their_own_name(folder, tiny, components):
    given = tiny.model_copy(update={"data": str(folder)})
    assert latents(given, folder, components).data == "builtin"
    with pytest.raises(UserError, match="size = 16, not 32"):
        latents(given.model_copy(update={"size": 32}), folder, components)
    other = type(components["autoencoder"]).from_config(components["autoencoder"].config)
    with pytest.raises(UserError, match="encoders = "):
        make_latents(given, folder, Clips(given, CPU), other, components["text_encoder"])
    assert (folder / INDEX).is_file()


def test_how_a_run_goes_is_what_its_identity_leaves_out():
    config = with_loop(load_config("shapes", recompute=True, drop_text=0.3), "model", graph=False, lr=1.0)
    assert technical(config) == {"recompute": True, "model": {"graph": False}}
    assert technical(load_config("paper")) == {"overlap": True}  # the preset's since; names hold what it was


@pytest.mark.parametrize("text", ["", "[]", "3", '{"model": ', "[" * 100_000, "\x00"])
def test_a_config_of_another_form_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        _claim(tmp_path, load_config("shapes"))
    assert str(tmp_path / "config.json") in str(caught.value) and "\n" not in str(caught.value)
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == text


def test_fields_of_another_kind_differ_from_ours(tmp_path):
    (tmp_path / "config.json").write_text('{"model": 3}', encoding="utf-8")
    with pytest.raises(UserError, match=r"start_share = 0\.0, not 0\.3") as caught:
        _claim(tmp_path, load_config("shapes"))
    assert "MISSING" not in str(caught.value) and "Undefined" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\x00\x01\xff", "is no YAML"),
        (b"model: null", "model is None; it must be a mapping"),
        (b"model: [1]", "it must be a mapping"),
        (b"model: {schedule: linear}", "schedule = 'linear': input should be 'constant' or 'cosine'"),
        (b"model: {precision: fp8}", "precision = 'fp8': input should be 'fp32' or 'bf16'"),
        (b"drop_text: 5", "drop_text = 5: input should be less than or equal to 1"),
        (b"model: {minutes: .nan}", "minutes = nan"),
        (b"workers: -1", "workers = -1"),
        (b"size: 63", "size 63 must be a multiple of 16"),
    ],
)
def test_a_yaml_file_that_means_nothing(tmp_path, text, words):
    (tmp_path / "x.yaml").write_bytes(text)
    with pytest.raises(UserError) as caught:
        load_config("shapes", tmp_path / "x.yaml")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("outcome", "stays"), [('{"finished": true}', True), ('{"finished": false}', False), ("{", False), (None, False)]
)
def test_a_training_that_goes_on_has_no_outcome_until_it_ends_again(tmp_path, outcome, stays):
    """By it ``artv-eval watch`` tells that nothing more will come."""
    if outcome is not None:
        (tmp_path / "outcome.json").write_text(outcome, encoding="utf-8")
    _under_way(tmp_path)
    assert (tmp_path / "outcome.json").exists() == stays

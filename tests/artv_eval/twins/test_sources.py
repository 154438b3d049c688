"""Digests of what a training reads change with anything that would change the model, and with nothing else."""

import json
import shutil

import pytest
import torch

from artv.data.clips import write_shapes
from artv.data.shard_index import OLDER
from artv.errors import UserError
from artv.presets import ASSETS, load_components
from artv.training.clips import Clips
from artv.training.config import load_config
from artv.training.run import make_latents
from artv_eval.plugins.digests import digest
from artv_eval.twins.sources import data_digest, start_digest
from artv_eval.twins.store import folder_digest
from tests.artv.data.test_shards import toy_shards


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "clips"
    write_shapes(folder, 2, num_frames=2)
    return folder


def test_the_built_in_world_is_itself():
    assert data_digest("builtin") == "builtin"


def test_a_folder_is_its_clips_and_captions(clips, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(clips, copied)
    before = data_digest(str(clips))
    assert data_digest(str(copied)) == before and len(before) == 16
    (copied / "notes.txt").write_text("not read by a training")
    assert data_digest(str(copied)) == before
    table = copied / "captions.csv"
    whole = table.read_text()
    table.write_text(whole.replace("moves", "goes", 1) if "moves" in whole else whole + " ")
    assert data_digest(str(copied)) != before
    table.write_text(whole)
    with (copied / "000001.mp4").open("ab") as file:
        file.write(b"x")
    assert data_digest(str(copied)) != before


def test_shards_are_their_index(tmp_path):
    toy_shards(tmp_path / "a", clips=4, clips_a_shard=2)
    toy_shards(tmp_path / "b", clips=4, clips_a_shard=2)
    toy_shards(tmp_path / "c", clips=2, clips_a_shard=2)
    a, b, c = (data_digest(str(tmp_path / name)) for name in "abc")
    assert a == b != c


def test_shards_that_were_written_before_their_index_said_more_are_the_data_that_they_were(tmp_path):
    """By the fields that there were when twins were first trained on them."""
    folder = toy_shards(tmp_path / "a", clips=4, clips_a_shard=4)
    fields = {"data": "toy", "clips": 4, "num_frames": 2, "size": 2, "fps": 8.0, "encoders": "x", "clips_a_shard": 4,
              "source": "files abc", "precision": "fp16"}  # fmt: skip
    (folder / "index.json").write_text(json.dumps(fields), encoding="utf-8")
    assert data_digest(str(folder)) == digest(fields)[:16]


def test_latents_of_other_clips_are_other_data(tmp_path, clips):
    """Two folders of one name, with as many clips: only what is in them differs."""
    other = tmp_path / "clips"
    shutil.copytree(clips, other)
    with (other / "000001.mp4").open("ab") as file:
        file.write(b"x")
    config, parts = load_config("shapes", num_frames=2, size=16), load_components("shapes")
    for name, data in (("a", clips), ("b", other)):
        own = config.model_copy(update={"data": str(data)})
        make_latents(own, tmp_path / name, Clips(own, torch.device("cpu")), **parts)
    assert data_digest(str(tmp_path / "a")) != data_digest(str(tmp_path / "b"))
    with pytest.raises(UserError, match="source = files "):
        make_latents(own, tmp_path / "a", Clips(own, torch.device("cpu")), **parts)
    fields = json.loads((tmp_path / "a" / "index.json").read_text())
    older = {key: value for key, value in fields.items() if key not in ("sha256", *OLDER)}
    (tmp_path / "a" / "index.json").write_text(json.dumps(older))
    make_latents(own, tmp_path / "a", Clips(own, torch.device("cpu")), **parts)  # it does not say what it is of


def test_data_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        data_digest(str(tmp_path / "nowhere"))


def test_a_start_is_the_parts_that_are_taken_from_it(tmp_path):
    assert start_digest(None, None) == {} and start_digest(None, "org/hub-id") == {"init": "org/hub-id"}
    packaged = start_digest("shapes", None)
    assert set(packaged) == {"autoencoder", "text_encoder"} and len(set(packaged.values())) == 2
    for name, folder in (("shapes", "model"), ("shapes:no-mask", "model_no_mask")):
        assert start_digest(None, name) == {**packaged, "init": folder_digest(ASSETS / folder)}
    (tmp_path / "weights").write_bytes(b"1")
    assert start_digest("shapes", str(tmp_path)) == {**packaged, "init": folder_digest(tmp_path)}

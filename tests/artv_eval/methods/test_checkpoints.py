"""Checkpoints of ART-V: digests, presets, and why one cannot be used."""

import json
import shutil

import pytest

from artv import presets
from artv.errors import UserError
from artv_eval.methods import checkpoints


def test_checkpoints_have_digests_presets_and_reasons(tmp_path, monkeypatch):
    assert checkpoints.unavailable("shapes") is None and checkpoints.preset("shapes") == "shapes"
    assert checkpoints.digest("shapes") != checkpoints.digest("shapes:no-mask")
    assert "not in this installation" in checkpoints.unavailable("shapes:no-such-twin")
    with pytest.raises(UserError, match=r"is no folder, no hub id"):
        checkpoints.unavailable("paper")
    folder = tmp_path / "copy"
    for name, source in checkpoints.folders("shapes").items():
        shutil.copytree(source, folder / name)
    (folder / "model_index.json").write_text("{}")
    assert checkpoints.digest(str(folder)) == checkpoints.digest("shapes")
    checkpoints.digest.cache_clear()
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(
        json.dumps(config | {"dynamic": config["dynamic"] | {"text_dim": 1024}})
    )
    assert checkpoints.preset(str(folder)) == "paper"
    assert checkpoints.digest(str(folder)) != checkpoints.digest("shapes")
    assert presets.packaged()


def test_a_checkpoint_of_another_preset_is_refused(cli, tmp_path):
    folder = tmp_path / "paper"
    for name, source in checkpoints.folders("shapes").items():
        shutil.copytree(source, folder / name)
    (folder / "model_index.json").write_text("{}")
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(
        json.dumps(config | {"dynamic": config["dynamic"] | {"text_dim": 1024}})
    )
    outcome = cli("sweep", "--ablation", "steps", "--checkpoint", folder)
    assert outcome.code == 2 and "the checkpoint is of preset 'paper' and the sweep of 'shapes'" in outcome.err
    other = cli("sweep", "--ablation", "mask", "--checkpoint", folder)
    assert other.code == 2 and "train it with artv train --no-mask and give it with --set mask.twin=FOLDER" in other.err
    missing = cli("sweep", "--ablation", "steps", "--checkpoint", "nowhere")
    assert missing.code == 2 and "checkpoint 'nowhere' is no folder" in missing.err

"""Sizes of saved networks against those that are asked for, by their configuration alone."""

import json

import pytest

from artv.errors import UserError
from artv.presets import ASSETS
from artv.training.config import load_config
from artv.training.sizes import check_start_sizes, networks_in


def test_a_folder_is_preferred_to_what_is_packaged(tmp_path, monkeypatch):
    assert networks_in("shapes") == ASSETS / "model" and networks_in("shapes:no-mask") == ASSETS / "model_no_mask"
    assert networks_in("owner/name") is None
    (tmp_path / "shapes" / "model").mkdir(parents=True)
    (tmp_path / "shapes" / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert str(networks_in("shapes")) == "shapes/model"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert networks_in("~/shapes") == tmp_path / "shapes" / "model"


def test_other_sizes_are_told_and_what_is_none_of_ours_is_left_to_the_loading(tmp_path):
    config, file = load_config("shapes"), tmp_path / "config.json"
    check_start_sizes(config, str(tmp_path))
    for text in ("{}", '{"dynamic": {"width": 3}, "mask": null}', '{"dynamic": 3, "mask": 4}'):
        file.write_text(text)
        check_start_sizes(config, str(tmp_path))
    sizes = config.sizes().to_dict()
    file.write_text(json.dumps(sizes))
    check_start_sizes(config, str(tmp_path))
    file.write_text(json.dumps({**sizes, "num_refs": 3}))
    with pytest.raises(UserError, match="num_refs is 3, not 2; start from others"):
        check_start_sizes(config, str(tmp_path))

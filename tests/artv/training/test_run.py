"""A training's folder and its settings: what cannot be read is one line that names the file."""

import pytest

from artv.errors import UserError
from artv.training.config import load_config
from artv.training.run import _claim


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

"""JSON of another form in a checkpoint's folder: one line that names the file, and nothing is fetched from anywhere."""

import json
import shutil

import pytest

from artv import ArtVPipeline
from artv.errors import UserError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    ArtVPipeline.from_pretrained("shapes").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("text", ["[]", "{", "3", '{"a": 1}', "[" * 10_000])
@pytest.mark.parametrize(
    "name", ["model_index.json", "model/config.json", "autoencoder/config.json", "text_encoder/config.json"]
)
def test_a_document_of_another_form_is_named(saved, tmp_path, monkeypatch, name, text):
    monkeypatch.setattr("socket.socket.connect", None)  # nobody is asked
    folder = tmp_path / "pipeline"
    shutil.copytree(saved, folder, copy_function=lambda a, b: shutil.os.symlink(a, b))
    (folder / name).unlink()
    (folder / name).write_text(text)
    with pytest.raises(UserError) as caught:
        ArtVPipeline.from_pretrained(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [[], {"weight_map": []}, {"weight_map": {"a": 3}}, {"weight_map": {"a": "../../x"}}])
def test_an_index_of_weights_that_is_none(saved, tmp_path, index):
    folder = tmp_path / "pipeline"
    shutil.copytree(saved, folder)
    (weights,) = (folder / "autoencoder").glob("*.safetensors")
    weights.unlink()
    (folder / "autoencoder" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json"):
        ArtVPipeline.from_pretrained(folder)

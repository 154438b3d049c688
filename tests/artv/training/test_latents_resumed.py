"""Latents that were begun are gone on with as they were begun, whatever is the default now."""

import io
import json
import tarfile
from copy import deepcopy
from dataclasses import asdict
from hashlib import sha256

import numpy as np
import pytest
import torch

from artv.data.shard_index import INDEX, LATER, ShardIndex, claim_shards, read_index
from artv.errors import UserError
from artv.presets import load_components
from artv.training.clips import Clips
from artv.training.config import load_config
from artv.training.run import make_latents

CPU = torch.device("cpu")
CONFIG = load_config("shapes", clips=3, num_frames=2, size=16, seed=5)


@pytest.fixture(scope="module")
def components():
    return load_components("shapes")


def made(folder, components, precision="fp32", config=CONFIG):
    make_latents(config, folder, Clips(config, CPU), *components.values(), precision)
    return read_index(folder)


def texts(folder):
    """What is stored of each clip: caption and embedding."""
    with tarfile.open(folder / "000000.tar") as tar:
        read = {name: tar.extractfile(name).read() for name in tar.getnames()}
    for key in sorted({name.split(".")[0] for name in read}):
        yield read[f"{key}.txt"].decode(), np.load(io.BytesIO(read[f"{key}.text.npy"]))


def rewrite(folder, change):
    fields = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    del fields["sha256"]
    (folder / INDEX).write_text(json.dumps(change(fields)), encoding="utf-8")


def without(names):
    return lambda fields: {name: value for name, value in fields.items() if name not in names}


def rounded(stored, encode):
    return all(np.array_equal(text, encode(caption)) for caption, text in stored)


def test_text_goes_on_in_the_precision_that_it_was_begun_in(tmp_path, components):
    exact = lambda caption: components["text_encoder"].encode(caption)[0].half().numpy()  # noqa: E731
    assert made(tmp_path / "new", components, "fp16").text == "fp16" and not rounded(texts(tmp_path / "new"), exact)
    claim_shards(tmp_path / "old", read_index(tmp_path / "new"))
    rewrite(tmp_path / "old", without(LATER))  # as it was begun when text was of float32, and stopped at once
    assert made(tmp_path / "old", components, "fp16").text == "fp32" and rounded(texts(tmp_path / "old"), exact)


def test_the_index_says_what_latents_depend_on_beside_the_weights(tmp_path, components):
    index = made(tmp_path, components)
    assert (index.text, index.device, index.precision) == ("fp32", "cpu", "fp32")
    autoencoder, text_encoder = (deepcopy(part) for part in components.values())
    autoencoder.register_to_config(scaling_factor=2.0)  # no weight is another
    text_encoder.register_to_config(quick_gelu=True)
    for others in ((autoencoder, components["text_encoder"]), (components["autoencoder"], text_encoder)):
        with pytest.raises(UserError, match=rf"settings = {index.settings}, not [0-9a-f]{{16}}; use another folder"):
            make_latents(CONFIG, tmp_path, Clips(CONFIG, CPU), *others)


def test_shards_of_another_device_that_are_all_there_are_read(tmp_path, components):
    made(tmp_path, components)
    rewrite(tmp_path, lambda fields: fields | {"device": "cuda"})
    assert made(tmp_path, components).device == "cuda"
    (tmp_path / "000000.tar").unlink()
    with pytest.raises(UserError, match="device = cuda, not cpu; use another folder, or --device cuda"):
        made(tmp_path, components)


def test_what_a_training_noted_of_latents_of_before_is_still_so(tmp_path):
    index = ShardIndex(data="x", clips=3, num_frames=2, size=16, fps=8.0, encoders="e", precision="fp16")
    claim_shards(tmp_path, index)
    (tmp_path / "000000.tar").write_bytes(b"")
    rewrite(tmp_path, without(LATER))
    fields = without(LATER)(asdict(index))  # all fields that there were, as they were noted then
    noted = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    assert Clips(CONFIG.model_copy(update={"data": str(tmp_path)}), CPU).said == f"3 of latents {noted}"

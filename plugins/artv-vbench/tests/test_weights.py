"""Networks are there before the work, and their content and the environment are in a metric's digest."""

import importlib.metadata

import numpy
import pytest
from artv_vbench import metric
from artv_vbench.inside.bench import Bench
from artv_vbench.inside.networks import files_of

from artv.errors import UserError


def test_another_network_or_another_device_is_another_digest(stand_in, cache):
    before = metric.motion_smoothness().digest
    assert metric.motion_smoothness().digest == before != metric.motion_smoothness(device="cuda:0").digest
    (cache / "nets/motion_smoothness.pth").write_bytes(b"other weights")
    assert metric.motion_smoothness().digest != before


def test_another_version_of_a_package_is_another_digest(stand_in, monkeypatch):
    before = metric.motion_smoothness().digest
    assert f"numpy {numpy.__version__}" in Bench("cpu").environment()
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "torch" else real(name))
    assert metric.motion_smoothness().digest != before


def test_a_network_that_is_missing_is_named_before_any_work(stand_in, cache):
    (cache / "nets/imaging_quality.pth").unlink()
    with pytest.raises(UserError, match=r"lacks a network for imaging_quality: .*spare://net\.pth; .* fetch=true"):
        metric.imaging_quality()
    assert not (cache / "nets/imaging_quality.pth").exists()


def test_vbench_may_fetch_it_where_the_user_says_so(stand_in, cache):
    (cache / "nets/imaging_quality.pth").unlink()
    found = metric.imaging_quality(fetch=True)
    assert (cache / "nets/imaging_quality.pth").read_bytes() == b"spare:/net.pth"
    assert metric.imaging_quality().digest == found.digest


@pytest.mark.parametrize(
    ("dimension", "file"),
    [
        ("aesthetic_quality", "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth"),
        ("temporal_style", "ViCLIP/bpe_simple_vocab_16e6.txt.gz"),
        ("subject_consistency", "hub/checkpoints/dino_vitbase16_pretrain.pth"),
    ],
)
def test_files_that_vbench_does_not_name_count_too(stand_in, cache, dimension, file):
    before = Bench("cpu").files(dimension, False)
    (cache / file).write_bytes(b"others")
    assert Bench("cpu").files(dimension, False) != before
    (cache / file).unlink()
    with pytest.raises(FileNotFoundError, match=file.rpartition("/")[2]):
        files_of(dimension, False)


def test_a_dimension_without_a_network_needs_none(stand_in, cache):
    for file in (cache / "nets").iterdir():
        file.unlink()
    assert metric.temporal_flickering().digest.startswith("vbench-temporal_flickering-")

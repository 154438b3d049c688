"""Each method on a tiny random pipeline saved in the real format and loaded by from_pretrained."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
from artv_diffusers.first_frame import stable_diffusion
from artv_diffusers.method import DiffusersVideo, fit, i2vgen_xl, modelscope

from artv.errors import UserError
from artv_eval import testing

SMALL = {"steps": 2, "height": 32, "width": 32}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """name → folder of a tiny pipeline, made when first asked for."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def get(name):
        if name not in made:
            made[name] = str(getattr(tiny, name)(root))
        return made[name]

    return get


@pytest.fixture
def requests():
    return testing.toy_requests(2, frames=3, size=48)


@pytest.mark.parametrize(
    ("factory", "name"),
    [(modelscope, "modelscope"), (i2vgen_xl, "i2vgen_xl"), (DiffusersVideo, "stable_video_diffusion")],
)
def test_pipelines_hold_the_contract_of_methods(factory, name, saved, requests):
    testing.check_method(factory, settings={"source": saved(name), **SMALL}, requests=requests)


def test_clips_are_scaled_to_the_protocol_and_the_first_frame_matters(saved, requests):
    method = i2vgen_xl(saved("i2vgen_xl"), **SMALL)
    (clip,) = method.generate(requests[:1])
    assert clip.frames.shape == (3, 48, 48, 3)
    other = dataclasses.replace(requests[0], first_frame=255 - requests[0].first_frame)
    assert not np.array_equal(next(method.generate([other])).frames, clip.frames)


def test_prompt_and_seed_matter_and_further_arguments_arrive(saved, requests):
    method = modelscope(saved("modelscope"), **SMALL, arguments={"guidance_scale": 7.0})
    base = next(method.generate(requests[:1])).frames
    for change in ({"prompt": "another thing altogether"}, {"seed": 77}):
        assert not np.array_equal(next(method.generate([dataclasses.replace(requests[0], **change)])).frames, base)
    unguided = modelscope(saved("modelscope"), **SMALL, arguments={"guidance_scale": 1.0})
    assert not np.array_equal(next(unguided.generate(requests[:1])).frames, base)


def test_pipelines_without_a_prompt_get_none(saved, requests):
    method = DiffusersVideo(saved("stable_video_diffusion"), **SMALL)
    from artv_diffusers import weights

    given = method.call_arguments(weights.load(*method._loading), requests[0])
    assert "prompt" not in given and given["image"].size == (32, 32) and given["num_frames"] == 3


def test_first_frames_feed_image_pipelines_where_the_protocol_gives_none(saved, requests):
    draw = stable_diffusion(saved("stable_diffusion"), size=32, steps=2)
    testing.check_first_frame(lambda: draw, height=24, width=40)
    bare = [dataclasses.replace(request, first_frame=None) for request in requests]
    assert len(list(i2vgen_xl(saved("i2vgen_xl"), first_frame=draw, **SMALL).generate(bare))) == 2
    with pytest.raises(UserError, match=r"starts from an image and the protocol gives none"):
        list(i2vgen_xl(saved("i2vgen_xl"), **SMALL).generate(bare))


def test_absent_weights_say_how_to_fetch_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert "hf download ali-vilab/text-to-video-ms-1.7b" in modelscope().unavailable()
    assert "hf download ali-vilab/i2vgen-xl" in i2vgen_xl().unavailable()


@pytest.mark.parametrize(
    ("source", "message"),
    [("nonsense", "no folder and no hub id"), ("./nowhere", "no folder and no hub id"), (".", "no model_index.json")],
)
def test_wrong_sources(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        DiffusersVideo(source).unavailable()


def test_wrong_settings_name_what_is_allowed(saved, requests, tmp_path):
    wrong = modelscope(saved("modelscope"), **SMALL, arguments={"guidence_scale": 2})
    with pytest.raises(UserError, match=r"has no argument 'guidence_scale'; did you mean guidance_scale"):
        list(wrong.generate(requests))
    with pytest.raises(UserError, match=r"dtype is 'float8'"):
        list(modelscope(saved("modelscope"), dtype="float8").generate(requests))
    short = dataclasses.replace(requests[0], num_frames=9)
    with pytest.raises(UserError, match=r"made 3 frames and the protocol asks for 9"):
        fit(np.zeros((3, 8, 8, 3), np.uint8), short, "it")
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "model_index.json").write_text(json.dumps({"_class_name": "PipelineOfTomorrow"}))
    with pytest.raises(UserError, match=r"is a PipelineOfTomorrow, which diffusers"):
        DiffusersVideo(str(strange)).unavailable()


def test_the_digest_follows_the_weights(saved, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(saved("modelscope"), copy)
    before = modelscope(saved("modelscope")).digest()
    assert modelscope(str(copy)).digest() == before
    from artv_diffusers import weights

    weights.digest.cache_clear()
    (copy / "scheduler" / "scheduler_config.json").write_text("{}")
    assert modelscope(str(copy)).digest() != before

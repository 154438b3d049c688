"""Each method on a tiny random pipeline saved in the real format and loaded by from_pretrained."""

import dataclasses
import json
import re
from pathlib import Path

import diffusers
import numpy as np
import pytest
import table as table_
import tiny
import tiny_transformers
from artv_diffusers import weights
from artv_diffusers.classes import left_out, parts, table, table_of_left_out, unbuilt, video_pipelines
from artv_diffusers.first_frame import stable_diffusion, stable_diffusion_xl
from artv_diffusers.method import DiffusersVideo, enough_frames, fit, i2vgen_xl, modelscope

from artv.errors import UserError
from artv_eval import testing

NEWER = pytest.mark.skipif(not hasattr(diffusers, "AnyFlowFARPipeline"), reason="an older diffusers")
SMALL = {"steps": 2, "height": 32, "width": 32}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """name → folder of a tiny pipeline, made when first asked for."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def get(name):
        if name not in made:
            made[name] = str(getattr(tiny if hasattr(tiny, name) else tiny_transformers, name)(root))
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


FROM_TEXT = ("wan", "skyreels_v2", "skyreels_v2_forcing", "ltx", "cogvideox", "animatediff", "latte")
FROM_IMAGE = (
    "wan_image", "skyreels_v2_image", "skyreels_v2_forcing_image", "ltx_image", "ltx_condition", "cogvideox_image",
)  # fmt: skip
ANY_NUMBER = ("animatediff", "latte")  # of frames


@pytest.mark.parametrize(
    "name",
    (
        *FROM_TEXT,
        *FROM_IMAGE,
        "animatediff_pag",
        pytest.param("ltx_long", marks=NEWER),
        pytest.param("helios", marks=NEWER),
    ),
)
def test_any_pipeline_holds_the_contract_of_methods(name, saved):
    """Three frames, which most of these cannot make: five are asked for, and the first three taken."""
    requests = testing.toy_requests(2, frames=3, size=32)
    testing.check_method(DiffusersVideo, settings={"source": saved(name), **SMALL, "steps": 1}, requests=requests)


@pytest.mark.parametrize("name", FROM_TEXT + FROM_IMAGE)
def test_their_arguments_are_mapped_and_matter(name, saved, requests):
    method = DiffusersVideo(saved(name), **SMALL)
    given = method.call_arguments(weights.load(*method._loading), requests[0])
    assert (given["prompt"], given["num_inference_steps"], given["height"]) == (requests[0].prompt, 2, 32)
    assert given["video_length" if name == "latte" else "num_frames"] == (3 if name in ANY_NUMBER else 5) and (
        "image" in given
    ) == (name in FROM_IMAGE)
    assert "frame_rate" not in given and given["generator"].initial_seed() == requests[0].seed
    clip, other = next(method.generate(requests[:1])), dataclasses.replace(requests[0], seed=99)
    if name in FROM_IMAGE:
        other = dataclasses.replace(requests[0], first_frame=255 - requests[0].first_frame)
    assert not np.array_equal(next(method.generate([other])).frames, clip.frames)


@pytest.mark.parametrize(("wanted", "stride", "asked"), [(16, 4, 17), (17, 4, 17), (16, 8, 17), (1, 4, 1), (16, 1, 16)])
def test_as_many_frames_are_asked_for_as_the_autoencoder_can_make(wanted, stride, asked):
    class Pipe:
        vae_scale_factor_temporal = stride

    assert enough_frames(Pipe(), wanted) == asked


def test_what_a_pipeline_refuses_is_one_line(saved, requests):
    with pytest.raises(UserError, match=r"WanPipeline refuses its arguments: .*divisible by 16 but are 40 and 32"):
        next(DiffusersVideo(saved("wan"), steps=1, height=40, width=32).generate(requests))
    with pytest.raises(UserError, match=r"made 1 frames and the protocol asks for 3; raise num_frames"):
        next(DiffusersVideo(saved("wan"), **SMALL, num_frames=2).generate(requests))


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
    given = method.call_arguments(weights.load(*method._loading), requests[0])
    assert "prompt" not in given and given["image"].size == (32, 32) and given["num_frames"] == 3


@pytest.mark.parametrize("factory", [stable_diffusion, stable_diffusion_xl])
def test_sources_of_first_frames_hold_the_contract(factory, saved):
    settings = {"source": saved(factory.__name__), "size": 32, "steps": 2}
    testing.check_first_frame(factory, settings=settings, height=24, width=40)


def test_first_frames_feed_image_pipelines_where_the_protocol_gives_none(saved, requests):
    draw = stable_diffusion(saved("stable_diffusion"), size=32, steps=2)
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
    (strange / "model_index.json").write_text(json.dumps({"_class_name": "PipelineOfTomorrow"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"is a PipelineOfTomorrow, which diffusers"):
        DiffusersVideo(str(strange)).unavailable()


def test_the_digest_follows_the_weights(saved, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(saved("modelscope"), copy)
    before = modelscope(saved("modelscope")).digest()
    assert modelscope(str(copy)).digest() == before
    weights.digest.cache_clear()
    (copy / "scheduler" / "scheduler_config.json").write_text("{}", encoding="utf-8")
    assert modelscope(str(copy)).digest() != before


@NEWER
def test_chunks_of_a_causal_pipeline_are_those_of_the_whole_clip(saved):
    """17 frames, 1 + 2 + 2 latent ones: AnyFlow-FAR goes on from its cache."""
    method = DiffusersVideo(saved("anyflow_far"), **SMALL)
    (request,) = testing.toy_requests(1, frames=17, size=32)
    chunks = list(method.stream([request]))
    assert [chunk.frames.shape[1] for chunk in chunks] == [1, 8, 8]
    (whole,) = method.generate([request])
    assert np.array_equal(np.concatenate([chunk.frames[0] for chunk in chunks]), whole.frames)
    assert not np.array_equal(whole.frames[0], whole.frames[1])
    settings = {"source": saved("anyflow_far"), **SMALL, "steps": 1, "arguments": {"chunk_partition": [1, 1]}}
    testing.check_method(DiffusersVideo, settings=settings, requests=testing.toy_requests(2, frames=3, size=32))
    at_once = DiffusersVideo(saved("anyflow_far"), **SMALL, arguments={"chunk_partition": [5]})
    assert at_once.stream([request]) is None
    with pytest.raises(UserError, match="AnyFlowFARPipeline refuses its arguments: chunk_partition="):
        next(method.generate(testing.toy_requests(1, frames=9, size=32)))


@NEWER
@pytest.mark.parametrize(("name", "size"), [("helios", 32), ("helios_pyramid", 64)])
def test_chunks_that_a_pipeline_decodes_itself_are_those_of_the_whole_clip(saved, name, size):
    """20 frames in chunks of three latent ones, nine frames: Helios."""
    settings = {"steps": 1, "height": size, "width": size, "arguments": {"num_latent_frames_per_chunk": 3}}
    method = DiffusersVideo(saved(name), **settings)
    (request,) = testing.toy_requests(1, frames=20, size=32)
    chunks = list(method.stream([request]))
    assert [chunk.frames.shape[1] for chunk in chunks] == [9, 9, 2]
    (whole,) = method.generate([request])
    assert np.array_equal(np.concatenate([chunk.frames[0] for chunk in chunks]), whole.frames)
    cut_off = method.stream([request])
    next(cut_off)
    cut_off.close()
    assert np.array_equal(next(method.generate([request])).frames, whole.frames)
    assert method.stream(testing.toy_requests(1, frames=9, size=32)) is None
    requests = testing.toy_requests(2, frames=3, size=32)
    testing.check_method(DiffusersVideo, settings={"source": saved(name), **settings}, requests=requests)


def test_windows_are_chunks_of_the_whole_clip(saved):
    """17 frames in windows of 9 that share 5: SkyReels-V2's diffusion forcing."""
    arguments = {"overlap_history": 5, "base_num_frames": 9}
    method = DiffusersVideo(saved("skyreels_v2_forcing"), **{**SMALL, "steps": 1}, arguments=arguments)
    (request,) = testing.toy_requests(1, frames=17, size=32)
    chunks = list(method.stream([request]))
    assert [chunk.frames.shape[1] for chunk in chunks] == [9, 4, 4]
    (whole,) = method.generate([request])
    assert np.array_equal(np.concatenate([chunk.frames[0] for chunk in chunks]), whole.frames)
    cut_off = method.stream([request])
    next(cut_off)
    cut_off.close()  # its thread ends, and the next call is what it was
    assert np.array_equal(next(method.generate([request])).frames, whole.frames)
    assert method.stream([request, request]) is None
    assert DiffusersVideo(saved("wan"), **SMALL).stream([request]) is None


def test_steps_are_shown_and_decoding_can_take_less_memory(saved, requests, capsys):
    for name in ("wan", "modelscope"):  # one callback of each kind
        plain, shown = (DiffusersVideo(saved(name), **SMALL, progress=progress) for progress in (False, True))
        (a,), (b,) = (list(method.generate(requests[:1])) for method in (plain, shown))
        assert np.array_equal(a.frames, b.frames) and "steps of" in capsys.readouterr().err
        assert plain.conditions() == {"precision": "float32", "steps": 2} and plain.decoder()[1] == "decode"
    sliced = DiffusersVideo(saved("wan"), **SMALL, vae_slicing=True, vae_tiling=True)
    next(sliced.generate(requests[:1]))
    vae, _ = sliced.decoder()
    assert vae.use_slicing and vae.use_tiling
    plain = DiffusersVideo(saved("stable_video_diffusion"), **SMALL, vae_slicing=True)
    with pytest.raises(
        UserError, match="StableVideoDiffusionPipeline has no autoencoder with slicing; leave out vae_sl"
    ):
        next(plain.generate(requests[:1]))
    with pytest.raises(UserError, match="offload is 'disk'"):
        next(DiffusersVideo(saved("wan"), **SMALL, offload="disk").generate(requests[:1]))


def test_all_video_pipelines_of_diffusers_are_found_and_can_be_called():
    found = {p.name: p for p in video_pipelines()}
    assert len(found) >= 30 and {"WanPipeline", "LTXPipeline", "TextToVideoSDPipeline"} <= found.keys()
    assert found["LattePipeline"].frames == "video_length" and found["WanImageToVideoPipeline"].starts == "image"
    assert found["SkyReelsV2DiffusionForcingPipeline"].windows and not found["WanPipeline"].windows
    assert found["WanPipeline"].memory == "offload, slicing, tiling"
    assert found["StableVideoDiffusionPipeline"].memory == "offload"  # its temporal decoder has neither
    assert "WanVideoToVideoPipeline" not in found and "AnimateDiffControlNetPipeline" not in found
    assert {name for name in table_.RUN if hasattr(diffusers, name)} <= found.keys()
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    if f"diffusers {diffusers.__version__}" in text:  # other versions ship others
        assert table(table_.RUN, table_.REASONS) in text and table_of_left_out() in text


def test_each_class_that_was_not_run_says_what_there_is_none_of():
    built = {part for name in table_.RUN if hasattr(diffusers, name) for part in parts(name)}
    assert {"T5EncoderModel", "WanTransformer3DModel", "AutoencoderKLWan"} <= built
    others = [p.name for p in video_pipelines() if p.name not in table_.RUN]
    assert all(parts(name) - built or name in table_.REASONS for name in others)
    if "MochiPipeline" in others:
        assert unbuilt("MochiPipeline", built) == "no tiny `AutoencoderKLMochi`, `MochiTransformer3DModel`"


def pipelines_that_give_frames():
    """By the text of diffusers alone: what its pipelines make is frames."""
    for file in Path(diffusers.__file__).parent.glob("pipelines/**/pipeline_*.py"):
        for its in re.split(r"^(?=class )", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name = re.match(r"class (\w+)", its)[1]
            if name.endswith("Pipeline") and re.search(r"postprocess_video|PipelineOutput\(\s*frames=", its):
                yield name


def test_every_other_pipeline_of_videos_has_its_reason():
    reasons = left_out()
    assert reasons["WanVideoToVideoPipeline"] == "takes a video" and "mask" in reasons["WanVACEPipeline"]
    assert reasons["WanAnimatePipeline"] == "needs pose_video, face_video"
    ours, made = {p.name for p in video_pipelines()}, set(pipelines_that_give_frames())
    assert {"ConsisIDPipeline", "WanPipeline"} <= made & ours  # the first where OpenCV is not installed, too
    assert len(made) >= 50 and made - ours - reasons.keys() <= {"Cosmos2TextToImagePipeline"}  # one frame, a picture
    assert not ours & reasons.keys()


def test_layers_are_offloaded_from_a_gpu_alone(saved, requests):
    with pytest.raises(UserError, match=r"offload is 'sequential' and the device a CPU"):
        next(DiffusersVideo(saved("wan"), **SMALL, offload="sequential").generate(requests[:1]))

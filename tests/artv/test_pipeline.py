"""The pipeline on the packaged weights: reproducible, independent of the batch, streaming, saved and loaded."""

import gc
import inspect
import json
import re
import shutil
import weakref
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from artv import ArtVPipeline
from artv.data.shapes import ShapesWorld
from artv.errors import UserError, WorkFailed
from artv.masks import mask_figure
from artv.noise import FrameNoise

PROMPT = "a red circle moves left"


@pytest.fixture(scope="module")
def pipe():
    return ArtVPipeline.from_pretrained("shapes")


@pytest.fixture(scope="module")
def real():
    return ShapesWorld("test").batch(range(8))


def first_frames(batch, n):
    return list(batch.frames[:n, 0].permute(0, 2, 3, 1).numpy())


def latents_of(pipe, captions, **settings):
    """The latents (B, T, C, H, W) behind the frames of a call."""
    kept, decode = [], ArtVPipeline._decode

    def keep(self, frame):
        kept.append(frame.latent_BCHW)
        return decode(self, frame)

    with mock.patch.object(ArtVPipeline, "_decode", keep):
        pipe(captions, **settings)
    return torch.stack(kept, 1)


def test_same_seed_same_clip(pipe):
    a, b = (pipe(PROMPT, num_frames=3, steps=2, seed=7).frames for _ in range(2))
    assert np.array_equal(a, b)
    assert a.dtype == np.uint8 and a.shape == (3, 64, 64, 3)
    assert not np.array_equal(a, pipe(PROMPT, num_frames=3, steps=2, seed=8).frames)


def test_batch_of_8_equals_batches_of_1_in_latent_space(pipe, real):
    settings = {"num_frames": 3, "steps": 2}

    def latents(rows):
        images = [first_frames(real, 8)[i] for i in rows]
        seeds = [100 + i for i in rows]
        return latents_of(pipe, [real.captions[i] for i in rows], image=images, seed=seeds, **settings)

    together = latents(range(8))
    for i in (0, 5):
        assert (latents([i])[0] - together[i]).abs().max() < 1e-4


def test_noise_on_the_references_is_the_samples_own(pipe, real):
    """By seed, in any batch, whatever torch's global state; a level of 0 changes nothing, others only their sample."""

    def latents(rows, ref_noise):
        torch.manual_seed(len(rows))
        images = [first_frames(real, 8)[i] for i in rows]
        captions = [real.captions[i] for i in rows]
        settings = {"image": images, "seed": [100 + i for i in rows], "num_frames": 3, "steps": 2}
        return latents_of(pipe, captions, ref_noise=ref_noise, **settings)

    clean, noisy = latents([0, 1, 2], None), latents([0, 1, 2], {"name": "uniform", "low": 0.2, "high": 0.4})
    assert torch.equal(noisy, latents([0, 1, 2], "uniform:0.2:0.4"))
    assert ((noisy - clean)[:, 1:].abs().amax((1, 2, 3, 4)) > 1e-2).all()
    assert (latents([1], "uniform:0.2:0.4")[0] - noisy[1]).abs().max() < 1e-4
    device, shape = torch.device("cpu"), (4, 2, 2)
    u = torch.stack([FrameNoise([100, 101, 102], i, shape, device, "references").uniform() for i in (1, 2)])
    assert len(set(u.flatten().tolist())) == 6  # another level for each sample and frame
    least = float(u[:, 2].max())
    some = latents([0, 1, 2], lambda numbers: 0.3 * (numbers > least))  # a sample that stays clean beside noisy ones
    assert torch.equal(some[2], clean[2]) and not torch.equal(some, clean)


def test_noise_belongs_to_the_sample_and_frame():
    device = torch.device("cpu")
    together = FrameNoise([3, 4], 2, (4, 2, 2), device).draw()
    assert torch.equal(together[1], FrameNoise([4], 2, (4, 2, 2), device).draw()[0])
    assert not torch.equal(together[1], FrameNoise([4], 3, (4, 2, 2), device).draw()[0])
    assert not torch.equal(together[1], FrameNoise([4], 2, (4, 2, 2), device, "references").draw()[0])


def test_masks_are_high_outside_the_motion(pipe, real):
    result = pipe(real.captions, image=first_frames(real, 8), num_frames=4, steps=4, return_masks=True)
    assert result.masks.shape == (8, 4, 3, 16, 16)
    assert result.masks.min() >= 0 and result.masks.max() <= 1
    cells = torch.nn.functional.adaptive_avg_pool2d(real.motion[:, 1:4].float(), 16).numpy()
    mean = result.masks.mean(1)
    assert mean[cells == 0].mean() > mean[cells > 0.5].mean() + 0.03
    figure = mask_figure(result.frames[0], result.masks[0])
    assert figure.width > 6 * 64 and figure.height > 3 * 64


def test_background_is_kept_where_nothing_moves(pipe, real):
    result = pipe(real.captions, image=first_frames(real, 8), num_frames=4, steps=4)
    still = ~real.motion[:, :4].any(1).numpy()
    error = np.abs(result.frames[:, 3].astype(int) - real.frames[:, 3].permute(0, 2, 3, 1).numpy()).mean(-1)
    assert error[still].mean() < 5  # grey levels; the autoencoder alone costs about 3


def test_streaming_gives_the_same_frames_one_by_one(pipe):
    stream = pipe.stream(PROMPT, num_frames=3, steps=2, seed=1)
    first = next(stream)
    assert first.shape == (64, 64, 3)
    frames = np.stack([first, *stream])
    assert np.array_equal(frames, pipe(PROMPT, num_frames=3, steps=2, seed=1).frames)


def test_memory_does_not_grow_with_frames(pipe):
    """Nothing is left of a frame: no number in a tensor, not the picture. 1,000 frames: ``benchmarks/README.md``."""

    def numbers() -> int:
        gc.collect()
        return sum(o.numel() for o in gc.get_objects() if torch.is_tensor(o))

    counts, pictures = [], []
    for i, frame in enumerate(pipe.stream(PROMPT, num_frames=24, steps=1, guidance="none")):
        pictures.append(weakref.ref(frame))
        if i in (8, 23):
            counts.append(numbers())
    assert counts[0] == counts[1]
    assert [picture() is None for picture in pictures] == [True] * 23 + [False]


def test_several_prompts_in_a_row(pipe):
    clip = pipe([["a red circle moves left", "a red circle moves up"]], num_frames=2, steps=1).frames
    assert clip.shape == (1, 4, 64, 64, 3)


def test_an_image_is_the_first_frame(pipe, real):
    image = first_frames(real, 1)[0]
    frames = pipe(PROMPT, image=image, num_frames=2, steps=1).frames
    assert np.abs(frames[0].astype(int) - image).mean() < 6


def test_saved_and_loaded(pipe, tmp_path):
    assert inspect.signature(ArtVPipeline.save_pretrained).parameters["max_shard_size"].default == "5GB"
    pipe.save_pretrained(tmp_path, max_shard_size="2MB")
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert {k for k in index if not k.startswith("_")} == {"model", "autoencoder", "text_encoder"}
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1  # sharded
    assert not list(tmp_path.rglob("*.bin"))
    loaded = ArtVPipeline.from_pretrained(tmp_path)
    for name in ("model", "autoencoder", "text_encoder"):
        ours, theirs = getattr(pipe, name).state_dict(), getattr(loaded, name).state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    # sharded weights lie elsewhere in memory, which may change a rounding
    a, b = (p(PROMPT, num_frames=2, steps=1, seed=3).frames.astype(int) for p in (pipe, loaded))
    assert np.abs(a - b).max() <= 1


@pytest.fixture(scope="module")
def saved(pipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    pipe.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("part", ["model", "autoencoder", "text_encoder"])
def test_only_safetensors_that_fit_are_loaded(saved, tmp_path, part):
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    file, config = next((folder / part).glob("*.safetensors")), folder / part / "config.json"
    whole, state = file.read_bytes(), load_file(file)

    def refused(message):
        with pytest.raises(UserError, match=message) as caught:
            ArtVPipeline.from_pretrained(folder)
        assert "\n" not in str(caught.value)

    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was run",)

    file.unlink()
    torch.save({"code": Code()}, file.with_suffix(".bin"))
    refused(r"no safetensors weights \(there: .*\.bin\)")
    assert not (tmp_path / "was run").exists()
    first, *rest = state
    save_file({key: state[key] for key in rest}, file, metadata={"format": "pt"})
    refused(f"another architecture than its config.json says: {re.escape(first)} is missing, expected with shape")
    save_file(state | {first: torch.zeros(3, 5)}, file, metadata={"format": "pt"})
    refused(rf"{re.escape(first)} has shape \(3, 5\), expected \(")
    file.write_bytes(whole[:1000])
    refused("cannot be read .* copy or save it again")
    config.unlink()
    refused("has no config.json")


def test_a_hub_id_that_cannot_be_reached_is_one_line(monkeypatch):
    def unreachable(*args, **kw):
        raise OSError("Cannot load model some/repo: not cached\nmany lines follow")

    monkeypatch.setattr("diffusers.DiffusionPipeline.download", unreachable)
    with pytest.raises(UserError, match=r"^checkpoint some/repo cannot be loaded: .*not cached$"):
        ArtVPipeline.from_pretrained("some/repo")


def test_half_precision_variant(pipe, tmp_path):
    half = ArtVPipeline.from_pretrained("shapes", torch_dtype=torch.float16)
    half.save_pretrained(tmp_path, variant="fp16")
    assert list((tmp_path / "model").glob("*.fp16.safetensors"))
    loaded = ArtVPipeline.from_pretrained(tmp_path, variant="fp16", torch_dtype=torch.float32)
    state = pipe.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.model.state_dict().items())


def test_a_sample_that_breaks_does_not_break_the_batch(pipe, real):
    class Poison:
        """Infinite noise levels for one sample from frame 2 on."""

        def __call__(self, denoise, x, sigmas, *, noise=None, callback=None):
            from artv.samplers import sample_euler

            def poisoned(x, sigma):
                x0 = denoise(x, sigma)
                if self.frame >= 2:
                    x0[1] = torch.nan
                return x0

            self.frame += 1
            return sample_euler(poisoned, x, sigmas, callback=callback)

    sampler = Poison()
    sampler.frame = 0
    images = first_frames(real, 3)
    result = pipe(real.captions[:3], image=images, num_frames=4, steps=2, sampler=sampler)
    assert result.failures == {1: "latent not finite at frame 2, step 0"}
    assert np.array_equal(result.frames[1, 3], result.frames[1, 1])
    sampler.frame = 10
    with pytest.raises(WorkFailed, match="frame 1, step 0"):
        list(pipe.stream(real.captions[:3], image=images, num_frames=2, steps=1, sampler=sampler))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, "frames is 0"),
        ({"steps": 0}, "steps is 0"),
        ({"height": 50}, "not a multiple of 16; try 48"),
        ({"sampler": "dpmpp_2s"}, "dpmpp_2s_ancestral?"),
        ({"guidance": "text=-1"}, "must be a number >= 0"),
        ({"anchor": "frist"}, "did you mean first"),
        ({"mask": "hart"}, "did you mean hard"),
        ({"mask": {"name": "hard", "treshold": 0.5}}, "mask hard has no setting 'treshold'; did you mean threshold"),
        ({"mask": {"name": "constant", "level": 2}}, "level is 2; it must be a number in"),
        ({"ref_noise": "unifrom:0:0.1"}, "did you mean uniform"),
        (
            {"ref_noise": {"name": "uniform", "hight": 0.1}},
            "noise levels uniform has no setting 'hight'; did you mean high",
        ),
        ({"ref_noise": "constant:2"}, "level is 2.0; it must be a number in"),
        ({"seed": [1, 2]}, "2 seeds for 1 prompts"),
        ({"image": "gone.png"}, "gone.png does not exist"),
        ({"spacing": "cosine"}, "karras"),
    ],
)
def test_bad_settings_are_one_line(pipe, settings, message):
    with pytest.raises((UserError, ValueError), match=message) as caught:
        pipe(PROMPT, **{"num_frames": 2, "steps": 1, **settings})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["shapes:no-such", "no/such/folder", "nosuch"])
def test_missing_checkpoints_are_one_line(name):
    with pytest.raises(UserError) as caught:
        ArtVPipeline.from_pretrained(name)
    assert "\n" not in str(caught.value)


def test_a_picture_as_anchor(pipe, real, tmp_path):
    """By name from a file, as a mapping, and as the first frame itself: held to another picture the clip differs."""
    own, other = tmp_path / "own.png", tmp_path / "other.png"
    for i, file in enumerate((own, other)):
        Image.fromarray(first_frames(real, 2)[i]).save(file)

    def clip(anchor):
        settings = {"num_frames": 4, "steps": 3, "guidance": {"anchor": 2.0, "text": 0, "ref": 0}}
        return pipe(real.captions[0], image=own, anchor=anchor, **settings).frames

    assert np.array_equal(clip(f"image:{own}"), clip("first"))
    assert np.array_equal(clip(f"image:{other}"), clip({"name": "image", "picture": other}))
    assert not np.array_equal(clip(f"image:{other}"), clip("first"))
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        clip(f"image:{tmp_path / 'none.png'}")
    with pytest.raises(UserError, match="write image:FILE"):
        clip("image")

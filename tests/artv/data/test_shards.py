"""Latents as shards: every clip once an epoch, the same order from any position, constant memory, and real training."""

import io
import json
import tarfile
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from damage import damaged

from artv.cli.train_command import latents_command, train_command
from artv.config import ModelConfig, NetworkConfig
from artv.data import shards
from artv.data.clips import write_shapes
from artv.data.shard_index import ShardIndex, claim_shards, read_index
from artv.data.shards import LatentStream, write_shards
from artv.errors import UserError, WorkFailed

CPU = torch.device("cpu")


def toy_shards(
    folder: Path, clips: int = 23, clips_a_shard: int = 4, side: int = 2, encode=torch.Tensor.float, **write
) -> Path:
    """Clip i is a latent of i's."""
    index = ShardIndex(
        data="toy", clips=clips, num_frames=2, size=2, fps=8.0, encoders="x", clips_a_shard=clips_a_shard
    )
    claim_shards(folder, index)

    def read(*groups):
        for ids in (torch.tensor(group[k : k + 3]) for group in groups for k in range(0, len(group), 3)):
            yield ids.view(-1, 1, 1, 1, 1).expand(-1, 2, 3, side, side), [str(i) for i in ids.tolist()]

    write_shards(
        folder,
        index,
        read,
        encode,
        lambda captions: torch.tensor([float(c) for c in captions]).view(-1, 1, 1),
        **write,
    )
    return folder


def drawn(folder, batches, start=0, **settings):
    """Clip numbers of some batches, from step ``start`` on."""
    stream = LatentStream(folder, **{"batch_size": 5, "device": CPU, "seed": 1, "workers": 0, **settings})
    result = []
    for step in range(start, start + batches):
        stream.fetch(step)
        batch = stream.sample(5)
        assert torch.equal(batch.latents_BTChw[:, 1, 2, 0, 1], batch.text_BLD[:, 0, 0])  # text stays with its clip
        result.append(batch.text_BLD.flatten().int().tolist())
    return result


def test_shards_say_which_world_they_are_of(tmp_path):
    """Those of older versions do not, and are continued."""
    ours = ShardIndex(
        data="builtin", clips=4, num_frames=2, size=2, fps=8.0, encoders="x", source="shapes@2, train, seed 3"
    )
    claim_shards(tmp_path / "new", ours)
    with pytest.raises(UserError, match=r"source = shapes@2, train, seed 3, not shapes@2, train, seed 4"):
        claim_shards(tmp_path / "new", replace(ours, source="shapes@2, train, seed 4"))
    old = {key: value for key, value in asdict(ours).items() if key != "source"}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "index.json").write_text(json.dumps(old), encoding="utf-8")
    claim_shards(tmp_path / "old", ours)


@pytest.mark.parametrize("name", ["pipe:touch X #", "http:", "gs:b", "{a,b}", "x::y"])
def test_a_folders_name_is_no_command_and_no_address(tmp_path, monkeypatch, name):
    """Relative, as it is typed: webdataset runs what follows ``pipe:`` in a shell."""
    monkeypatch.chdir(tmp_path)
    assert sorted(clip for batch in drawn(toy_shards(Path(name), clips=20), 4) for clip in batch) == list(range(20))
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_every_clip_once_an_epoch_in_another_order_each(tmp_path):
    folder = toy_shards(tmp_path)
    row = [clip for batch in drawn(folder, 23) for clip in batch]
    epochs = [row[k * 23 : (k + 1) * 23] for k in range(5)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert drawn(folder, 3) == drawn(folder, 3) != drawn(folder, 3, seed=2)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("start", [1, 7, 12])
def test_a_stream_goes_on_where_it_was(tmp_path, workers, start):
    folder = toy_shards(tmp_path)
    whole = drawn(folder, start + 3, workers=workers, rank=1, world=2)
    assert drawn(folder, 3, start=start, workers=workers, rank=1, world=2) == whole[start:]


@pytest.mark.parametrize("start", [0, 3])
def test_without_room_for_workers_the_same_clips_come_in_the_same_order(tmp_path, monkeypatch, start):
    folder, settings = toy_shards(tmp_path, 60, clips_a_shard=7), {"start": start, "workers": 2, "rank": 1, "world": 2}
    by_workers = drawn(folder, 9, **settings)
    monkeypatch.setattr("artv.data.loading.shared_memory", lambda: 0)
    assert drawn(folder, 9, **settings) == by_workers != drawn(folder, 9, **{**settings, "workers": 0})


def test_processes_and_workers_share_an_epoch(tmp_path):
    folder = toy_shards(tmp_path, clips=24, clips_a_shard=3)  # 8 shards, 2 processes: 12 clips each
    parts = [[clip for batch in drawn(folder, 3, rank=rank, world=2) for clip in batch][:12] for rank in (0, 1)]
    assert sorted(parts[0] + parts[1]) == list(range(24))


def test_writing_continues_and_does_not_depend_on_the_number_of_processes(tmp_path):
    alone = toy_shards(tmp_path / "one")
    together = toy_shards(tmp_path / "two", rank=1, world=2)
    with pytest.raises(UserError, match="3 of 6 shards are missing"):
        read_index(together)
    kept = {path: path.stat().st_mtime_ns for path in together.glob("*.tar")}
    toy_shards(together)
    assert len(list(together.glob("*.tar"))) == 6 and {path: path.stat().st_mtime_ns for path in kept} == kept
    assert drawn(alone, 5) == drawn(together, 5)


def test_other_settings_and_broken_shards_are_named(tmp_path):
    toy_shards(tmp_path)
    with pytest.raises(UserError, match="clips = 23, not 9"):
        toy_shards(tmp_path, clips=9)
    for shard in tmp_path.glob("*.tar"):
        shard.write_bytes(b"broken" * 500)
    with pytest.raises(WorkFailed, match=r"^shard .*\.tar cannot be read.*it$"):
        drawn(tmp_path, 1)


def test_memory_does_not_grow_with_the_set(tmp_path):
    peaks = []
    for clips in (100, 800):  # 1.2 and 9.8 MB
        folder = toy_shards(tmp_path / str(clips), clips, clips_a_shard=20, side=32)
        stream = LatentStream(folder, batch_size=5, device=CPU, workers=0)
        stream.fetch(0)  # imports
        tracemalloc.start()
        for step in range(1, clips // 5 + 1):
            stream.fetch(step)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] and peaks[1] < 2e6


@pytest.fixture(scope="module")
def stable_diffusion(tmp_path_factory):
    """A tiny SD-2.1-base in the diffusers layout, and the settings of a paper run around it."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path_factory.mktemp("paper")
    common = {"heads": (2, 4), "attention": (True, False), "layers": 1, "text_dim": 32, "norm_groups": 8}
    sizes = ModelConfig(
        dynamic=NetworkConfig(channels=(32, 64), out_channels=4, sample_size=8, **common),
        mask=NetworkConfig(channels=(16, 16), out_channels=1, sample_size=8, **common),
    )
    torch.manual_seed(0)
    StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
                          up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, latent_channels=4),
        text_encoder=CLIPTextModel(CLIPTextConfig(hidden_size=32, intermediate_size=128, num_hidden_layers=2,
                                                  num_attention_heads=4, projection_dim=16, hidden_act="gelu")),
        tokenizer=None, unet=UNet2DConditionModel.from_config(sizes.dynamic.unet()),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
                                clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder / "sd")  # fmt: skip
    settings = {"networks": json.loads(json.dumps(sizes.to_dict())), "size": 32, "num_frames": 4, "workers": 1}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    write_shapes(folder / "clips", 5)
    return folder


def train(folder, out, data=None, steps=3, batch_size=2, **loop):
    train_command(
        preset="paper", out=out, config_file=folder / "tiny.yaml", resume=False, components=None,
        init=str(folder / "sd"), revision=None, variant=None, stages="model", device="cpu", dry_run=False,
        loop={"steps": steps, "batch_size": batch_size, **loop},
        settings={"data": str(data or folder / "clips")},
    )  # fmt: skip


def weights(run):
    from safetensors.torch import load_file

    return load_file(run / "model" / "state" / "model.safetensors")


def test_the_paper_preset_trains_on_real_clips_and_continues_exactly(stable_diffusion, tmp_path):
    train(stable_diffusion, tmp_path / "a")
    train(stable_diffusion, tmp_path / "b", minutes=1e-6)  # stops after a step
    assert json.loads((tmp_path / "b" / "model" / "state" / "step.json").read_text()) == {"step": 1}
    train(stable_diffusion, tmp_path / "b")
    ours, theirs = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert sorted(p.name for p in (tmp_path / "a" / "latents").iterdir()) == ["000000.tar", "index.json"]
    outcome = json.loads((tmp_path / "a" / "outcome.json").read_text())
    assert np.isfinite(outcome["loss"]) and outcome["clips"] == 5

    from artv import ArtVPipeline

    pipe = ArtVPipeline.from_pretrained(tmp_path / "a" / "pipeline")
    clip = pipe("a red circle", num_frames=2, steps=1, height=32, width=32)
    assert clip.frames.shape == (2, 32, 32, 3)


def test_latents_made_beforehand(stable_diffusion, tmp_path):
    command = {"preset": "paper", "config_file": stable_diffusion / "tiny.yaml", "device": "cpu"}
    command |= {"revision": None, "variant": None}
    made = {"init": str(stable_diffusion / "sd"), "components": None, "out": tmp_path / "latents"}
    latents_command(**command, **made, settings={"data": str(stable_diffusion / "clips")})
    train(stable_diffusion, tmp_path / "a", data=tmp_path / "latents", steps=2)
    train(stable_diffusion, tmp_path / "b", steps=2)
    ours, theirs = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    with pytest.raises(UserError, match="size = 32, not 64"):
        latents_command(**command, **made, settings={"data": str(stable_diffusion / "clips"), "size": 64})
    with pytest.raises(UserError, match="precision fp16 is for GPUs; use fp32"):
        latents_command(**command, **made, precision="fp16", settings={"data": str(stable_diffusion / "clips")})
    with pytest.raises(UserError, match="precision is 'fp8'"):
        latents_command(**command, **made, precision="fp8", settings={"data": "builtin"})
    with pytest.raises(UserError, match="either --init"):
        latents_command(**command, **{**made, "init": None}, settings={"data": "builtin"})
    with pytest.raises(
        UserError, match="--init shapes is a pipeline of ours; for its encoders give --components shapes"
    ):
        latents_command(**command, **{**made, "init": "shapes"}, settings={"data": "builtin"})


def test_latents_of_another_autoencoder_are_refused(stable_diffusion, tmp_path):
    toy_shards(tmp_path / "latents")
    file = tmp_path / "latents" / "index.json"
    fields = json.loads(file.read_text(encoding="utf-8")) | {"size": 32, "num_frames": 4}
    del fields["sha256"]  # as of an older version
    file.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(UserError, match="encoders = x, not"):
        train(stable_diffusion, tmp_path / "a", data=tmp_path / "latents")


def test_a_hundred_faults_in_a_set_give_no_other_clip(tmp_path):
    """Flipped bits, ends cut off, emptied, swapped, retyped files: what is drawn is what was written, or one line."""
    folder = toy_shards(tmp_path / "set", clips=12)
    whole, refused = drawn(folder, 3), 0
    for seed in range(100):
        with damaged(folder, np.random.default_rng(seed)) as (fault, path):
            try:
                assert drawn(folder, 3) == whole, (seed, fault, path)
            except (UserError, WorkFailed, OSError) as error:
                assert "\n" not in str(error) and str(folder) in str(error), (seed, fault, path, error)
                refused += 1
    assert 50 < refused < 100  # many bytes of a tar are padding


def test_sets_of_older_versions_have_no_checksums_and_are_read(tmp_path):
    folder = toy_shards(tmp_path / "set", clips=8)
    whole = drawn(folder, 2)
    for shard in folder.glob("*.tar"):
        with tarfile.open(shard) as old:
            parts = [(part, old.extractfile(part).read()) for part in old if not part.name.endswith("sha256")]
        with tarfile.open(shard, "w") as new:
            for part, data in parts:
                new.addfile(part, io.BytesIO(data))
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    (folder / "index.json").write_text(json.dumps({k: v for k, v in index.items() if k != "sha256"}), encoding="utf-8")
    assert drawn(folder, 2) == whole


@pytest.mark.parametrize(("field", "value"), [("clips_a_shard", 0), ("clips", -1), ("size", "x"), ("fps", None)])
def test_an_index_that_means_nothing_is_named(tmp_path, field, value):
    toy_shards(tmp_path)
    fields = json.loads((tmp_path / "index.json").read_text(encoding="utf-8")) | {field: value}
    fields.pop("sha256", None)  # older versions wrote none
    (tmp_path / "index.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.json"):
        read_index(tmp_path)


def test_captions_are_encoded_some_at_a_time_and_stay_with_their_clips(tmp_path, monkeypatch):
    at_once = []
    index = ShardIndex(data="toy", clips=23, num_frames=2, size=2, fps=8.0, encoders="x", clips_a_shard=8)
    claim_shards(tmp_path, index)
    monkeypatch.setattr(shards, "_TEXTS", 6)

    def read(*groups):
        for i in (i for group in groups for i in group):
            yield torch.full((1, 2, 3, 2, 2), float(i)), [str(i)]

    def encode_text(captions):
        at_once.append(len(captions))
        return torch.tensor([float(c) for c in captions]).view(-1, 1, 1)

    write_shards(tmp_path, index, read, lambda frames: frames, encode_text)
    assert at_once == [6, 6, 6, 5]
    assert sorted([i for batch in drawn(tmp_path, 5) for i in batch][:23]) == list(
        range(23)
    )  # which compares text and clip


def test_equal_captions_are_encoded_once(tmp_path):
    seen = []
    index = ShardIndex(data="toy", clips=10, num_frames=2, size=2, fps=8.0, encoders="x", clips_a_shard=8)
    claim_shards(tmp_path, index)

    def read(*groups):
        for i in (i % 3 for group in groups for i in group):
            yield torch.full((1, 2, 3, 2, 2), float(i)), [str(i)]

    def encode_text(captions):
        seen.extend(captions)
        return torch.tensor([float(c) for c in captions]).view(-1, 1, 1)

    write_shards(tmp_path, index, read, lambda frames: frames, encode_text)
    assert sorted(seen) == ["0", "1", "2"]
    assert sorted(drawn(tmp_path, 2)[0] + drawn(tmp_path, 2)[1]) == [0] * 4 + [1] * 3 + [2] * 3


def test_text_that_half_precision_does_not_hold_is_refused(tmp_path):
    index = ShardIndex(data="toy", clips=1, num_frames=2, size=2, fps=8.0, encoders="x")
    claim_shards(tmp_path, index)
    clip = torch.zeros(1, 2, 3, 2, 2), ["a boat"]
    with pytest.raises(UserError, match="embeddings of the clip 'a boat' are no numbers"):
        write_shards(tmp_path, index, lambda *groups: [clip], lambda x: x, lambda texts: torch.full((1, 1, 1), 1e6))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_latents_that_half_precision_does_not_hold_are_refused(tmp_path, value):
    def encode(frames):
        return torch.where(frames == 5, value, frames.float())

    with pytest.raises(UserError, match=r"latents of the clip '5' are no numbers.*--precision fp32"):
        toy_shards(tmp_path, clips=8, encode=encode)


def test_no_more_clips_are_written_at_a_time_than_are_given_to_the_gpu_next(monkeypatch):
    """And none is waited for before all of the next group are begun."""
    monkeypatch.setattr(shards, "_TEXTS", 6)
    seen = []

    def batches():
        for k in range(10):
            seen.append(f"begun {k}")
            yield torch.full((2, 1, 1), float(k)), [f"{k} a", f"{k} b"]

    for latents, _, caption in shards._encoded(batches(), lambda x: x, lambda texts: torch.zeros(len(texts), 1)):
        assert caption.startswith(str(int(latents.item())))
        seen.append("written")
    waits = "".join("w" if each == "written" else "b" for each in seen)
    assert waits == "b" * 6 + "wwb" * 4 + "w" * 12

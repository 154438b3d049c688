"""The built-in methods: what each gives, and the checkpoints of ART-V."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from artv import presets
from artv.anchors import UserImage
from artv.data.clips import write_shapes
from artv.data.readers import PyAvReader
from artv.errors import UserError
from artv.video import write_video
from artv_eval import FailedClip, testing
from artv_eval.methods import checkpoints
from artv_eval.methods.artv import ArtV, load_pipeline
from artv_eval.methods.first_frames import FolderOfPictures
from artv_eval.methods.folder import Folder
from artv_eval.methods.trivial import CopyFirst, Real, WrongPrompt


@pytest.fixture(scope="module")
def requests():
    return testing.toy_requests(5, frames=4)


def test_real_and_copy_first(requests):
    for request, real, still in zip(requests, Real().generate(requests), CopyFirst().generate(requests), strict=True):
        assert np.array_equal(real.frames, request.real)
        assert all(np.array_equal(frame, request.real[0]) for frame in still.frames)


def test_wrong_prompt_deals_every_clip_to_another_caption(requests):
    method = WrongPrompt()
    method.prepare(requests)
    dealt = [clip.frames for clip in method.generate(requests)]
    owners = [next(i for i, r in enumerate(requests) if np.array_equal(r.real, frames)) for frames in dealt]
    assert all(owner != i for i, owner in enumerate(owners)) and set(owners[:4]) == {0, 1, 2, 3}
    more = WrongPrompt()
    more.prepare(testing.toy_requests(8, frames=4))
    assert np.array_equal(next(more.generate(requests[2:3])).frames, dealt[2])  # the number of videos changes nothing
    with pytest.raises(UserError, match="at least 2 videos"):
        WrongPrompt().prepare(requests[:1])


def test_folder_reads_the_files_by_their_numbers(tmp_path, requests):
    write_shapes(tmp_path, 5, split="test", num_frames=4)
    testing.check_method(Folder, settings={"path": str(tmp_path)}, requests=requests[:3])
    for reader in ("decord", PyAvReader):
        (clip,) = Folder(str(tmp_path), reader=reader).generate(requests[3:4])
        assert np.abs(clip.frames.astype(float) - requests[3].real).mean() < 6  # H.264 is lossy


def texts(folder, *captions):
    """A clip for each caption, the i-th of grey level 20 i, and the table."""
    lines = ["file,caption"]
    for i, caption in enumerate(captions):
        write_video(folder / f"{i}.mp4", np.full((4, 64, 64, 3), 20 * i, np.uint8))
        lines.append(f'{i}.mp4,"{caption}"')
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")


def greys(folder, requests, prepare=True):
    method = Folder(str(folder))
    if prepare:
        method.prepare(requests)
    return [round(float(clip.frames.mean()) / 20) for clip in method.generate(requests)]


def test_a_folders_clips_are_those_of_the_prompts(tmp_path, requests):
    prompts = [request.prompt for request in requests]
    texts(tmp_path, *reversed(prompts))
    assert greys(tmp_path, requests) == greys(tmp_path, requests, prepare=False) == [4, 3, 2, 1, 0]
    digest = Folder(str(tmp_path)).digest()
    texts(tmp_path, *prompts[:3], "a horse", prompts[4])
    assert Folder(str(tmp_path)).digest() != digest
    assert greys(tmp_path, requests[:3]) == [0, 1, 2]
    with pytest.raises(UserError, match=r"no clip for 1 of 5 prompts, for example '.*': its captions.csv has other"):
        Folder(str(tmp_path)).prepare(requests)


def test_clips_of_one_prompt_are_dealt_one_by_one(tmp_path, requests):
    """Class-conditional protocols have them; that there are more requests changes none of the first."""
    same = [replace(request, prompt="a  ball", index=i) for i, request in zip([7, 2, 9, 3], requests, strict=False)]
    texts(tmp_path, *["a ball"] * 4)
    assert greys(tmp_path, same[:2]) == [0, 2] and greys(tmp_path, same) == [0, 2, 1, 3]
    with pytest.raises(UserError, match="each fewer times"):
        Folder(str(tmp_path)).prepare([*same, replace(same[0], index=10)])


def test_a_folder_has_no_seconds(cli, tmp_path):
    """Those of reading would put it on every Pareto front."""
    write_shapes(tmp_path / "clips", 2, split="test", num_frames=4)
    names = f'baselines.names=["artv", "folder:{tmp_path / "clips"}"]'
    outcome = cli(
        "sweep", "--ablation", "baselines", "--set", names, "--set", "artv.steps=1", "--metrics", "seconds,flicker",
        "--num-videos", "2", "--frames", "4", "--out", tmp_path / "run", "--format", "json",
    )  # fmt: skip
    rows = {(row["method"], row["metric"]): row for row in json.loads(outcome.out)["rows"]}
    assert outcome.code == 0 and rows["folder", "seconds"]["status"] == "absent: this cell has no seconds"
    assert rows["folder", "flicker"]["status"] == rows["artv", "seconds"]["status"] == "ok"


def test_folder_names_what_is_wrong(tmp_path, requests):
    with pytest.raises(UserError, match=r"does not exist"):
        Folder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"holds no video files"):
        Folder(str(tmp_path))
    write_video(tmp_path / "a.mp4", requests[0].real[:2], fps=8.0)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    folder = Folder(str(tmp_path))
    with pytest.raises(UserError, match=r"a\.mp4 has 2 frames at 8 fps; the protocol needs 4"):
        list(folder.generate(requests[:1]))
    with pytest.raises(UserError, match=r"b\.mp4 cannot be read"):
        list(folder.generate(requests[1:2]))
    with pytest.raises(UserError, match=r"holds 2 videos; the protocol asks for more"):
        folder.prepare(requests)


def test_artv_holds_the_contract_of_methods():
    requests = testing.toy_requests(2, frames=2)
    testing.check_method(ArtV, settings={"steps": 1, "sampler": "euler"}, requests=requests)
    (clip,) = ArtV(steps=2, sampler="euler").generate(requests[:1])
    assert clip.mask.shape[0] == 1 and np.array_equal(clip.frames[0].shape, (64, 64, 3))
    assert ArtV("shapes:no-mask", steps=1, sampler="euler").generate(requests[:1])[0].mask is None


def test_the_first_batch_on_a_gpu_is_made_ahead_in_small(monkeypatch, requests):
    """Seconds then hold no compilers, and clips stay what they are."""
    expected = ArtV(steps=2).generate(requests)
    calls = []
    pipe = load_pipeline("shapes", "cpu")
    monkeypatch.setattr(ArtV, "warmed_devices", ("cpu",))
    monkeypatch.setattr(
        "artv_eval.methods.artv.load_pipeline",
        lambda *_: lambda *a, **k: (calls.append(k["num_frames"]), pipe(*a, **k))[1],
    )
    method = ArtV(steps=2)
    for _ in range(2):
        for ours, theirs in zip(method.generate(requests), expected, strict=True):
            assert np.array_equal(ours.frames, theirs.frames)
    frames = requests[0].num_frames
    assert calls == [2, frames, frames]


def test_a_latent_that_is_not_finite_costs_artv_one_clip_of_the_batch():
    from artv.samplers import sample_euler

    requests = testing.toy_requests(3, frames=3)
    lost = {1}

    def poisoned(denoise, x, sigmas, **kw):
        def broken(x, sigma):
            x0 = denoise(x, sigma)
            x0[list(lost)] = float("nan")
            return x0

        return sample_euler(broken, x, sigmas, **kw)

    clips = list(ArtV(steps=2, sampler=poisoned).generate(requests))
    assert clips[1] == FailedClip("latent not finite at frame 1, step 0")
    for clip, whole in zip(clips, ArtV(steps=2, sampler="euler").generate(requests), strict=True):
        assert isinstance(clip, FailedClip) or np.array_equal(clip.frames, whole.frames)
    lost |= {0, 2}
    assert all(isinstance(clip, FailedClip) for clip in ArtV(steps=2, sampler=poisoned).generate(requests))


def test_checkpoints_have_digests_presets_and_reasons(tmp_path, monkeypatch):
    assert checkpoints.unavailable("shapes") is None and checkpoints.preset("shapes") == "shapes"
    assert checkpoints.digest("shapes") != checkpoints.digest("shapes:no-mask")
    assert "not in this installation" in checkpoints.unavailable("shapes:no-such-twin")
    with pytest.raises(UserError, match=r"is no folder, no hub id"):
        checkpoints.unavailable("paper")
    folder = tmp_path / "copy"
    for name, source in checkpoints.folders("shapes").items():
        shutil.copytree(source, folder / name)
    (folder / "model_index.json").write_text("{}")
    assert checkpoints.digest(str(folder)) == checkpoints.digest("shapes")
    checkpoints.digest.cache_clear()
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(
        json.dumps(config | {"dynamic": config["dynamic"] | {"text_dim": 1024}})
    )
    assert checkpoints.preset(str(folder)) == "paper"
    assert checkpoints.digest(str(folder)) != checkpoints.digest("shapes")
    assert presets.packaged()


def test_other_pictures_under_the_same_name_are_another_method(tmp_path):
    """So that a run made with the old ones does not pass for finished."""
    picture = tmp_path / "0.png"

    def digests():
        return [
            ArtV(first_frame=FolderOfPictures(str(tmp_path))).digest(),
            ArtV(anchor=UserImage(picture=picture)).digest(),
        ]

    Image.new("RGB", (8, 8), "red").save(picture)
    before, again = digests(), digests()
    Image.new("RGB", (8, 8), "blue").save(picture)
    assert before == again and ArtV().digest() == checkpoints.digest("shapes")
    assert not {*before, *digests()} & {ArtV().digest()} and len({*before, *digests()}) == 4
    picture.write_text("no picture")
    with pytest.raises(UserError, match=r"0\.png cannot be read"):
        ArtV(anchor=UserImage(picture=picture)).digest()


def test_a_checkpoint_of_another_preset_is_refused(cli, tmp_path):
    folder = tmp_path / "paper"
    for name, source in checkpoints.folders("shapes").items():
        shutil.copytree(source, folder / name)
    (folder / "model_index.json").write_text("{}")
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(
        json.dumps(config | {"dynamic": config["dynamic"] | {"text_dim": 1024}})
    )
    outcome = cli("sweep", "--ablation", "steps", "--checkpoint", folder)
    assert outcome.code == 2 and "the checkpoint is of preset 'paper' and the sweep of 'shapes'" in outcome.err
    other = cli("sweep", "--ablation", "mask", "--checkpoint", folder)
    assert other.code == 2 and "train it with artv train --no-mask and give it with --set mask.twin=FOLDER" in other.err
    missing = cli("sweep", "--ablation", "steps", "--checkpoint", "nowhere")
    assert missing.code == 2 and "checkpoint 'nowhere' is no folder" in missing.err


def test_a_clip_is_the_same_alone_and_with_others():
    """Bit for bit on a CPU, where a batch of one is made as a pair: so a run that was cut off goes on as it began."""
    from artv_eval.methods.artv import ArtV
    from artv_eval.protocols.cards import shapes_1

    requests = shapes_1().requests(num=3, frames=3)
    method = ArtV(checkpoint="shapes", steps=1)
    together = method.generate(requests)
    for request, other in zip(requests, together, strict=True):
        (alone,) = method.generate([request])
        assert (alone.frames == other.frames).all() and (alone.mask == other.mask).all()
    pair = method.generate(requests[1:])
    assert all((a.frames == b.frames).all() for a, b in zip(pair, together[1:], strict=True))

"""A run goes on with the clips and the weights that it was begun with, or not at all."""

import io
import json
import tarfile

import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv.presets import load_components
from artv.training.clips import Clips
from artv.training.config import load_config
from artv.training.inputs import claim_inputs
from artv.training.run import make_latents
from artv.video import write_video

CPU = torch.device("cpu")


def test_what_is_noted_stays_and_more_may_come(tmp_path):
    claim_inputs(tmp_path, {"clips": "9 of files abc"})
    claim_inputs(tmp_path, {"clips": "9 of files abc"})
    claim_inputs(tmp_path, {"encoders": "12ab"})
    stored = (tmp_path / "inputs.json").read_text(encoding="utf-8")
    assert json.loads(stored) == {"clips": "9 of files abc", "encoders": "12ab"}
    with pytest.raises(UserError, match=r"was begun with other encoders \(12ab\) than there are now \(ff00\)"):
        claim_inputs(tmp_path, {"clips": "9 of files abc", "encoders": "ff00"})
    assert (tmp_path / "inputs.json").read_text(encoding="utf-8") == stored


def test_a_folder_that_was_added_to_or_whose_captions_changed_is_another(tmp_path):
    folder, run = tmp_path / "clips", tmp_path / "run"
    folder.mkdir()
    frames = ShapesWorld("train", 0, 4, 16).batch(range(2)).frames.permute(0, 1, 3, 4, 2).numpy()
    for i in range(2):
        write_video(folder / f"{i}.mp4", frames[i], fps=8)
    lines = ["file,caption", "0.mp4,a circle", "1.mp4,a square"]

    def of(*lines):
        (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
        return {"clips": Clips(load_config("shapes", data=str(folder), num_frames=4, size=16), CPU).said}

    claim_inputs(run, of(*lines))
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    claim_inputs(run, of(*lines))
    for other in (lines[:-1], [*lines[:-1], "1.mp4,a triangle"]):
        with pytest.raises(UserError, match="was begun with other clips"):
            claim_inputs(run, of(*other))


@pytest.mark.parametrize("tarred", [False, True])
def test_a_video_that_was_replaced_by_one_as_large_is_another(tmp_path, tarred):
    """For a training and for the latents of files alike: size and name do not tell."""
    frames = ShapesWorld("train", 0, 4, 16).batch(range(2)).frames.permute(0, 1, 3, 4, 2).numpy()
    videos = []
    for each in frames:
        write_video(tmp_path / "video.mp4", each, fps=8)
        videos.append((tmp_path / "video.mp4").read_bytes())
    size = max(map(len, videos)) + 8
    # what no reader minds at the end of an mp4: a box of free space
    one, other = (
        data + (size - len(data)).to_bytes(4, "big") + b"free" + bytes(size - len(data) - 8) for data in videos
    )

    def of(data):
        folder = tmp_path / "clips"
        folder.mkdir(exist_ok=True)
        if tarred:
            with tarfile.open(folder / "0.tar", "w") as tar:
                for name, content in (("0.mp4", data), ("0.txt", b"a circle")):
                    (member := tarfile.TarInfo(name)).size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        else:
            (folder / "0.mp4").write_bytes(data)
            (folder / "captions.csv").write_text("file,caption\n0.mp4,a circle", encoding="utf-8")
        return Clips(load_config("shapes", data=str(folder), num_frames=4, size=16), CPU)

    said, contents = of(one).said, of(one).contents
    assert of(one).contents == contents and (of(other).said, of(other).contents != contents) == (said, True)
    parts = load_components("shapes").values()
    make_latents(of(one).config, tmp_path / "latents", of(one), *parts)
    with pytest.raises(UserError, match=f"holds shards with contents = {contents}, not"):
        make_latents(of(other).config, tmp_path / "latents", of(other), *parts)

"""A run goes on with the clips and the weights that it was begun with, or not at all."""

import json

import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv.training.clips import Clips
from artv.training.config import load_config
from artv.training.inputs import claim_inputs
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

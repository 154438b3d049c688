"""Sweeps whose real clips are video files: decoded apart, bad ones named, too many of them withhold the metric."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from artv.video import write_video
from artv_eval.files.describe import video_files
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.protocols.cards import load

PLUGIN = """
import numpy as np
from artv_eval import CellSpec, Component, GeneratedClip, hookimpl

@hookimpl
def register_methods():
    return [Component("noise", f"{__name__}:Noise", "noise")]

@hookimpl
def register_ablations():
    return [Component("one", f"{__name__}:one", "one cell")]

@hookimpl
def register_features():
    return [Component("means", f"{__name__}:Means", "mean colours")]

class Means:
    name, digest, dim = "means", "means-1", 12

    def __call__(self, clips):
        return clips.float().mean((-1, -2)).flatten(1)

def one():
    return lambda context: [CellSpec(name="noise", method="noise")]

class Noise:
    def generate(self, requests):
        return [GeneratedClip(clip(r.seed, r.num_frames, r.height, r.width)) for r in requests]

def clip(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
"""

CARD = {
    "name": "small-ucf@1",
    "title": "a few videos",
    "source": "this test",
    "prompts": {"dataset": "ucf101", "split": "all", "text": "class-name", "number": 6},
    "frames": {"number": 4, "fps": 10, "height": 40, "width": 40},
    "first_frame": False,
    "reference": {"dataset": "ucf101", "split": "all", "which": "centre"},
    "transform": {"crop": "largest", "size": 32},
    "features": {"extractor": "means"},
    "metrics": ["fvd"],
    "bad_files": 0.2,
}


@pytest.fixture
def ucf(tmp_path):
    """Eight videos, of two sizes."""
    rng = np.random.default_rng(0)
    for k in range(8):
        name = ("Archery", "JumpRope")[k % 2]
        height = (48, 56)[k % 2]
        path = tmp_path / "ucf" / "UCF-101" / name / f"v_{name}_g01_c0{k}.mp4"
        write_video(path, rng.integers(0, 256, (20, height, 64, 3), np.uint8), 10.0)
    return tmp_path / "ucf"


@pytest.fixture
def sweep(cli, ucf, tmp_path):
    """``artv-eval sweep`` of one cell of noise under the card, with changes."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "noise_plugin.py").write_text(PLUGIN)

    def call(*more, **changes):
        Path("card.yaml").write_text(yaml.safe_dump(CARD | changes))
        return cli(
            "sweep", "--ablation", "one", "--plugins-dir", tmp_path / "plugins", "--protocol", "card.yaml",
            "--num-videos", 6, "--set", f"protocol.root={ucf}", "--out", "run", "--format", "json", *more,
        )  # fmt: skip

    return call


def test_the_value_is_that_of_the_files_decoded_here(sweep, ucf):
    outcome = sweep()
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(outcome.out)["rows"]
    protocol = load("card.yaml", root=str(ucf))
    requests = protocol.requests(num=6)
    scope: dict = {"__name__": "plugin"}
    exec(PLUGIN, scope)
    evaluator = FvdEvaluator(scope["Means"](), transform=protocol.card.transform)
    real = evaluator.describe(protocol.reference())
    clips = type(protocol.reference())(requests, lambda i: scope["Noise"]().generate([requests[i]])[0])
    assert len(real) == 8 and row["status"] == "ok"
    assert row["value"] == pytest.approx(frechet_from_features(evaluator.describe(clips), real), rel=1e-4)


def test_a_bad_file_is_left_out_and_named_and_too_many_withhold_the_metric(sweep, ucf):
    files = video_files(ucf)
    files[3].write_bytes(b"")
    outcome = sweep()
    (row,) = json.loads(outcome.out)["rows"]
    assert outcome.code == 0 and row["status"] == "ok"
    results = json.loads(Path("run/results.json").read_text())
    notes, (bad,) = results["notes"], results["bad_files"]
    assert any("reference clips describe a covariance of" in line for line in notes)
    (note,) = [line for line in notes if line.startswith("1 reference file was left out")]
    assert files[3].name in note
    assert bad["side"] == "reference" and Path(bad["file"]).name == files[3].name
    whole = files[5].read_bytes()
    files[5].write_bytes(whole[: len(whole) // 2])
    (row,) = json.loads(sweep().out)["rows"]
    assert row["value"] is None and row["status"].startswith("withheld: 2 of 8 reference files cannot be read")


def test_sizes_that_the_card_does_not_make_equal_are_refused(sweep):
    (row,) = json.loads(sweep(transform={}).out)["rows"]
    assert row["value"] is None and "48 x 64 pixels and" in row["status"] and "say how" in row["status"]


def test_the_hash_is_the_protocols_and_another_for_changed_settings(sweep, ucf):
    own, changed = (json.loads(sweep(*more).out)["rows"][0] for more in ((), ("--set", "fvd.ddof=0")))
    assert own["protocol_hash"] == load("card.yaml", root=str(ucf)).hash != changed["protocol_hash"]
    assert own["value"] != changed["value"]


def test_rows_of_the_reference_are_kept(sweep, ucf, monkeypatch):
    sweep()
    found = list(Path("run/features").glob("reference-*/*.npz"))
    assert found
    monkeypatch.setattr("artv_eval.files.decoding.read_excerpt", lambda path, *_: pytest.fail(f"{path} was read again"))
    monkeypatch.setattr("artv_eval.files.decoding.WORKER", ["false"])
    assert sweep().code == 0

"""Features of the shapes world serve protocols of that world only; every row names what described its clips."""

import json

import numpy as np
import pytest

from artv.video import write_video
from artv_eval.features.shapes import shapes_classifier, shapes_clip
from artv_eval.protocols.files import FilesProtocol

FETCH_I3D = "python -m artv_eval.features.weights fetch i3d"
FETCH_CLIP = "hf download timm/vit_base_patch32_clip_224.openai"


@pytest.fixture
def score(cli, tmp_path_factory, monkeypatch):
    """``score`` of two folders of clips that are no shapes, 480×256, without any weights but the package's."""
    root = tmp_path_factory.mktemp("real-videos")
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(root / "no-weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root))
    monkeypatch.setenv("HF_HUB_CACHE", str(root / "hub"))
    rng = np.random.default_rng(0)
    for k in range(3):
        for side in ("real", "fake"):
            (root / side).mkdir(exist_ok=True)
            write_video(root / side / f"{k}.mp4", rng.integers(0, 256, (16, 256, 480, 3), np.uint8), fps=8)
    (root / "fake" / "captions.csv").write_text("file,caption\n0.mp4,a\n1.mp4,b\n2.mp4,c\n", encoding="utf-8")
    sides = ("--real", root / "real", "--fake", root / "fake", "--workers", 0, "--no-cache")

    def call(*arguments):
        outcome = cli("score", *sides, "--format", "json", *arguments)
        return outcome, {row["metric"]: row for row in json.loads(outcome.out)["rows"]}

    return call


def test_no_toy_network_scores_real_videos(score):
    outcome, rows = score("--metrics", "fvd,kvd,clipsim,anchor_similarity,frame_fid,drift")
    assert outcome.code == 0 and rows.pop("drift")["status"] == "ok"
    assert all(row["value"] is None and row["status"].startswith("absent: ") for row in rows.values())
    assert all(FETCH_I3D in rows[name]["status"] for name in ("fvd", "kvd"))
    assert all(FETCH_CLIP in rows[name]["status"] for name in ("clipsim", "anchor_similarity", "frame_fid"))


def test_files_without_a_protocol_have_one_whose_conventions_are_printed(score):
    outcome, rows = score("--metrics", "flicker,drift")
    protocol = FilesProtocol()
    said = protocol.conventions()
    assert {row["protocol"] for row in rows.values()} == {"files"}
    assert rows["flicker"]["protocol_hash"] == protocol.hash
    assert rows["drift"]["protocol_hash"] != protocol.hash  # which measure it is, is no part of the protocol's
    assert rows["drift"]["features"] is None and said in json.loads(outcome.out)["notes"]
    for words in ("first 16 frames at each file's own rate", "logits of i3d, covariance over n - 1", "ViT-B-32", "1%"):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "metric"),
    [
        (("--features", "shapes"), "fvd"),
        (("--set", "clipsim.feature=shapes-clip"), "clipsim"),
        (("--protocol", "ucf101@lavie", "--frames", 8), "clipsim"),
        (("--protocol", "ucf101@lavie", "--frames", 8), "frame_fid"),
    ],
)
def test_not_when_asked_for_nor_where_a_card_names_no_encoder(score, arguments, metric):
    _, rows = score("--metrics", f"{metric},drift", *arguments)
    status = rows[metric]["status"]
    assert rows[metric]["value"] is None and "were trained on the world of shapes@… and say nothing" in status
    assert (FETCH_I3D if metric == "fvd" else FETCH_CLIP) in status and f"--set {metric}.feature=" in status


def test_rows_name_their_extractor_and_its_weights(score):
    outcome, rows = score("--metrics", "fvd,clipsim,drift", "--protocol", "shapes@1")
    assert rows["fvd"]["features"] == f"shapes {shapes_classifier().digest[:8]}"
    assert rows["clipsim"]["features"] == f"shapes-clip {shapes_clip().digest[:8]}"
    line = next(note for note in json.loads(outcome.out)["notes"] if note.startswith("features: "))
    assert f"fvd by {rows['fvd']['features']}" in line and "drift" not in line


def test_nothing_is_generated_by_files(cli):
    outcome = cli("sweep", "--ablation", "mask", "--protocol", "files", "--metrics", "drift", "--dry-run")
    assert outcome.code == 2 and "scores video files that are there; give another one" in outcome.err

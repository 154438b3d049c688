"""What a card does to real clips alone is done to them, and to them alone, where real files are scored."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from artv.data.readers import read_video

TOY = Path(__file__).parents[1] / "toy"


def means(folder, part):
    """(n, 2) as the toy's metric has it, of ``part`` of each frame."""
    clips = [part(read_video(path, "pyav")[:4]).astype(float) for path in sorted(folder.glob("*.mp4"))]
    return np.array([[clip.mean(), np.diff(clip, axis=0).std()] for clip in clips])


def stored(frames):
    """Each frame as a JPEG of quality 20 gives it back."""
    found = []
    for frame in frames:
        Image.fromarray(frame).save(buffer := io.BytesIO(), "JPEG", quality=20)
        found.append(np.asarray(Image.open(buffer)))
    return np.stack(found)


@pytest.mark.parametrize("jpeg", [None, 20])
def test_real_clips_alone_are_stored_as_jpeg(cli, sides, tmp_path, jpeg):
    card = yaml.safe_load(cli("protocols", "show", "ucf101@lavie").out)
    card["frames"] |= {"number": 4, "fps": None, "stride": 1}
    card["reference"] |= {"which": "first", "transform": None if jpeg is None else {"jpeg": jpeg}}
    card |= {"name": "mine@1", "transform": {}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    real, fake = sides
    given = ("--plugins-dir", TOY, "--real", real, "--fake", fake, "--metrics", "distance", "--protocol", "mine.yaml")
    outcome = cli("score", *given, "--workers", 0, "--format", "json", "--no-cache")
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(outcome.out)["rows"]
    ours, theirs = means(fake, lambda x: x), means(real, stored if jpeg else lambda x: x)
    assert row["status"] == "ok"
    assert row["value"] == pytest.approx(((ours.mean(0) - theirs.mean(0)) ** 2).sum(), rel=1e-6)

"""A model that was replaced under its name makes no clips beside those of the one that was trained."""

import json
from pathlib import Path

LEARNING = ("--ablation", "learning", "--train", "--out", "run", "--twins", "twins", "--format", "json")


def test_no_clip_is_made_by_other_weights_than_were_trained(toy, made):
    first = toy(*LEARNING)
    assert first.code == 0
    (weights, other) = sorted(Path("twins").glob("*/pipeline/strength"))
    kept = weights.read_text(encoding="utf-8")
    weights.write_text("3.0", encoding="utf-8")
    count = len(made())
    assert toy(*LEARNING).code == 0  # no clip is to be made of it: verify tells it
    more = toy(*LEARNING, "--num-videos", 8)
    assert more.code == 2 and "is not what its training ended with" in more.err and len(made()) == count
    assert str(weights.parent) in more.err and str(other.parent) not in more.err
    weights.write_text(kept, encoding="utf-8")
    whole = toy(*LEARNING, "--num-videos", 8)
    assert whole.code == 0 and {row["n"] for row in json.loads(whole.out)["rows"]} == {8}

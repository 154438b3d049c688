"""A run keeps every result that it gave: other clips, metrics or settings stand beside."""

import json
from pathlib import Path


def rows(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["rows"]


def test_results_of_other_clips_metrics_or_settings_stand_beside(toy, cli):
    base = ("--ablation", "noise", "--out", "run")
    toy(*base)
    first = rows("run/results.json")
    values = Path("run/per_clip.csv").read_text(encoding="utf-8")
    assert not Path("run/results").exists()
    toy(*base)  # the same again leaves nothing behind
    assert not list(Path("run").glob("results/*"))
    small = toy(*base, "--num-videos", 4, "--metrics", "brightness")
    (kept,) = Path("run/results").glob("*.json")
    assert kept.name.startswith("6-clips_brightness+distance_") and rows(kept) == first
    assert kept.with_suffix(".csv").read_text(encoding="utf-8") == values
    assert f"artv-eval report {kept}" in small.err and {row["n"] for row in rows("run/results.json")} == {4}
    shown = cli("report", kept, "--format", "json")
    assert shown.code == 0 and json.loads(shown.out)["rows"] == first
    toy(*base, "--set", "protocol.salt=1")
    assert len(list(Path("run/results").glob("*.json"))) == 2
    toy(*base, "--set", "noise.much=50")  # cells of the same names
    assert len(list(Path("run/results").glob("*.json"))) == 3
    toy(*base)  # the first ones are the newest again: they move back, the others stay
    names = sorted(path.name for path in Path("run/results").glob("*.json"))
    assert (
        rows("run/results.json") == first
        and len(names) == 3
        and any(n.startswith("4-clips_brightness_") for n in names)
    )

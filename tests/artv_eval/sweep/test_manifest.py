"""What a run's folder says of itself, and its views for the eye: one that cannot be made costs itself alone."""

import importlib.metadata
import json
import re
import sys

import pytest
from made import pair, row

from artv_eval.api import ClipRequest
from artv_eval.results.documents import read_json
from artv_eval.results.rows import ClipValues, Results
from artv_eval.results.store import SHOWN, DamagedClip, RunStore
from artv_eval.sweep import manifest as module
from artv_eval.sweep.manifest import gallery, versions, write_part, write_results, write_views

VIEWS = ("results.csv", "comparisons.csv", "per_clip.csv", "report.html")


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "run")


def results(n=20):
    return Results(
        run="run",
        rows=[row("on", "fvd", 2.0, n=n), row("off", "fvd", 3.0, n=n)],
        comparisons=[pair("fvd", -1.0, 0.25, a="on", b="off")],
        per_clip=[ClipValues(ablation="mask", cell="on", metric="psnr", values={0: 1.5})],
    )


def test_versions_are_those_installed():
    found = versions()
    assert found.pop("python") == sys.version.split()[0] and {"artv", "torch", "numpy"} <= found.keys()
    assert found == {name: importlib.metadata.version(name) for name in found}


def test_the_gallery_holds_the_first_requests_and_no_pictures():
    requests = [
        ClipRequest(index=i, prompt=f"p{i}", seed=9 * i, num_frames=2, height=4, width=4, fps=8.0)
        for i in range(SHOWN + 5)
    ]
    found = gallery(requests)["requests"]
    assert len(found) == SHOWN and found[3] == {"index": 3, "prompt": "p3", "seed": 27, "fps": 8.0}
    json.dumps(found)


@pytest.mark.parametrize(("frames", "shown"), [(48, SHOWN), (128, SHOWN), (240, 34), (1000, 8), (5000, 6)])
def test_of_long_clips_the_page_shows_fewer(frames, shown):
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=frames, height=4, width=4, fps=8.0)
    assert len(gallery([request] * 70)["requests"]) == shown
    assert gallery([]) == {"requests": []}


def test_results_are_read_back_with_their_findings_and_what_was_there_is_kept(store):
    write_part(store, results(8))
    part = store.root / "results.part.json"
    assert Results.from_dict(read_json(part)).rows == results(8).rows
    for n in (8, 20):
        write_results(store, results(n), "these cells")
    document = read_json(store.root / "results.json")
    assert document["findings"][0]["ablation"] == "mask" and document["findings"][0]["apart"] == ["fvd"]
    assert (
        Results.from_dict({key: value for key, value in document.items() if key != "findings"}).rows == results(20).rows
    )
    assert not part.exists() and [path.name[:2] for path in (store.root / "results").glob("*.json")] == ["8-"]


def made(store, monkeypatch, page):
    monkeypatch.setattr("artv_eval.report.html.page", page)
    return list(write_views(store, results()))


def test_every_view_is_written(store, monkeypatch):
    assert made(store, monkeypatch, lambda *anything: "<html>") == []
    texts = {name: (store.root / name).read_text(encoding="utf-8") for name in VIEWS}
    assert texts["report.html"] == "<html>" and texts["results.csv"] == results().csv()
    assert texts["comparisons.csv"] == results().comparisons_csv() and "psnr,0,1.5" in texts["per_clip.csv"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no\nfont"), "ValueError: no"),
        (OSError(28, "No space left on device"), "disk full; what was finished is kept"),
    ],
)
def test_a_view_that_fails_is_a_line_and_the_others_are_there(store, monkeypatch, error, words):
    def page(*anything):
        raise error

    (line,) = made(store, monkeypatch, page)
    assert line.startswith(f"report.html could not be made ({words}") and line.endswith("results.json")
    assert all((store.root / name).is_file() for name in VIEWS[:3])


def test_a_damaged_clip_is_no_matter_of_the_page(store, monkeypatch):
    def page(*anything):
        raise DamagedClip(store.root / "x.npz", "cut off")

    with pytest.raises(DamagedClip):
        made(store, monkeypatch, page)


@pytest.mark.parametrize(("seconds", "text"), [(0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z")])
def test_times_are_utc(seconds, text):
    assert module._timestamp(seconds) == text


def test_a_finished_run_says_how_it_was_made(toy, tmp_path):
    assert toy("--ablation", "noise", "--metrics", "brightness", "--out", "run").code == 0
    found = read_json(tmp_path / "run" / "manifest.json")
    assert found["state"] == "finished" and found["num_videos"] == 6 and found["shard"] == "1/1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["finished"]) and found["finished"] >= found["started"]
    assert [metric["digest"] for metric in found["metrics"]] == ["toy-brightness-1"]
    cells = {cell["cell"]: cell for cell in found["cells"]}
    assert [cells[name]["method"]["settings"]["strength"] for name in ("noise=little", "noise=much")] == [2.0, 40.0]
    assert {cell["id"] for cell in found["cells"]} == {path.name for path in (tmp_path / "run" / "clips").iterdir()}
    assert {item["name"] for item in found["components"]} >= {"toy@1", "noise", "noisy", "brightness", "serial"}

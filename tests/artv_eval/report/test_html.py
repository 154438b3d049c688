"""The page of a run in a real browser: text stays text, clips run in step, tables sort, nothing is fetched.

Then as a document, and what is said of a folder that is no finished run.
"""

import base64
import hashlib
import html.parser
import http.server
import json
import re
import shutil
import threading
import time
from functools import partial

import numpy as np
import pytest
from made import pair, results, row

from artv.errors import UserError, WorkFailed
from artv_eval.api import GeneratedClip
from artv_eval.report.html import load_run, page
from artv_eval.report.previews import beside
from artv_eval.results.documents import write_json
from artv_eval.results.per_clip import as_csv, read_csv
from artv_eval.results.rows import ClipValues, Results
from artv_eval.results.store import RunStore

HOSTILE = "<img src=x onerror=alert(1)> & </script><script>alert(2)</script>"
FRAMES, FPS, CLIPS, STEPS = 12, 8, 5, 4
LEVEL = 20  # grey levels from one frame to the next: a canvas shows which frame it holds


def clip(mask=False):
    frames = np.repeat(np.arange(FRAMES, dtype=np.uint8) * LEVEL, 32 * 48 * 3).reshape(FRAMES, 32, 48, 3)
    if not mask:
        return GeneratedClip(frames)
    steps = np.zeros((STEPS, FRAMES - 1, 4, 6), np.uint8)
    steps[:, ::2] = (np.arange(STEPS) * 85)[:, None, None, None]  # of frames 1, 3, …; of the others nothing is copied
    return GeneratedClip(frames, np.ones((FRAMES - 1, 4, 6), np.float32), mask_steps=steps)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of two cells with a name and prompts that would be mark-up."""
    folder = tmp_path_factory.mktemp("run")
    store = RunStore(folder)
    cells = {"mask=on": "a" * 16, f"mask=off {HOSTILE}": "b" * 16}
    for name, cell in cells.items():
        store.save_cell(cell, {"method": name})
        for index in range(CLIPS):
            store.save_clip(cell, index, clip(mask=name == "mask=on"))
    requests = [{"index": i, "prompt": f"{HOSTILE} {i}", "seed": i, "fps": float(FPS)} for i in range(CLIPS)]
    write_json(folder / "gallery.json", {"requests": requests})
    off = f"mask=off {HOSTILE}"
    values = {"mask=on": [5.0, 3.0, 1.0, 2.0, 4.0], off: [1.0] * 5}
    found = results(
        [row(cell, "drift", float(np.mean(v)), n=CLIPS) for cell, v in values.items()], [pair("drift", 2.0, 1.0, b=off)]
    )
    write_json(folder / "results.json", found.to_dict())
    per_clip = [
        ClipValues(ablation="mask", cell=c, metric="drift", values=dict(enumerate(v))) for c, v in values.items()
    ]
    (folder / "per_clip.csv").write_text(as_csv(per_clip), encoding="utf-8")
    manifest = {
        "command": ["artv-eval"], "started": "now", "num_videos": CLIPS, "versions": {"python": "3"},
        "machine": {"system": "s", "device": "cpu"}, "components": [], "metrics": [],
        "cells": [{"id": cell, "cell": name, "status": "ok"} for name, cell in cells.items()],
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)
    again, store = load_run(folder)
    (folder / "report.html").write_text(page(again, store, beside(folder)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser():
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no Chromium here (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1300,3000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def served(run):
    """The page over loopback, where a test may read the pixels of a canvas."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(run))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/report.html"
        server.shutdown()


SHOWN = """return [...document.querySelectorAll("canvas:not(.steps)")].map(
  (c) => Math.round(c.getContext("2d").getImageData(2, 2, 1, 1).data[0] / arguments[0]))"""


DRAWN = """return [...document.querySelectorAll("canvas:not(.steps)")].every(
  (c) => c.getContext("2d").getImageData(2, 2, 1, 1).data[3])"""
COLOURS = """return [0, 1].map((k) => [...document.querySelectorAll("canvas:not(.steps)")[k]
  .getContext("2d").getImageData(2, 2, 1, 1).data].slice(0, 3))"""
ORDER = """return [...document.querySelectorAll(".prompt")].filter((p) => !p.parentElement.hidden).map(
  (p) => +/clip (\\d+)/.exec(p.textContent)[1])"""
COLUMN = """return [...document.querySelectorAll("table.sortable")[0].tBodies[0].rows].map(
  (r) => r.cells[1].dataset.value)"""


def wait_for(browser, script, *arguments):
    for _ in range(200):
        if found := browser.execute_script(script, *arguments):
            return found
        time.sleep(0.05)
    raise AssertionError(f"never true: {script}")


def opened(browser, address):
    browser.get(address)
    wait_for(browser, f"return document.querySelectorAll('canvas:not(.steps)').length === {2 * CLIPS}")
    browser.execute_script("document.getElementById('size').value = 64; "
                           "document.getElementById('size').dispatchEvent(new Event('input'))")  # fmt: skip


def errors(browser):
    return [line for line in browser.get_log("browser") if "favicon" not in line["message"]]


def test_hostile_text_is_text_and_the_page_works_without_a_network(browser, run):
    browser.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    try:
        opened(browser, f"file://{run / 'report.html'}")
        text = browser.find_element("tag name", "body").text
        assert f"{HOSTILE} 3" in text and f"mask=off {HOSTILE}" in text
        assert browser.execute_script("return document.querySelectorAll('img').length") == 0
        assert text.index("mask: ") < text.index("cell")  # what was found comes first
        assert errors(browser) == []
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**nothing, "offline": False, "latency": 0})
        browser.execute_cdp_cmd("Network.disable", {})


def test_all_clips_show_the_frame_that_the_page_says(browser, served):
    opened(browser, served)
    wait_for(browser, DRAWN)
    for wanted in (7, 8, 7, 0):
        browser.execute_script("const f = document.getElementById('frame'); f.value = arguments[0]; "
                               "f.dispatchEvent(new Event('input'))", wanted)  # fmt: skip
        assert browser.execute_script(SHOWN, LEVEL) == [wanted] * 2 * CLIPS
    browser.find_element("id", "forth").click()
    assert browser.execute_script(SHOWN, LEVEL) == [1] * 2 * CLIPS
    browser.find_element("id", "back").click()
    browser.find_element("id", "back").click()
    assert browser.execute_script(SHOWN, LEVEL) == [FRAMES - 1] * 2 * CLIPS


def test_clips_play_in_step_and_in_time(browser, served):
    opened(browser, served)
    script = """const done = arguments[arguments.length - 1], seen = []; let start;
    document.getElementById("play").click();
    const look = (now) => { start ??= now;
      const at = +document.body.dataset.frame; if (at !== seen.at(-1)?.[0]) seen.push([at, now - start]);
      if (seen.length > 9) { document.getElementById("play").click(); done(seen); } else requestAnimationFrame(look); };
    requestAnimationFrame(look);"""
    browser.set_script_timeout(20)
    seen = browser.execute_async_script(script)
    first, began = seen[1]
    late = [when - began - (at - first) * 1000 / FPS for at, when in seen[1:]]
    assert max(map(abs, late)) < 50 + 1000 / 30, late  # to the screen's own frame, which a busy machine may miss once
    assert len(set(browser.execute_script(SHOWN, LEVEL))) == 1


def test_mask_and_difference_are_laid_over_the_clip(browser, served):
    opened(browser, served)
    wait_for(browser, DRAWN)
    browser.find_element("id", "forth").click()
    browser.find_element("id", "mask").click()
    wait_for(
        browser, "return document.querySelectorAll('canvas')[0].getContext('2d').getImageData(2, 2, 1, 1).data[0] > 99"
    )
    on, off = browser.execute_script(COLOURS)
    assert on == pytest.approx([0.4 * LEVEL + 0.6 * 255, 0.4 * LEVEL + 0.6 * 120, 0.4 * LEVEL], abs=2)
    assert off == [LEVEL] * 3  # this cell has no mask
    browser.find_element("id", "mask").click()
    browser.find_element("id", "difference").click()
    assert browser.execute_script(COLOURS) == [[LEVEL] * 3, [0] * 3]  # the clips are the same


STRIP = """const c = document.querySelector("canvas.steps"), n = arguments[0], at = c.getContext("2d");
  const across = Math.ceil(Math.sqrt(2 * n)), down = Math.ceil(n / across);
  const wide = (c.width + 1) / across, high = (c.height + 1) / down;
  const one = (s) => at.getImageData((s % across + 0.5) * wide, (Math.floor(s / across) + 0.5) * high, 1, 1).data[0];
  return c.hidden ? null : [...Array(n).keys()].map(one)"""


def test_the_mask_of_a_frame_is_shown_over_the_sampling_steps(browser, served):
    opened(browser, served)
    wait_for(browser, DRAWN)
    assert browser.execute_script(STRIP, STEPS) is None
    browser.find_element("id", "steps").click()  # goes to frame 1: the first one is given and has no mask
    wait_for(browser, f"{STRIP.replace('arguments[0]', str(STEPS)).replace('return', 'const seen =')};"
                      " return seen && seen[3] > 0")  # fmt: skip
    assert browser.execute_script(STRIP, STEPS) == pytest.approx([0, 85, 170, 255], abs=1)
    browser.find_element("id", "forth").click()
    assert browser.execute_script(STRIP, STEPS) == [0] * STEPS
    assert browser.execute_script("return document.querySelectorAll('canvas.steps').length") == CLIPS


def test_prompts_are_found_and_sorted_by_a_metric_or_a_difference(browser, served):
    opened(browser, served)
    choose = "const s = document.getElementById('sort'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
    browser.execute_script(choose, "drift: mask=on")
    assert browser.execute_script(ORDER) == [2, 3, 1, 4, 0]  # lower is better, best first
    browser.find_element("id", "reverse").click()
    assert browser.execute_script(ORDER) == [0, 4, 1, 3, 2]
    browser.execute_script(choose, f"drift: mask=on − mask=off {HOSTILE}")
    assert browser.execute_script(ORDER) == [0, 4, 1, 3, 2]
    browser.find_element("id", "find").send_keys("alert(1) 4")
    assert browser.execute_script(ORDER) == [4]


def test_tables_sort_by_their_heads(browser, served):
    opened(browser, served)
    head = browser.find_elements("css selector", "table.sortable thead button")[1]
    head.click()
    assert browser.execute_script(COLUMN) == ["1.0", "3.0"]
    head.click()
    assert browser.execute_script(COLUMN) == ["3.0", "1.0"]


@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_barrier_and_nothing_beside_the_screen(browser, served, width):
    from axe_selenium_python import Axe

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})  # fmt: skip
    try:
        opened(browser, served)
        axe = Axe(browser)
        axe.inject()
        found = [(v["id"], v["impact"]) for v in axe.run()["violations"]]
        assert not [item for item in found if item[1] in ("serious", "critical")], found
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_page_to_be_mailed_holds_its_clips(run):
    text = page(*load_run(run))
    assert text.count("data:image/webp;base64,") >= 2 * CLIPS and "previews/" not in text


def test_values_of_clips_come_back_as_they_were_written(tmp_path):
    written = [ClipValues(ablation=None, cell='a, "b"', metric="m", values={0: 0.1, 7: float("nan"), 9: 1e-17})]
    (tmp_path / "v.csv").write_text(as_csv(written), encoding="utf-8")
    (read,) = read_csv(tmp_path / "v.csv")
    assert (read.ablation, read.cell, read.metric) == (None, 'a, "b"', "m")
    assert read.values[0] == 0.1 and read.values[9] == 1e-17 and np.isnan(read.values[7])


class Parts(html.parser.HTMLParser):
    """Elements with attributes, and the text of each script and table cell."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inside, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self.inside[-1] if self.inside else "", data))


@pytest.fixture(scope="module")
def found():
    rows = [
        row("on", "fvd", 18.6, spread=2.0),
        row("off", "fvd", 26.4, spread=2.0),
        row("real", "fvd", 1.0, sanity=True),
    ]
    values = ClipValues(ablation="mask", cell="on", metric="fvd", values={0: 1.0})
    return Results(run=None, rows=rows, comparisons=[pair("fvd", -7.8, 3.2, p=0.03, a="on", b="off"),
                                                     pair("fvd", -0.1, 0.6, p=0.03, a="on", b="else")],
                   per_clip=[values], notes=["mind <this>"])  # fmt: skip


def test_the_policy_lets_the_pages_own_script_run_and_nothing_else(found):
    parts = Parts(page(found))
    (policy,) = [a["content"] for tag, a in parts.elements if a.get("http-equiv") == "Content-Security-Policy"]
    data, script = [text for tag, text in parts.texts if tag == "script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert set(json.loads(data)) == {"shown", "values", "directions", "latex"}


def test_it_asks_for_nothing_from_elsewhere_and_every_link_leads_somewhere(found):
    parts = Parts(page(found))
    assert not [a for _, a in parts.elements if {"src", "action", "formaction"} & set(a)]
    names = {a["id"] for _, a in parts.elements if "id" in a}
    links = {a["href"] for _, a in parts.elements if "href" in a}
    assert links and all(link[0] == "#" and link[1:] in names for link in links if link)
    labels = {a["aria-labelledby"] for _, a in parts.elements if "aria-labelledby" in a}
    assert labels <= names and len(names) == len([a for _, a in parts.elements if "id" in a])


def test_what_was_found_comes_before_any_table(found):
    text = page(found)
    assert text.index("fvd tells apart off (+7.8 [4.6, 11.0] (worse), 20 clips, p = 0.030).") < text.index("<table")
    assert "mind &lt;this&gt;" in text


def test_only_what_is_told_apart_is_printed_bold_among_the_differences(found):
    """A small p whose interval holds zero is no finding: not in the sentence, not in the picture, not in the table."""
    rows = re.findall(r'<tr class="(found)?">\s*<td>fvd</td><td>(.*?)</td>', page(found))
    assert rows == [("found", "on − off"), ("", "on − else")]


@pytest.fixture
def finished(toy, tmp_path):
    assert toy("--ablation", "noise", "--out", "run", "--num-videos", 2).code == 0
    return tmp_path / "run"


def test_a_run_is_read_back_whole_and_says_where_it_is_from(finished):
    found, store = load_run(finished)
    kept = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert [r.value for r in found.rows] == [r["value"] for r in kept["rows"]] and found.per_clip
    text = page(found, store, beside(finished))
    for cell in json.loads((finished / "manifest.json").read_text(encoding="utf-8"))["cells"]:
        assert f'id="cell-{cell["id"]}"' in text and f'href="#cell-{cell["id"]}"' in text
    assert "<dt>clips a cell</dt><dd>2</dd>" in text


def test_a_run_that_goes_on_is_shown_with_what_it_is_of(finished):
    path = finished / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest.pop("sha256", None)
    path.write_text(json.dumps({**manifest, "state": "running"}), encoding="utf-8")
    found, _ = load_run(finished)
    assert found.notes[-1].endswith(
        "is not finished (running): these results are of an earlier end of it; run its command again"
    )


def spoil(run, file, text):
    """Takes the file away or puts another text into it; without a name the folder itself."""
    path = run / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")


SPOILT = [
    ("results.json", None, WorkFailed, "is not finished; run its command again"),
    ("results.json", '{"rows": [', UserError, "results.json"),
    ("results.json", '{"rows": [{"cell": 3}]}', UserError, "results.json is not what this version writes"),
    ("", None, UserError, "does not exist; give the folder that a sweep printed"),
    ("", "no folder", UserError, "is a file; give the folder that a sweep printed"),
]


def test_what_is_no_finished_run_is_one_line(finished):
    for k, (file, text, error, says) in enumerate(SPOILT):
        copy = finished.with_name(f"copy-{k}")
        shutil.copytree(finished, copy)
        spoil(copy, file, text)
        with pytest.raises(error, match=re.escape(says)) as raised:
            load_run(copy)
        assert len(str(raised.value).splitlines()) == 1


def test_a_scoring_without_a_run_has_a_page_without_clips():
    text = page(results([row("a", "fvd", 1.0, ablation=None)]))
    assert 'id="grid"' not in text and 'id="made"' not in text and "<title>artv-eval: scores</title>" in text

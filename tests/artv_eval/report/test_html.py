"""The page of a run in a real browser: text stays text, clips run in step, tables sort, nothing is fetched."""

import http.server
import shutil
import threading
import time
from functools import partial

import numpy as np
import pytest
from made import pair, results, row

from artv_eval.api import GeneratedClip
from artv_eval.report.html import load_run, page
from artv_eval.report.previews import beside
from artv_eval.results.documents import write_json
from artv_eval.results.per_clip import as_csv, read_csv
from artv_eval.results.rows import ClipValues
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

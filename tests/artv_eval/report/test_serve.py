"""Reports over loopback: only reports and previews are given out, and mistakes are one line."""

import json
import re
import shutil
import threading
import urllib.error
import urllib.request

import pytest

from artv.errors import UserError
from artv_eval.report.figures import write_figures
from artv_eval.report.html import load_run
from artv_eval.report.serve import server


@pytest.fixture
def run(toy, tmp_path):
    assert toy("--ablation", "noise", "--out", tmp_path / "runs" / "one", "--num-videos", 2).code == 0
    (tmp_path / "runs" / "growing").mkdir()
    manifest = {"state": "running", "started": "now", "command": ["x"]}
    (tmp_path / "runs" / "growing" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path / "runs"


@pytest.fixture
def asked(run):
    with server([run], "127.0.0.1", 0) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{listening.server_port}{path}", timeout=10) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, b""

        yield ask
        listening.shutdown()


def test_runs_are_listed_with_their_findings_and_state(asked):
    status, body = asked("/")
    text = body.decode()
    assert status == 200 and "growing" in text and "running" in text
    assert "Not told apart at this size: brightness (no difference could have been at n = 2)" in text
    assert 'href="one/report.html"' in text


def test_only_reports_and_previews_are_given_out(asked, run):
    assert asked("/one/report.html") == (200, (run / "one" / "report.html").read_bytes())
    picture = next((run / "one" / "previews").iterdir())
    assert asked(f"/one/previews/{picture.name}") == (200, picture.read_bytes())
    (run / "secret.txt").write_text("secret", encoding="utf-8")
    hidden = ("/one/manifest.json", "/one/previews/../manifest.json", "/one/previews/%2e%2e%2fmanifest.json")
    for path in (
        *hidden,
        "/../secret.txt",
        "/growing/report.html",
        "/nobody/report.html",
        "/one/previews/",
        "//etc/passwd",
    ):
        assert asked(path)[0] == 404, path


def test_a_growing_run_is_shown_with_its_clips_and_nothing_is_written(run, asked):
    one = run / "one"
    manifest = json.loads((one / "manifest.json").read_text(encoding="utf-8"))
    del manifest["sha256"]
    (one / "manifest.json").write_text(json.dumps({**manifest, "state": "running"}), encoding="utf-8")
    for name in ("report.html", "results.json"):
        (one / name).unlink()
    before = sorted(one.rglob("*"))
    status, body = asked("/one/report.html")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', body.decode())
    shown = json.loads(data)["shown"]["previews"]
    assert status == 200 and shown and all(set(of_cell) == {"0", "1"} for of_cell in shown.values())
    assert sorted(one.rglob("*")) == before
    assert 'href="one/report.html"' in asked("/")[1].decode()


def test_two_runs_are_chosen_to_stand_side_by_side(run, asked):
    shutil.copytree(run / "one", run / "<b>")
    assert 'href="side"' in asked("/")[1].decode()
    text = asked("/side?run=one&run=%3Cb%3E&run=/etc")[1].decode()
    assert re.findall(r'<iframe src="(.*?)" title="(.*?)"', text) == [
        ("/one/report.html", "one"), ("/%3Cb%3E/report.html", "&lt;b&gt;")
    ]  # fmt: skip
    assert re.findall(r"<option selected>(.*?)</option>", text) == ["one", "&lt;b&gt;"]
    assert "growing" not in text and "etc" not in text  # nothing to show, and no run
    assert asked("/%3Cb%3E/report.html")[0] == 200 and "<iframe" not in asked("/side")[1].decode()


def test_a_taken_port_and_a_folder_without_runs_are_one_line(run, tmp_path, cli):
    with server([run], "127.0.0.1", 0) as taken:
        outcome = cli("serve", run, "--port", taken.server_port)
        assert outcome.code == 2 and "cannot be listened at" in outcome.err and len(outcome.err.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no run in .*empty"):
        server([tmp_path / "empty"], "127.0.0.1", 0)
    assert cli("serve", run, "--port", 10**9).code == 2


def test_pictures_are_written_in_every_format(run, tmp_path):
    results, _ = load_run(run / "one")
    written = write_figures(results, tmp_path / "figures", ["svg", "png", "pdf"])
    starts = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert {path.suffix for path in written} == set(starts)
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)
    with pytest.raises(UserError, match="--plot-format has 'gif'"):
        write_figures(results, tmp_path, ["gif"])

"""A user's mistakes and a machine's failures: one clear line, the right exit code, and what was done is kept."""

import errno
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from artv import files

RUN = ("--ablation", "noise", "--out", "run")


def is_one_line(outcome):
    last = outcome.err.strip().splitlines()[-1]
    return last.startswith("artv-eval: ") and "Traceback" not in outcome.err and outcome.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ablation", "noize"), ["unknown ablation 'noize'", "did you mean noise"]),
        ((), ["no ablation given", "noise"]),
        (("--ablation", "noise", "--protocol", "toy@2"), ["unknown protocol 'toy@2'", "did you mean toy@1"]),
        (("--ablation", "noise", "--metrics", "brightnes"), ["unknown metric", "did you mean brightness"]),
        (("--ablation", "noise", "--metrics", ","), ["--metrics names no metrics", "brightness"]),
        (("--ablation", "noise", "--executor", "seriel"), ["unknown executor", "did you mean serial"]),
        (("--ablation", "noise", "--format", "jsn"), ["unknown reporter", "did you mean json"]),
        (("--ablation", "noise", "--preset", "shape", "--protocol", "toy@1"), ["preset is 'shape'", "shapes, paper"]),
        (("--ablation", "noise", "--frames", 0), ["--frames is 0", "at least 2"]),
        (("--ablation", "noise", "--num-videos", 0), ["--num-videos is 0", "at least 2"]),
        (("--ablation", "noise", "--steps", 0), ["--steps is 0", "at least 1"]),
        (("--ablation", "noise", "--batch-size", 0), ["--batch-size is 0"]),
        (("--ablation", "noise", "--device", "gpu"), ["--device is 'gpu'", "cpu, cuda or cuda:N"]),
        (("--ablation", "noise", "--device", "mps"), ["--device is 'mps'", "cpu, cuda or cuda:N"]),
        (("--ablation", "noise", "--device", "cuda:99"), ["--device is 'cuda:99'", "use --device cpu"]),
        (("--ablation", "noise", "--seed", -1), ["--seed is -1"]),
        (("--ablation", "noise", "--shard", "3/2"), ["--shard is '3/2'", "1/4"]),
        (("--ablation", "noise", "--shard", "half"), ["--shard is 'half'"]),
        (("--ablation", "noise", "--set", "noisy.strenth=3"), ["noisy has no setting 'strenth'", "strength"]),
        (("--ablation", "noise", "--set", "noisy.steps=many"), ["noisy.steps is 'many'", "valid integer"]),
        (("--ablation", "noise", "--set", "noisy.steps=true"), ["noisy.steps is", "integer"]),
        (("--ablation", "noise", "--set", "real.steps=3"), ["real has no setting 'steps'; there are none"]),
        (("--ablation", "noise", "--set", "nosy.steps=3"), ["nothing of this run is named 'nosy'", "noisy"]),
        (("--ablation", "noise", "--set", "noise.mutch=3"), ["noise.mutch", "no noise here", "did you mean much"]),
        (("--ablation", "noise", "--set", "method.strenth=3"), ["method.strenth", "did you mean strength"]),
        (("--ablation", "noise", "--set", "steps=3"), ["--set is 'steps=3'", "component.field=value"]),
        (("--ablation", "noise", "--settings", "none.yaml"), ["settings file none.yaml does not exist"]),
    ],
)
def test_a_mistake_in_the_request_is_one_line_and_exit_2(toy, made, arguments, words):
    outcome = toy(*arguments)
    assert outcome.code == 2 and is_one_line(outcome), outcome.err
    assert all(word in outcome.err for word in words), outcome.err
    assert made() == [] and not Path("runs").exists()


def test_an_option_that_does_not_exist_names_the_closest(toy):
    outcome = toy("--ablaton", "noise")
    assert outcome.code == 2 and "--ablation" in outcome.err
    assert outcome.err.startswith("artv-eval sweep: no such option") and outcome.err.count("\n") == 1
    assert outcome.err.rstrip().endswith("; see artv-eval sweep --help")


def test_an_option_about_plugins_without_its_value_is_one_line(cli):
    outcome = cli("sweep", "-p")
    assert outcome.code == 2 and is_one_line(outcome) and "expected one argument" in outcome.err
    for option, value in (("-p", ""), ("-p", " \t"), ("--plugins-dir", "")):
        outcome = cli("plugins", "list", option, value)
        assert outcome.code == 2 and is_one_line(outcome)
        assert f"{option} is {value!r}; give what it is for" in outcome.err


@pytest.mark.parametrize("text", ["noisy: 3", "- noisy", "noisy: {steps: ["])
def test_a_settings_file_of_another_form_is_named(toy, text):
    Path("mine.yaml").write_text(text)
    outcome = toy("--ablation", "noise", "--settings", "mine.yaml")
    assert outcome.code == 2 and is_one_line(outcome) and "settings file mine.yaml" in outcome.err


def test_settings_from_yaml_reach_components_and_set_wins(toy):
    Path("mine.yaml").write_text("noisy: {steps: 5, masked: true}\nnoise: {much: 30}\n")
    plan = toy(*RUN, "--settings", "mine.yaml", "--set", "noisy.steps=6")
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert plan.code == 0
    settings = {cell["cell"]: cell["method"]["settings"] for cell in manifest["cells"]}
    assert settings["noise=much"] == {"masked": True, "steps": 6, "strength": 30.0}


@pytest.mark.parametrize("out", ["a-file", "a-file/below", "/proc/nowhere/run"])
def test_a_folder_that_cannot_be_written_to(toy, made, out):
    Path("a-file").write_text("")
    outcome = toy("--ablation", "noise", "--out", out)
    assert outcome.code == 2 and is_one_line(outcome) and f"--out is '{out}'" in outcome.err
    assert made() == []


def test_a_disk_that_fills_up_while_writing_keeps_what_was_done(toy, made, monkeypatch):
    """From the fourth on, writing a clip fails as it does on a full disk."""
    real, writes = os.fsync, []

    def full(handle):
        written = Path(f"/proc/self/fd/{handle}").readlink()
        if "clips" in written.parts:
            writes.append(written)
        if len(writes) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/clips")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    outcome = toy(*RUN)
    assert outcome.code == 1 and is_one_line(outcome) and "disk full: run/clips" in outcome.err
    kept = list(Path("run/clips").glob("*/*.npz"))
    assert len(kept) == 3 and not list(Path().rglob(f"{files.PREFIX}*"))  # no half-written file is left
    monkeypatch.setattr(files.os, "fsync", real)
    before = len(made())
    assert toy(*RUN).code == 0
    again = [line for line in made()[before:] if line.startswith(("2.0", "40.0"))]
    assert len(again) == 12 - len(kept)


def test_a_really_full_disk(toy, tmp_path):
    """On a file system of 64 KiB, where one can be mounted."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs privileges that this user has not")
    try:
        outcome = toy("--ablation", "noise", "--num-videos", 40, "--out", small / "run")
        kept = list((small / "run").glob("clips/*/*.npz"))
        assert outcome.code == 1 and is_one_line(outcome) and "disk full" in outcome.err
        assert kept and all(len(np.load(path)["frames"]) == 4 for path in kept)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_read_only_folder_inside_the_run(toy, monkeypatch):
    """The run itself can be written to, or it would have been refused before any work."""
    real = Path.open

    def refused(path, mode="r", *rest, **more):
        if "x" in mode and "clips" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", "run/clips/x")
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(files.Path, "open", refused)
    outcome = toy(*RUN)
    assert outcome.code == 1 and is_one_line(outcome) and "not writable: run/clips/x" in outcome.err


def test_a_truncated_clip_is_made_again(toy, made):
    first = json.loads(toy(*RUN, "--format", "json").out)
    victim = sorted(Path("run/clips").glob("*/000001.npz"))[0]
    victim.write_bytes(victim.read_bytes()[:100])
    before = len(made())
    second = json.loads(toy(*RUN, "--format", "json").out)
    assert second == first and len(made()) - before <= 1


def test_clips_with_damaged_bytes_are_named_and_made_again(toy):
    toy(*RUN, "--metrics", "brightness")
    whole = json.loads(toy("--ablation", "noise", "--out", "other", "--metrics", "distance", "--format", "json").out)
    for victim in Path("run/clips").glob("*/000001.npz"):
        data = bytearray(victim.read_bytes())
        data[60:90] = bytes(30)
        victim.write_bytes(data)
    outcome = toy(*RUN, "--metrics", "distance", "--format", "json")
    assert outcome.code == 0 and json.loads(outcome.out)["rows"] == whole["rows"]
    assert "000001.npz is damaged" in outcome.err and len(list(Path("run/clips").glob("*/*.damaged"))) == 5


@pytest.mark.parametrize("name", ["manifest.json", "results.json"])
def test_a_damaged_run_folder_is_one_line(toy, cli, name):
    toy(*RUN)
    Path("run", name).write_text('{"schema": ')
    outcome = cli("report", "run")
    if name == "results.json":
        assert outcome.code == 2 and is_one_line(outcome) and "is damaged" in outcome.err
    again = toy(*RUN)
    assert (again.code == 0) if name == "results.json" else (again.code == 2 and "is damaged" in again.err)


def test_rows_that_are_damaged_are_made_again(toy):
    first = json.loads(toy(*RUN, "--format", "json").out)
    for path in Path("run/features").rglob("*.npz"):
        path.write_bytes(b"nothing")
    assert json.loads(toy(*RUN, "--format", "json").out) == first


def test_a_run_of_a_newer_version_is_refused(toy):
    toy(*RUN)
    Path("run/manifest.json").write_text('{"schema": 99}')
    outcome = toy(*RUN)
    assert outcome.code == 2 and "written by a newer artv_eval" in outcome.err


@pytest.mark.parametrize(
    ("content", "words"),
    [("{}", "not what this version writes"), ("[]", "is damaged"), ("nonsense", "is damaged")],
)
def test_report_of_something_else(cli, content, words):
    Path("run").mkdir()
    Path("run/results.json").write_text(content)
    outcome = cli("report", "run")
    assert outcome.code == 2 and is_one_line(outcome) and words in outcome.err


def test_report_of_no_run_and_of_an_unfinished_one(toy, cli):
    assert "does not exist" in cli("report", "nowhere").err
    toy(*RUN)
    Path("run/results.json").unlink()
    outcome = cli("report", "run")
    assert outcome.code == 1 and "is not finished; run its command again" in outcome.err


@pytest.mark.parametrize("html", ["/proc/nowhere.html", "a-file/page.html", "folder"])
def test_a_page_that_cannot_be_written_is_a_mistake_and_names_no_temporary_file(toy, cli, html):
    toy(*RUN)
    Path("a-file").write_text("")
    Path("folder").mkdir()
    outcome = cli("report", "run", "--html", html)
    assert outcome.code == 2 and is_one_line(outcome), outcome.err
    assert f"--html is '{html}', which cannot be written to (" in outcome.err and "/." not in outcome.err


def test_an_error_of_writing_is_that_of_the_file_not_of_a_temporary_one(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_atomically(tmp_path / "there", b"")
    assert caught.value.filename == str(tmp_path / "there")


def test_two_protocols_are_never_put_in_one_column(toy, cli):
    toy(*RUN)
    toy("--ablation", "noise", "--out", "other", "--set", "protocol.salt=1")
    outcome = cli("report", "run", "other")
    assert outcome.code == 2 and is_one_line(outcome) and "their values do not compare" in outcome.err
    assert cli("report", "run", "run").code == 0

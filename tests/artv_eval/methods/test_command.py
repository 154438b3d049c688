"""Programs of other environments: real ones, whose faults really happen."""

import gc
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from artv.errors import UserError
from artv.video import write_video
from artv_eval import FailedClip, testing
from artv_eval.files.decoding import Decoders
from artv_eval.methods.command import Command
from artv_eval.methods.written_clips import read_clip

EXAMPLE = Path(__file__).parents[3] / "plugins" / "artv-example" / "programs" / "shake.yaml"
FAULTY = Path(__file__).with_name("faulty_program.py")


@pytest.fixture
def example(monkeypatch):
    """The committed file says ``python``: here it is the one that runs the tests."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return str(EXAMPLE)


@pytest.fixture
def faulty(tmp_path):
    """Makes the method of a program that does what prompts say."""

    def make(start="ready", **fields):
        program = [sys.executable, str(FAULTY), start, str(tmp_path / "log")]
        path = tmp_path / "faulty.yaml"
        path.write_text(yaml.safe_dump({"program": program, "files": "{index}.npy", **fields}), encoding="utf-8")
        return Command(str(path))

    return make


def asked(*prompts):
    (first,) = testing.toy_requests(1, frames=2)
    return [replace(first, index=10 + i, seed=50 + i, prompt=prompt) for i, prompt in enumerate(prompts)]


def reasons(method, *prompts):
    """Prompt → why there is no clip; those that are there are what was asked for."""
    requests = asked(*prompts)
    clips = list(method.generate(requests))
    assert len(clips) == len(requests)
    for request, clip in zip(requests, clips, strict=True):
        if not isinstance(clip, FailedClip):
            assert request.prompt == "good" and (clip.frames == request.seed).all() and clip.seconds > 0
    return {r.prompt: c.reason for r, c in zip(requests, clips, strict=True) if isinstance(c, FailedClip)}


def test_the_example_holds_the_contract_of_methods(example):
    testing.check_method(Command, settings={"file": example})


def test_faults_cost_their_clips_and_are_named(faulty):
    method = faulty(batch=4, seconds=20)
    found = reasons(
        method, "good", "crash", "good", "size", "few", "float", "good", "broken",
        "text", "good", "stranger", "error", "nothing", "absent", "exit", "good",
    )  # fmt: skip
    assert found.keys() == {
        "crash", "size", "few", "float", "broken", "text", "stranger", "error", "nothing", "absent", "exit",
    }  # fmt: skip
    assert found["crash"] == (
        "the program was ended by SIGSEGV; its stderr ends: a line | CUDA error: an illegal memory access"
    )
    assert found["exit"].startswith("the program ended with exit code 3; its stderr is empty")
    assert "wrote 'Loading checkpoint shards: 100%' to its stdout, where an object of JSON" in found["text"]
    assert "answered for index 999" in found["stranger"]
    assert "is 64×72 (width × height); 64×64 is due" in found["size"]
    assert "has 1 frames; 2 are due" in found["few"]
    assert "is float64 (2, 64, 64, 3); it must be uint8" in found["float"]
    assert "cannot be read" in found["broken"]
    assert "is no array of numpy's" in found["absent"]
    assert found["error"] == "the program says: the prompt is not allowed"
    assert "neither 'file' nor 'error'" in found["nothing"]
    assert not list(method._folder().iterdir())  # of other endings than asked for, too


def test_a_clip_is_never_read_from_a_file_of_another(faulty):
    """Each would be a clip of another prompt and seed, which nothing shows later."""
    method = faulty(batch=2, seconds=20)
    found = reasons(method, "for the next", "for the last")
    assert "named 11.npy as the clip's file, where " in found["for the next"]
    assert "named 10.npy as the clip's file, where " in found["for the last"]
    assert (
        "one.npy for 2 clips of a batch; each is due in its own"
        in reasons(method, "one place", "one place")["one place"]
    )
    alone = faulty(batch=1, seconds=20)
    first, again, old = alone.generate(asked("one place", "one place", "old"))
    assert [int(clip.frames.max()) for clip in (first, again)] == [50, 51]  # read before the next was asked for
    assert "which is as it was when an earlier clip was read from it" in old.reason


def test_what_is_no_text_or_no_path_is_told_in_what_every_file_takes(faulty):
    found = reasons(faulty(seconds=20), "surrogate", "no path")
    assert found["surrogate"] == "the program says: ? is no text"
    assert found["no path"] == "the program's answer has neither 'file' nor 'error'"


def test_a_hang_is_ended_and_the_program_started_anew(faulty):
    started = time.monotonic()
    found = reasons(faulty(seconds=4), "hang", "good")
    assert found == {"hang": "the program gave no answer within 4 s; its stderr is empty"}
    assert time.monotonic() - started < 60


def test_all_of_its_processes_end_with_it(faulty, tmp_path):
    method = faulty()
    assert not reasons(method, "good", "good")  # one program for both batches
    (pids,) = (tmp_path / "log").read_text().splitlines()
    assert [alive(int(pid)) for pid in pids.split()] == [True, True]
    del method
    gc.collect()
    assert [alive(int(pid)) for pid in pids.split()] == [False, False]


def alive(pid):
    """Whether a process is there and is no zombie, which who is to be its parent now has to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("exit", "ended with exit code 3"),
        ("text", "wrote 'Loading checkpoint shards"),
        ("error", r"began with \{'index': 0, .*\"ready\": true"),
    ],
)
def test_a_program_that_does_not_start_costs_the_cell(faulty, tmp_path, start, why):
    method = faulty(start)
    for _ in range(2):
        with pytest.raises(UserError, match=rf"faulty\.yaml did not start: the program {why}"):
            list(method.generate(asked("good")))
    assert len((tmp_path / "log").read_text().splitlines()) == 1  # the second time it is not tried


def test_sweeps_name_what_failed_and_go_on(cli, example, faulty, tmp_path):
    faulty("exit")
    names = json.dumps(["artv", f"command:{example}", f"command:{tmp_path / 'faulty.yaml'}"])
    outcome = cli(
        "sweep", "--ablation", "baselines", "--set", f"baselines.names={names}", "--set", "artv.steps=1", "--metrics",
        "flicker,seconds", "--num-videos", "2", "--frames", "3", "--out", tmp_path / "run", "--format", "json",
    )  # fmt: skip
    rows = {(row["cell"].rpartition("/")[2], row["metric"]): row for row in json.loads(outcome.out)["rows"]}
    assert outcome.code == 1 and "ended with exit code 3" in rows["faulty.yaml", "flicker"]["status"]
    assert rows["shake.yaml", "flicker"]["status"] == rows["shake.yaml", "seconds"]["status"] == "ok"
    assert rows["artv", "flicker"]["status"] == "ok"


def test_mistakes_in_the_file_are_named(tmp_path):
    path = tmp_path / "m.yaml"
    for text, why in {
        "program: python serve.py": "list of the program and its arguments",
        "program: []": "field 'program'",
        "folder: .": "field 'program' is missing",
        "program: [a]\nsecond: 3": "unknown field 'second'; did you mean seconds",
        "program: [a]\nseconds: 0": "field 'seconds' is 0",
        "program: [a]\nfiles: '../{index}.mp4'": "field 'files'",
        "program: [a]\nfiles: clip.mp4": "field 'files'",
    }.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=rf"command file .*m\.yaml: .*{why}"):
            Command(str(path))
    with pytest.raises(UserError, match=r"command file nowhere\.yaml does not exist"):
        Command("nowhere.yaml")
    for text, why in {
        "program: [no-such-program]": "program 'no-such-program' is not here",
        "program: [ls]\nfolder: gone": "gone does not exist",
        "program: [ls]\ndepends: [w.pt]": r"w\.pt, which it depends on, does not exist",
    }.items():
        path.write_text(text, encoding="utf-8")
        assert why.replace("\\", "") in (Command(str(path)).unavailable() or "")


def test_digests_follow_what_clips_depend_on(tmp_path):
    def digest(**fields):
        path = tmp_path / "m.yaml"
        path.write_text(yaml.safe_dump({"program": ["ls"], "depends": ["w"], **fields}), encoding="utf-8")
        return Command(str(path)).digest()

    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.pt").write_bytes(b"weights")
    first = digest()
    assert digest(seconds=5, start_seconds=7, scratch=str(tmp_path)) == first  # other limits, the same clips
    assert len({first, digest(program=["ls", "-l"]), digest(environment={"STEPS": 4}), digest(batch=2)}) == 4
    (tmp_path / "w" / "a.pt").write_bytes(b"other weights")
    assert digest() != first


def test_environment_is_added_to_and_taken_from(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    path = tmp_path / "m.yaml"
    path.write_text("program: [ls]\nenvironment: {STEPS: 4, PYTHONPATH: null}", encoding="utf-8")
    environment = Command(str(path), device="cuda:1")._environment()
    assert environment["STEPS"] == "4" and environment["ARTV_DEVICE"] == "cuda:1" and "PYTHONPATH" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_what_programs_write_is_read(tmp_path):
    (request,) = testing.toy_requests(1, frames=4)
    real = request.real
    np.save(tmp_path / "clip.npy", real)
    for t, frame in enumerate([*real, real[0]]):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / "pictures" / f"frame{t + 8}.png")  # 8, 9, 10 …: no order of texts
    write_video(tmp_path / "fast.mp4", np.repeat(real, 3, axis=0), fps=3 * request.fps)
    with Decoders(0) as decoders:
        for name, tolerance in {"clip.npy": 0, "pictures": 0, "fast.mp4": 6}.items():
            read = read_clip(tmp_path / name, request, decoders, "pyav")
            assert read.shape == real.shape and abs(read.astype(float) - real).mean() <= tolerance
        Image.fromarray(np.zeros((64, 64), np.uint16)).save(tmp_path / "pictures" / "frame8.png")
        with pytest.raises(UserError, match="must have 8 bits a channel"):
            read_clip(tmp_path / "pictures", request, decoders, "pyav")
        (tmp_path / "pictures" / "last.png").write_bytes(b"")
        with pytest.raises(UserError, match="no number in its name"):
            read_clip(tmp_path / "pictures", request, decoders, "pyav")

"""Where a run was made, as git and the machine say; and what a protocol asked for, as a digest."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from scored import scored

from artv_eval.api import ClipRequest
from artv_eval.protocols.sources import Lazy
from artv_eval.results.store import RunStore
from artv_eval.sweep.provenance import git_state, hardware, made_on, making, mixed_threads, requests_digest


def ready(name):
    """A cell with a method, which is only named here."""
    method = type("Recipe", (), {"to_dict": lambda self: {"name": name}})()
    return replace(scored(name, None).cell, method=method)


def git(folder, *words):
    identity = ("-c", "user.name=n", "-c", "user.email=e@x")
    done = subprocess.run(["git", "-C", folder, *identity, *words], capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


def test_a_commit_is_named_and_changes_of_its_files_are_noticed(tmp_path):
    assert git_state(tmp_path / "no folder") is None and git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "one")
    found = git_state(tmp_path)
    assert found == {"folder": str(tmp_path), "commit": git(tmp_path, "rev-parse", "HEAD"), "changed": False}
    (tmp_path / "beside.txt").write_text("a new file is no change of the code", encoding="utf-8")
    assert git_state(tmp_path)["changed"] is False
    (tmp_path / "a.py").write_text("x = 2\n", encoding="utf-8")
    assert git_state(tmp_path)["changed"] is True


def test_a_processor_has_a_name():
    found = hardware("cpu")
    assert found.keys() == {"device", "host"} and all(text.strip() for text in found.values())


def asked(number, **changes):
    request = ClipRequest(index=0, prompt="a", seed=0, num_frames=4, height=8, width=8, fps=8.0)
    return [replace(request, index=i, seed=i, **changes) for i in range(number)]


@pytest.mark.parametrize(
    "other",
    [
        asked(9), asked(10, prompt="b"), asked(10, num_frames=5), asked(10, height=9), asked(10, width=9),
        [replace(request, seed=request.seed + 1) for request in asked(10)], asked(10)[::-1],
    ],
)  # fmt: skip
def test_other_requests_have_another_digest(other):
    assert requests_digest(asked(10)) == requests_digest(asked(10)) != requests_digest(other)


@pytest.mark.parametrize(("number", "looked_at"), [(10, 10), (64, 64), (65, 33), (2048, 64), (40_960, 64)])
def test_of_many_requests_a_few_are_rendered_evenly_spread(number, looked_at):
    seen = []

    def make(i):
        seen.append(i)
        return replace(asked(1)[0], index=i)

    requests_digest(Lazy(number, make))
    assert len(seen) == looked_at and seen == list(range(0, number, seen[1]))


def test_seconds_that_were_taken_by_other_numbers_of_threads_are_told(tmp_path):
    store, cells = RunStore(tmp_path), [ready(name) for name in ("on", "off")]
    for cell in cells:
        store.note_making(cell.id, range(4), {"device": "CPU", "host": "a", "threads": 2})
    assert mixed_threads(store, cells, range(4)) == []
    store.note_making(cells[1].id, [3], {"device": "CPU", "host": "a", "threads": 1})
    (line,) = mixed_threads(store, cells, range(4))
    assert "other numbers of threads (on: 2; off: 1 and 2)" in line
    assert mixed_threads(store, cells, range(3)) == []  # not of clips that nobody looks at
    store.note_making(cells[1].id, [3], {"device": "CPU", "host": "a"})  # by an older version
    assert mixed_threads(store, cells, range(4)) == [] and making("cpu")["threads"] >= 1


def test_clips_are_counted_by_what_made_them(tmp_path):
    store = RunStore(tmp_path)
    store.note_making("cell", [0, 1, 2], {"device": "GPU", "host": "one"})
    store.note_making("cell", [2, 3], {"device": "GPU", "host": "two"})  # made again: the last one counts
    assert made_on(store, "cell", range(6)) == {"GPU @ one": 2, "GPU @ two": 2, "not noted": 2}
    assert made_on(store, "other", range(2)) == {"not noted": 2}


def test_clips_that_were_made_on_several_devices_are_told(toy):
    """By a run whose clips another machine made in part: half of one cell, then all of one cell alone."""
    command = ("--ablation", "noise", "--no-sanity", "--out", "run", "--store", "store", "--format", "json")

    def notes():
        return [note for note in json.loads(toy(*command).out)["notes"] if "kinds of device" in note]

    assert notes() == []
    made = sorted(Path("store/made").iterdir())[0]
    before = made.read_text(encoding="utf-8")
    with made.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"indices": [0, 1], "device": "NVIDIA H200", "host": "there"}) + "\n")
    (note,) = notes()
    here = hardware("cpu")["device"]
    assert note.startswith("noise: its clips were made on 2 kinds of device,") and "2 on NVIDIA H200" in note
    assert f"4 on {here}" in note and f": 6 on {here}" in note
    elsewhere = [json.loads(line) | {"device": "NVIDIA H200"} for line in before.splitlines()]
    made.write_text("".join(json.dumps(line) + "\n" for line in elsewhere), encoding="utf-8")
    (note,) = notes()
    assert ": 6 on NVIDIA H200" in note and f": 6 on {here}" in note
    elsewhere = [line | {"host": "a third"} for line in elsewhere]  # of one name, on several machines
    for file in Path("store/made").iterdir():
        file.write_text("".join(json.dumps(line) + "\n" for line in elsewhere), encoding="utf-8")
    assert notes() == []

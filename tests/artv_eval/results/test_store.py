"""The run folder: what is kept comes back exactly, what is damaged is set aside, and nobody else's file is taken."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from artv.errors import UserError, WorkFailed
from artv_eval.api import ClipRequest, GeneratedClip
from artv_eval.results.documents import write_json
from artv_eval.results.store import FILES, FOLDERS, DamagedClip, RunStore, has_faults


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "run")


def clip(seed=0, frames=3):
    rng = np.random.default_rng(seed)
    return GeneratedClip(
        rng.integers(0, 256, (frames, 4, 6, 3), np.uint8),
        rng.random((frames - 1, 2, 2), np.float32),
        0.25,
        rng.integers(0, 256, (5, frames - 1, 2, 2), np.uint8),
    )


@pytest.mark.parametrize("left_out", [(), ("mask",), ("seconds", "mask_steps"), ("mask", "seconds", "mask_steps")])
def test_a_clip_comes_back_exactly(store, left_out):
    given = GeneratedClip(**{name: None if name in left_out else value for name, value in vars(clip()).items()})
    store.save_clip("cell", 7, given)
    found = store.load_clip("cell", 7)
    for name, value in vars(given).items():
        other = getattr(found, name)
        assert (other is None) == (value is None) and (value is None or np.array_equal(other, value)), name


def test_what_is_missing_is_known_without_opening_a_clip(store):
    assert store.missing("cell", range(4)) == [0, 1, 2, 3]
    store.save_clip("cell", 2, clip())
    assert store.missing("cell", range(4)) == [0, 1, 3]
    path = store.clip_path("cell", 2)
    path.write_bytes(path.read_bytes()[:-30])  # cut off
    assert store.missing("cell", range(4)) == [0, 1, 2, 3]


def test_the_fingerprint_is_of_the_pictures_not_of_the_time_they_took(store):
    given = clip()
    store.save_clip("a", 0, given)
    store.save_clip("b", 5, GeneratedClip(given.frames, given.mask, 99.0))
    store.save_clip("c", 0, clip(1))
    assert store.fingerprint("a", 0) == store.fingerprint("b", 5) != store.fingerprint("c", 0)
    assert store.fingerprint("a", 1) is None


def test_a_changed_file_has_another_fingerprint(store):
    store.save_clip("a", 0, clip())
    before = store.fingerprint("a", 0)
    store.save_clip("a", 0, clip(1))
    assert store.fingerprint("a", 0) != before


@pytest.mark.parametrize("harm", ["flip", "cut", "other"])
def test_a_damaged_clip_is_set_aside_and_made_again(store, harm):
    store.save_clip("cell", 3, clip())
    path = store.clip_path("cell", 3)
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[len(data) // 3] ^= 16
    path.write_bytes(data if harm == "flip" else data[:-40])
    if harm == "other":  # a whole file in a wrong place
        store.save_clip("cell", 4, clip(1))
        store.clip_path("cell", 4).replace(path)
    with pytest.raises(DamagedClip, match=r"000003.npz is damaged .*; it was set aside, the rest is kept") as caught:
        store.load_clip("cell", 3)
    assert store.missing("cell", [3]) == [3] and path.with_suffix(".damaged").is_file()
    again = pickle.loads(pickle.dumps(caught.value))  # as a worker sends it
    assert (str(again), again.path) == (str(caught.value), path)
    with pytest.raises(WorkFailed, match=r"000003.npz is gone; run the same command again"):
        store.load_clip("cell", 3)


def test_a_clip_of_another_size_than_asked_for_is_damaged(store):
    requests = [
        ClipRequest(index=i, prompt="a", seed=0, num_frames=frames, height=4, width=6, fps=8.0)
        for i, frames in enumerate((3, 2))
    ]
    for i in range(2):
        store.save_clip("cell", i, clip(i))
    clips = store.clips("cell", requests)
    assert np.array_equal(clips[0][1].frames, clip(0).frames)
    with pytest.raises(DamagedClip, match=r"frames \(3, 4, 6, 3\), which should be \(2, 4, 6, 3\)"):
        clips[1]


def test_damage_of_many_is_found_at_once(store):
    for i in range(4):
        store.save_clip("cell", i, clip(i))
    for i in (1, 3):
        path = store.clip_path("cell", i)
        path.write_bytes(path.read_bytes().replace(b"frames", b"frumes"))
    store.set_aside_damaged("cell", range(6))
    assert store.missing("cell", range(4)) == [1, 3]


def test_failures_are_kept_until_the_clip_is_there(store):
    store.save_failure("cell", 1, "not\nfinite")
    store.save_failure("cell", 2, "not finite")
    old = store.root / "clips" / "cell" / "000005.failed"  # where older versions kept it
    old.parent.mkdir(parents=True)
    old.write_text("older", encoding="utf-8")
    assert store.failures("cell", range(9)) == {1: "not finite", 2: "not finite", 5: "older"}
    store.save_clip("cell", 2, clip())
    assert store.failures("cell", [0, 1, 2]) == {1: "not finite"} and has_faults(store.root) == (True, True)
    store.forget_faults(["cell"])
    assert store.failures("cell", range(9)) == {} and has_faults(store.root) == (False, False)


def test_a_fault_is_a_line_and_its_trace_is_in_the_file(store):
    assert store.fault("cell") is None
    store.save_fault("cell", "ValueError:\n no frames", "Traceback …\n  line 1")
    assert store.fault("cell") == "ValueError: no frames"
    assert "line 1" in (store.root / "faults" / "cell.txt").read_text(encoding="utf-8")


def test_of_several_notes_of_making_the_last_counts_and_a_cut_off_one_for_nothing(store):
    store.note_making("cell", [0, 1], {"device": "a"})
    store.note_making("cell", [1], {"device": "b"})
    (path,) = store.root.glob("made/*.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"indices": [0, 1], "devi')
    assert store.made_on("cell") == {0: {"device": "a"}, 1: {"device": "b"}}


def test_what_is_sent_goes_only_where_it_belongs(store, tmp_path):
    store.unpack({"clips/cell/000000.npz": b"x", "../outside": b"x", "cells/x.json": b"x", "clips/../../up/y": b"x"})
    kept = [path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()]
    assert kept == ["clips/cell/000000.npz"] and not (tmp_path / "up").exists() and not (tmp_path / "outside").exists()


def test_a_folder_keeps_its_id_and_two_have_not_the_same(store, tmp_path):
    other = RunStore(tmp_path / "other")
    for one in (store, other, store):
        one.identify()
    ids = [(root / "run.id").read_text(encoding="utf-8") for root in (store.root, other.root)]
    store.identify()
    assert ids[0] != ids[1] and (store.root / "run.id").read_text(encoding="utf-8") == ids[0]


def test_a_cell_says_what_its_id_is_the_hash_of(store):
    store.save_cell("cell", {"method": "artv"})
    store.save_cell("cell", {"method": "else"})  # the id stands for what was there first
    assert json.loads((store.root / "cells" / "cell.json").read_text(encoding="utf-8"))["method"] == "artv"


@pytest.mark.parametrize("schema", [2, "x"])
def test_a_folder_of_a_newer_version_is_left_alone(tmp_path, schema):
    write_json(tmp_path / "manifest.json", {"schema": schema})
    with pytest.raises(UserError, match="was written by a newer artv_eval; upgrade artv, or give another folder"):
        RunStore(tmp_path)


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="--out"):
        RunStore(tmp_path / "run")


def test_looking_writes_nothing(tmp_path):
    store = RunStore(tmp_path / "run", to_read=True)
    assert store.missing("cell", [0]) == [0] and store.failures("cell", [0]) == {} and store.made_on("cell") == {}
    assert not (tmp_path / "run").exists()


RUN = ("--ablation", "noise", "--out", "run")


@pytest.mark.parametrize("name", [*FOLDERS, "clips/0123abcd", "features/0123abcd"])
def test_a_file_where_a_folder_belongs(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=f"{name} is a file where a folder of the run belongs; remove it, or give"):
        RunStore(tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_belongs(tmp_path, name):
    (tmp_path / name / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name} is no file, where one of the run belongs; remove it, or give"):
        RunStore(tmp_path)
    assert (tmp_path / name / "mine").is_dir()


@pytest.mark.parametrize("name", ["results.json", "report.html", "gallery.json", "clips", "clips/x"])
def test_a_sweep_finds_it_before_it_makes_a_clip(toy, made, name):
    place = Path("run", name)
    place.parent.mkdir(parents=True)
    place.mkdir() if place.suffix else place.touch()
    outcome = toy(*RUN)
    assert outcome.code == 2 and made() == [] and outcome.out == ""
    assert outcome.err.count("\n") == 1 and outcome.err.startswith(f"artv-eval: {place} is ")

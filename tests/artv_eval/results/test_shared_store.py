"""One store for many sweeps: nothing twice, nothing of other code, an index that may be lost, no loss by gc."""

import json
import os
import shutil
import sqlite3
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from artv_eval.plugins import code
from artv_eval.results.clip_index import ClipIndex
from artv_eval.results.shared_store import SharedStore
from artv_eval.results.store import RunStore

NOISE = ("--ablation", "noise", "--format", "json")


def clips_made(made):
    return [line for line in made() if not line.startswith("describe")]


def test_another_run_folder_makes_and_describes_nothing_again(toy, made):
    one = json.loads(toy(*NOISE, "--out", "one").out)
    before = made()
    two = json.loads(toy(*NOISE, "--out", "two").out)
    assert two["rows"] == one["rows"] and made() == before and len(before) > 12
    fewer = ("--num-videos", 4, "--metrics", "brightness", "--out", "elsewhere/three")
    assert toy(*NOISE, *fewer, "--store", "store").code == 0 and clips_made(made) == [
        line for line in before if not line.startswith("describe")
    ]
    for path in Path("one/clips").glob("*/*.npz"):
        assert (
            path.resolve() == Path("two", *path.parts[1:]).resolve()
            and Path("store").resolve() in path.resolve().parents
        )


def test_run_and_store_can_move_together_and_a_run_finds_another_store(toy, made):
    toy(*NOISE, "--out", "here/run")
    before = made()
    Path("here").rename("there")
    assert toy(*NOISE, "--out", "there/run").code == 0 and made() == before
    Path("there/run").rename("run")  # without its store
    assert toy(*NOISE, "--out", "run", "--store", "there/store").code == 0 and made() == before


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no other file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_a_run_folder_on_another_file_system_than_its_store(toy, cli, made, other_disk):
    run, plugins = other_disk / "run", ("--plugins-dir", Path(__file__).parents[1] / "toy")
    rows = json.loads(toy(*NOISE, "--out", run, "--store", "store").out)["rows"]
    clips = list(run.glob("clips/*/*.npz"))
    assert len(clips) == 30 and all(Path("store").resolve() in path.resolve().parents for path in clips)
    before = clips_made(made)
    assert json.loads(toy(*NOISE, "--out", run, "--store", "store").out)["rows"] == rows
    merged = cli(*plugins, "merge", run, "--out", "merged", "--store", other_disk / "store", "--format", "json")
    assert json.loads(merged.out)["rows"] == rows and clips_made(made) == before
    for path in clips:  # copies, for no link leads from one disk to another's file
        copy = Path("merged", *path.relative_to(run).parts)
        assert copy.stat().st_dev == other_disk.stat().st_dev != path.stat().st_dev
        assert copy.read_bytes() == path.read_bytes()


def test_a_folder_of_before_the_store_goes_on_as_it_is(toy, made):
    toy(*NOISE, "--out", "old")
    shutil.copytree("old", "copy")  # follows links: folders where a run has links, as all had once
    shutil.rmtree("store")
    before = made()
    assert toy(*NOISE, "--out", "copy").code == 0 and made() == before
    assert not any(path.is_symlink() for path in Path("copy").rglob("*"))
    assert toy(*NOISE, "--out", "copy", "--num-videos", 8).code == 0
    assert len(clips_made(made)) == 2 * 6 + 2 * 2 and len(list(Path("copy/clips").glob("*/*.npz"))) == 5 * 8


def test_clips_of_other_code_are_others(toy, made, monkeypatch):
    toy(*NOISE, "--out", "one")
    monkeypatch.setattr(code, "code_digest", lambda folders: "another version")
    toy(*NOISE, "--out", "two")
    assert len(clips_made(made)) == 24 and toy(*NOISE, "--out", "one").code == 0
    assert len(clips_made(made)) == 24  # what was begun goes on


@pytest.mark.parametrize("harm", ["lost", "rubbish", "truncated", "a row"])
def test_an_index_that_is_lost_or_damaged_is_made_anew(toy, made, harm):
    toy(*NOISE, "--out", "run")
    toy(*NOISE, "--out", "run")
    index, before = Path("store/index.sqlite"), made()
    with sqlite3.connect(index) as database:
        assert database.execute("SELECT count(*) FROM clips").fetchone() == (30,)
        if harm == "a row":
            database.execute("UPDATE clips SET fingerprint = 'x' || fingerprint")
    if harm == "lost":
        index.unlink()
    elif harm == "rubbish":
        index.write_bytes(b"no database" * 999)
    elif harm == "truncated":
        index.write_bytes(index.read_bytes()[:5000])
    assert toy(*NOISE, "--out", "run").code == 0 and made() == before
    with sqlite3.connect(index) as database:
        rows = database.execute("SELECT folder, number, fingerprint FROM clips").fetchall()
    assert len(rows) == 30
    for folder, number, fingerprint in rows:
        with zipfile.ZipFile(f"store/clips/{folder}/{number:06d}.npz") as archive:
            frames = archive.getinfo("frames.npy")
        assert f"frames.npy:{frames.CRC:08x}:{frames.file_size}" in fingerprint.split(",")


def test_the_index_saves_opening_clips_and_sees_one_that_changed(toy, monkeypatch):
    toy(*NOISE, "--out", "run")
    toy(*NOISE, "--out", "run")
    cell = next(Path("run/clips").iterdir()).name
    opened = []
    monkeypatch.setattr("artv_eval.results.store.checksums", lambda path, **_: opened.append(path))
    assert RunStore(Path("run"), to_read=True).missing(cell, range(6)) == [] and not opened
    path = Path(f"run/clips/{cell}/000002.npz")
    path.write_bytes(path.read_bytes()[:-1])
    assert RunStore(Path("run"), to_read=True).missing(cell, range(6)) == [2] and len(opened) == 1


def test_gc_shows_what_no_run_refers_to_and_removes_it_when_told(toy, cli, made):
    toy(*NOISE, "--out", "one")
    toy(*NOISE, "--out", "two", "--set", "noise.much=50")
    Path("far/away/from").mkdir(parents=True)
    Path("two").rename("far/away/from/moved")  # from where its links lead nowhere
    shown = cli("gc", "store")
    # noise=much=50 and its rows; the other cells are the first run's too
    assert "2 folders of clips and rows" in shown.out and "that did and are gone: 1" in shown.out
    assert f"gone, or on a disk that is not there now: {Path('two').absolute()}" in shown.out
    assert "nothing to remove" in cli("gc", "store", "--run", "far/away/from/moved").out
    before = {path: np.load(path)["frames"].sum() for path in Path("one/clips").glob("*/*.npz")}
    assert "removed: 2 folders" in cli("gc", "store", "--yes").out
    assert {path: np.load(path)["frames"].sum() for path in before} == before and len(before) == 30
    assert "nothing to remove" in cli("gc", "store").out
    mistyped = cli("gc", "stroe")
    assert mistyped.code == 2 and "store 'stroe' does not exist" in mistyped.err
    count = len(clips_made(made))
    assert toy(*NOISE, "--out", "far", "--set", "noise.much=50").code == 0 and len(clips_made(made)) == count + 6
    assert ClipIndex(Path("store/index.sqlite")).known("none") == {}


def test_gc_keeps_what_renamed_moved_and_copied_runs_refer_to(toy, cli):
    toy(*NOISE, "--out", "runs/one")
    toy(*NOISE, "--out", "runs/two", "--set", "noise.much=50")
    kept = {path for path in Path("runs/store").glob("*/*/*.npz")}
    Path("runs/one").rename("runs/renamed")
    toy("--ablation", "losing", "--out", "runs/one")  # another one where it was
    shutil.copytree("runs/two", "runs/archive/two", symlinks=True)
    shutil.rmtree("runs/two")
    for _ in range(2):  # found the first time, noted the second
        shown = cli("gc", "runs/store", "--yes")
        assert "nothing to remove" in shown.out and "that did and are gone: 0" in shown.out
    assert kept <= set(Path("runs/store").glob("*/*/*.npz"))
    shutil.rmtree("runs/renamed")
    assert "that did and are gone: 1" in cli("gc", "runs/store").out
    assert "removed: 2 folders" in cli("gc", "runs/store", "--yes").out  # noise=much and its rows


def test_what_a_run_has_begun_to_use_since_gc_looked_stays(toy, made):
    toy(*NOISE, "--out", "one")
    shutil.rmtree("one")
    store, count = SharedStore(Path("store")), len(clips_made(made))
    items = store.unnamed()
    assert len(items) == 11  # clips and rows of 5 cells, rows of the reference
    toy(*NOISE, "--out", "two", "--no-sanity")
    assert len(store.remove(items)) == 6  # of the sanity cells
    assert toy(*NOISE, "--out", "three", "--no-sanity").code == 0 and len(clips_made(made)) == count


def test_a_removal_that_was_interrupted_brings_back_what_a_run_refers_to(toy, made):
    toy(*NOISE, "--out", "one")
    count, clips = len(clips_made(made)), next(Path("store/clips").iterdir())
    clips.rename(f"store/.removed-clips.{clips.name}")
    clips.mkdir()  # a run has begun to make them anew
    assert SharedStore(Path("store")).remove([]) == [] and not list(Path("store").glob(".removed-*"))
    assert toy(*NOISE, "--out", "one").code == 0 and len(clips_made(made)) == count


def test_what_interrupted_removals_left_is_in_no_ones_way(toy, cli):
    """The same clips again, and a folder as older versions called it."""
    toy(*NOISE, "--out", "one")
    clips = next(Path("store/clips").iterdir())
    shutil.copytree(clips, f"store/.removed-clips.{clips.name}")
    Path("store/.removed-0123abcd").mkdir()
    Path("store/.claims").mkdir(exist_ok=True)
    shutil.rmtree("one")
    assert "removed: 11 folders" in cli("gc", "store", "--yes").out
    assert not list(Path("store/clips").iterdir()) and not list(Path("store").glob(".removed-*"))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda: Path("store").write_text("x"), "which is a file; give a folder"),
        (lambda: (Path("store").mkdir(), Path("store/photo.jpg").touch()), "a folder of something else"),
        (lambda: (Path("store").mkdir(), Path("store/store.json").write_text('{"schema": 2}')), "by a newer artv_eval"),
    ],
)
def test_what_is_no_store_of_ours_is_one_line(toy, made, prepare, words):
    prepare()
    outcome = toy(*NOISE, "--out", "run")
    assert outcome.code == 2 and words in outcome.err and len(outcome.err.splitlines()) == 1 and made() == []

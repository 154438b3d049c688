"""A damaged run folder never gives another value: what is read is what was written, or it is known to be damaged."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from damage import damaged

from artv.errors import UserError, WorkFailed
from artv_eval.results.documents import Gallery, Manifest, in_form, read_json, write_json
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore

RUN = ("--ablation", "noise", "--out", "run", "--set", "noisy.masked=true")


def read_all(root):
    """Everything that the harness ever reads of a run folder, by its file; None where it knows that it is damaged."""
    found = {}

    def note(path, read):
        try:
            found[str(path)] = repr(read())
        except (UserError, WorkFailed, OSError):
            found[str(path)] = None

    try:
        store = RunStore(root)
    except UserError:
        return {}
    clips = [path for path in sorted(root.glob("clips/*/*.npz"))]
    for path in clips:
        cell, index = path.parent.name, int(path.stem)
        note(path, lambda cell=cell, index=index: plain_clip(store.load_clip(cell, index)))
        store.fingerprint(cell, index)
    for path in sorted(root.glob("features/*/*.npz")):
        note(path, lambda path=path: plain_rows(store.rows(path.parent.name).load(path.stem)))
    note(root / "results.json", lambda: Results.from_dict(read_json(root / "results.json")))
    note(root / "manifest.json", lambda: read_json(root / "manifest.json", Manifest))
    note(root / "gallery.json", lambda: read_json(root / "gallery.json", Gallery))
    return found


def plain_clip(clip):
    mask = None if clip.mask is None else (clip.mask.shape, clip.mask.tobytes())
    return clip.frames.shape, clip.frames.tobytes(), mask, clip.seconds


def plain_rows(rows):
    """None for no rows at all: they are made again."""
    if not rows:
        raise WorkFailed("no rows")
    return {key: row.tolist() for key, row in rows.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "run"


@pytest.fixture
def run(folder, toy):
    """A finished run, made once and damaged often."""
    if not folder.exists():
        assert toy(*RUN).code == 0
        shutil.copytree("run", folder)
    return folder


def test_three_hundred_faults_give_no_other_value(run):
    whole, tried, noticed = read_all(run), 0, 0
    assert len(whole) > 40 and None not in whole.values()
    for seed in range(300):
        with damaged(run, np.random.default_rng(seed)) as (fault, path):
            found = read_all(run)
            for aside in run.rglob("*.damaged"):
                shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
        changed = {name for name, value in found.items() if value is not None and value != whole.get(name)}
        assert not changed, (seed, fault, changed)
        tried += str(path) in whole
        noticed += str(path) in whole and found != whole
    # the other files are for people; the other bytes mean nothing (dates, permissions)
    assert tried > 100 and noticed > 0.6 * tried


@pytest.mark.parametrize("seed", range(12))
def test_the_command_heals_it_or_names_the_file(run, toy, cli, seed):
    """After any fault the sweep gives the same rows, or one line; it never gives others, and never a traceback."""
    shutil.copytree(run, "run")
    before = json.loads((run / "results.json").read_text())["rows"]
    with damaged(Path("run"), np.random.default_rng(1000 + seed)) as (fault, path):
        shown = cli("report", "run", "--format", "json")
        again = toy(*RUN, "--format", "json")
    for outcome in (shown, again):
        assert "Traceback" not in outcome.err, (fault, path, outcome.err)
        last = (outcome.err.strip().splitlines() or [""])[-1]
        assert outcome.code == 0 or (last.startswith("artv-eval: ") and "run/" in last), (fault, path, outcome)
        assert outcome.code or json.loads(outcome.out)["rows"] == before, (fault, path)


def test_files_of_older_versions_are_read_whole_too(run, tmp_path):
    """They say neither what they are of nor their checksum: the CRC of every member is what they have."""
    store = RunStore(tmp_path / "old")
    frames, rng = np.zeros((3, 4, 4, 3), np.uint8), np.random.default_rng(0)
    path = store.clip_path("cell", 7)
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, frames=frames, seconds=np.array(1.5))
    whole = path.read_bytes()
    assert (store.load_clip("cell", 7).frames == frames).all()
    for _ in range(200):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            clip = store.load_clip("cell", 7)
        except WorkFailed:
            path.with_suffix(".damaged").unlink()
        else:
            assert (clip.frames == frames).all() and clip.seconds == 1.5


DOCUMENT = {"requests": [{"index": 0, "prompt": "a – “b”", "seed": 1, "fps": 8.0}], "more": {"2": [None, True, 0.1]}}


@pytest.fixture
def gallery(tmp_path):
    write_json(tmp_path / "gallery.json", DOCUMENT)
    return tmp_path / "gallery.json"


def test_a_document_comes_back_without_its_checksum(gallery):
    assert read_json(gallery) == DOCUMENT
    assert json.loads(gallery.read_text(encoding="utf-8")).keys() == {"sha256", *DOCUMENT}


def test_a_document_of_before_has_no_checksum_and_is_read(gallery):
    gallery.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    assert read_json(gallery) == DOCUMENT


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda text: text.replace('"seed": 1', '"seed": 2'), "its checksum is another"),
        (lambda text: text.replace('"more"', '"mere"'), "its checksum is another"),
        (lambda text: text[:-20], "Expecting"),
        (lambda text: "", "Expecting value"),
        (lambda text: "[" * 100_000, "recursion"),
        (lambda text: "[1, 2]", "it: input should be a valid dictionary"),
        (lambda text: "3", "it: input should be a valid dictionary"),
    ],
)
def test_damage_is_named_with_what_to_do(gallery, harm, why):
    gallery.write_text(harm(gallery.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=rf"(?i)gallery\.json is damaged \(.*{why}.*\); delete it and run the sweep"):
        read_json(gallery)


def test_bytes_that_are_no_text_are_damage(gallery):
    gallery.write_bytes(b"\xff\xfe\x00{" * 9)
    with pytest.raises(UserError, match=r"gallery\.json is damaged"):
        read_json(gallery)


def test_a_missing_document_asks_for_the_folder(tmp_path):
    with pytest.raises(UserError, match=re.escape(f"is {tmp_path} the folder of a finished run?")):
        read_json(tmp_path / "results.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_not_is_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": value})
    assert not list(tmp_path.iterdir())


def test_a_form_names_the_first_field_amiss(gallery):
    assert read_json(gallery, Gallery)["requests"] == DOCUMENT["requests"]
    for change, place in [({"seed": "x"}, "requests.0.seed"), ({"prompt": None}, "requests.0.prompt")]:
        amiss = {"requests": [{**DOCUMENT["requests"][0], **change}]}
        with pytest.raises(ValueError, match=f"^{re.escape(place)}: input should be a valid"):
            in_form(Gallery, amiss)
    with pytest.raises(ValueError, match=r"requests.0.fps: field required"):
        in_form(Gallery, {"requests": [{"index": 0, "prompt": "a", "seed": 1}]})


def test_keys_that_are_numbers_are_texts_and_keep_their_checksum(tmp_path):
    write_json(tmp_path / "x.json", {"values": {1: 2.0}})
    assert read_json(tmp_path / "x.json") == {"values": {"1": 2.0}}

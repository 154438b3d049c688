"""Where twins are kept: done when it says so, one trainer at a time, a digest of names and bytes."""

import fcntl
import hashlib
import shutil

import pytest

from artv.errors import UserError
from artv_eval.twins.store import TwinStore, folder_digest


def pipeline(store, training, **files):
    folder = store.checkpoint(training)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_twin_is_finished_when_its_note_is_there_and_whole(tmp_path):
    store = TwinStore(tmp_path / "twins")
    assert store.finished("abc") is None and not store.root.exists()  # nothing is written by asking
    folder = pipeline(store, "abc", weights=b"1234")
    assert store.finished("abc") is None
    store.finish("abc", {"seconds": 1.5, "device": "cpu"})
    assert store.finished("abc") == {"seconds": 1.5, "device": "cpu", "digest": folder_digest(folder)}
    for damaged in ('{"seconds": 1', "", "[]", "3"):
        (store.folder("abc") / "finished.json").write_text(damaged)
        assert store.finished("abc") is None


def test_a_digest_is_of_names_and_bytes_wherever_the_folder_is(tmp_path):
    first = pipeline(TwinStore(tmp_path / "one"), "abc", weights=b"1234", config=b"{}")
    digest = folder_digest(first)
    sha = hashlib.sha256()
    for name, data in (("config", b"{}"), ("weights", b"1234")):  # sorted
        sha.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    assert digest == sha.hexdigest()[:16]
    shutil.copytree(first, tmp_path / "elsewhere")
    assert folder_digest(tmp_path / "elsewhere") == digest
    (tmp_path / "elsewhere" / "empty").mkdir()  # a folder alone holds nothing that clips depend on
    assert folder_digest(tmp_path / "elsewhere") == digest
    (tmp_path / "elsewhere" / "weights").rename(tmp_path / "elsewhere" / "weight")
    assert folder_digest(tmp_path / "elsewhere") != digest
    (first / "weights").write_bytes(b"1235")
    assert folder_digest(first) != digest


def test_one_process_trains_a_twin_at_a_time(tmp_path):
    store = TwinStore(tmp_path / "twins")

    def free(training):
        with (store.folder(training) / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    with store.locked("abc"), store.locked("other"):  # another twin is another lock
        assert not free("abc") and not free("other")
    assert free("abc")


def test_the_room_that_is_left_is_that_of_the_disk_it_will_be_on(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    assert abs(TwinStore(tmp_path / "not" / "yet" / "there").free() - free) < 2**30
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="which is a file; give a folder"):
        TwinStore(tmp_path / "file")

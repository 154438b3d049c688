"""Weights that are not ours: found, checked, fetched only on request."""

import pytest

from artv.errors import UserError
from artv_eval.features import weights
from artv_eval.features.weights import WEIGHTS, Weight, fetch, find, main, sha256_of, status


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def known(monkeypatch, tmp_path):
    """A weight whose sum is known and whose address is a local file."""
    source = tmp_path / "source.bin"
    source.write_bytes(b"weights")
    monkeypatch.setitem(
        WEIGHTS, "toy", Weight(file="toy.bin", urls=(source.as_uri(),), what="toy", sha256=sha256_of(source))
    )
    return source


def test_absent_weights_say_where_to_put_what(folder):
    with pytest.raises(UserError, match=f"not in {folder}; fetch it with"):
        find("i3d")
    with pytest.raises(UserError, match="did you mean i3d"):
        find("i3")


def test_fetch_checks_and_keeps(known, folder):
    path = fetch("toy")
    assert path == folder / "toy.bin" and find("toy") == (path, sha256_of(known))
    known.write_bytes(b"other")
    with pytest.raises(UserError, match="delete it and fetch it again"):
        fetch("toy")
    assert path.read_bytes() == b"weights" and not list(folder.glob("*.part"))


def test_a_failed_download_leaves_nothing(known, folder):
    known.unlink()
    with pytest.raises(UserError, match="could not be downloaded"):
        fetch("toy")
    assert not list(folder.iterdir())


def test_a_file_of_unknown_sum_may_not_change(folder):
    file = folder / WEIGHTS["i3d"].file
    file.write_bytes(b"first")
    assert find("i3d")[1] == sha256_of(file)
    file.write_bytes(b"second")
    with pytest.raises(UserError, match="when it was first used"):
        find("i3d")


def test_known_first_digits_must_match(folder):
    (folder / WEIGHTS["raft"].file).write_bytes(b"no raft")
    with pytest.raises(UserError, match="begins with 01064c6d"):
        find("raft")


def test_a_weight_without_address_is_not_fetched():
    with pytest.raises(UserError, match="no public address"):
        fetch("c3d")


def test_command_lists_and_fetches(known, capsys):
    assert main([]) == 0
    assert "toy" in capsys.readouterr().out and len(status()) == len(WEIGHTS)
    assert main(["fetch", "toy"]) == 0
    assert "toy.bin" in capsys.readouterr().out
    with pytest.raises(UserError, match="fetch NAME"):
        main(["get", "toy"])


def test_nothing_is_downloaded_by_looking(monkeypatch):
    monkeypatch.setattr(weights.urllib.request, "urlopen", lambda *a, **k: pytest.fail("downloaded"))
    status()
    with pytest.raises(UserError):
        find("i3d")

"""A toy world as a one-file plugin, and the command line called in this process."""

from pathlib import Path
from typing import NamedTuple

import pytest

from artv_eval.cli import main

TOY = Path(__file__).parent / "toy"


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Calls ``artv-eval`` in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # tables do not depend on the terminal of whoever runs the tests

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code: object = 0
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return Outcome(int(code or 0), captured.out, captured.err)  # type: ignore[call-overload]

    return call


@pytest.fixture
def toy(cli):
    """``artv-eval sweep`` in the toy world."""

    def call(*arguments: object) -> Outcome:
        return cli("sweep", "--plugins-dir", TOY, "--protocol", "toy@1", "--num-videos", 6, *arguments)

    return call


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Lines noted by the toy: one for each clip made and each call of describe."""
    path = tmp_path / "made.log"
    monkeypatch.setenv("TOY_LOG", str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A place to install distributions into."""
    from distributions import Site

    return Site(tmp_path / "site", monkeypatch)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two folders of 8 clips each."""
    from video_folders import clip_file

    root = tmp_path_factory.mktemp("clips")
    for k in range(8):
        clip_file(root / "real" / f"{k}.mp4", k)
        clip_file(root / "fake" / f"{k}.mp4", 100 + k, shift=15)
    return root / "real", root / "fake"

"""Progress in a log and on a terminal; libraries' own bars while weights are read."""

import io
import sys

import pytest

from artv import progress
from artv.progress import progress_bar, quiet_loading


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_every_ten_seconds_and_the_last_one(clock, capsys):
    with progress_bar("clips", total=40) as bar:
        for done in range(1, 41):
            clock[0] += 1
            bar.update(done, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"clips: {n}/40 loss {n}" for n in (1, 12, 23, 34, 40)]


def test_what_is_not_shown_says_nothing(capsys):
    with progress_bar("clips", total=2, shown=False) as bar:
        bar.update(1)
        bar.update(2, "done")
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar_with_the_note_as_it_is(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar("clips", total=4, start=1) as bar:
        bar.update(3, "[bold]3 of 4[/bold] \x1b]0;title\x07")
    shown = stream.getvalue()
    assert "clips" in shown and "3/4" in shown and "[bold]3 of 4[/bold]" in shown and "\x1b]0;" not in shown


def test_notes_move_no_cursor_in_a_log(capsys):
    with progress_bar("clips", total=1) as bar:
        bar.update(1, "\x1b[2Jred\x07")
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("raises", [False, True])
def test_libraries_are_quiet_while_weights_are_read_and_as_before_afterwards(raises):
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_info()
    try:
        with quiet_loading():
            assert logging.get_verbosity() == logging.ERROR
            if raises:
                raise ValueError
    except ValueError:
        pass
    finally:
        found = logging.get_verbosity()
        logging.set_verbosity(before)
    assert found == logging.INFO

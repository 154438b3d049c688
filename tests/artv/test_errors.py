"""Errors as one line: what happened to which file and what to do, and the closest of the names that there are."""

import errno
import os

import pytest

from artv.errors import closest, counted, describe_os_error, in_one_line


@pytest.mark.parametrize(
    ("number", "name", "line"),
    [
        (errno.ENOSPC, "a.mp4", "disk full: a.mp4; what was finished is kept: free some space"),
        (errno.EDQUOT, None, "disk full; what was finished is kept"),
        (errno.EACCES, "a", "not writable: a (Permission denied); choose another folder"),
        (errno.EROFS, "a", "not writable: a (Read-only file system)"),
        (errno.ENOENT, "a", "No such file or directory: a"),
        (errno.EISDIR, None, "Is a directory"),
    ],
)
def test_what_the_system_says_of_a_file(number, name, line):
    error = OSError(number, os.strerror(number), *([name] if name else []))
    assert describe_os_error(error).startswith(line) and "\n" not in describe_os_error(error)


def test_an_error_without_a_number_says_what_it_says():
    assert describe_os_error(OSError("the drive is gone")) == "the drive is gone"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines\tand a tab"), "ValueError: two lines and a tab"),
        (KeyError("name"), "KeyError: 'name'"),
        (MemoryError(), "MemoryError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_error_that_nobody_foresaw(error, line):
    assert in_one_line(error) == line


@pytest.mark.parametrize(
    ("name", "options", "end"),
    [
        ("eular", ["euler", "heun"], "did you mean euler? (all: euler, heun)"),
        ("zzzz", ["b", "a"], "it must be one of a, b"),
        ("x", [], "there are none"),
        ("", ["a"], "it must be one of a"),
        ("lengths", iter(["length", "breadth"]), "did you mean length? (all: breadth, length)"),
        ("ab", ["abc", "abd", "abe", "abf"], "did you mean abf or abe or abd? (all: abc, abd, abe, abf)"),
    ],
)
def test_the_closest_names(name, options, end):
    assert closest(name, options) == end


@pytest.mark.parametrize(("number", "words"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (1003, "1003 clips")])
def test_one_of_something_is_singular(number, words):
    assert counted(number, "clip") == words

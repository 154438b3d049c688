"""What several commands share: words, checks of numbers, settings of a file and of ``--set``."""

import math
import sys

import pytest

from artv.errors import UserError
from artv_eval.cli import common
from artv_eval.plugins.manager import PluginManager, PluginOptions


@pytest.mark.parametrize(
    ("text", "found"), [(None, None), ("", ()), ("fvd", ("fvd",)), (" fvd , clipsim,,", ("fvd", "clipsim"))]
)
def test_words_are_what_is_between_commas(text, found):
    assert common.words(text) == found


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e7 + 1])
def test_a_number_above_zero(value):
    with pytest.raises(UserError, match=r"^--time-out is .*; it must be a number above 0, at most 1e\+07$"):
        common.check_above_zero(fps=None, time_out=value)
    common.check_above_zero(time_out=1e7, fps=1e-9)


@pytest.mark.parametrize("value", [-0.01, 1.0, math.nan])
def test_a_share_is_below_one(value):
    with pytest.raises(UserError, match=r"^--bad-files is .*; it must be a share from 0 to below 1"):
        common.check_share(bad_files=value)
    common.check_share(bad_files=0.0, other=0.999, none=None)


def test_counts_name_the_first_option_that_is_wrong():
    common.check_least(2, most=5, num_videos=2, frames=5, steps=None)
    with pytest.raises(UserError, match=r"--frames is 1; it must be at least 2"):
        common.check_least(2, num_videos=2, frames=1, steps=0)
    with pytest.raises(UserError, match=r"--frames is 6.*at most 5"):
        common.check_least(2, most=5, frames=6)


def test_set_wins_over_the_file_field_by_field(tmp_path):
    """Texts stay texts: which type a field has is its component's matter."""
    file = tmp_path / "settings.yaml"
    file.write_text("sampler: {churn: 0.5, eta: 1}\nfvd: {feature: i3d}\n", encoding="utf-8")
    assert common.read_settings(str(file), ["sampler.churn=0.25", "kvd.subset=100"]) == {
        "sampler": {"churn": "0.25", "eta": 1},
        "fvd": {"feature": "i3d"},
        "kvd": {"subset": "100"},
    }
    assert common.read_settings(None, []) == {}


@pytest.mark.parametrize("text", ["sampler: 3\n", "sampler: [a, b]\n"])
def test_a_file_of_another_form_is_one_line(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"must hold component: \{field: value\} and nothing else"):
        common.read_settings(str(tmp_path / "x.yaml"), [])


def test_what_libraries_print_is_not_in_the_result(capsys):
    with common.quiet_stdout():
        print("loading …")
    print("result")
    assert capsys.readouterr() == ("result\n", "loading …\n")


def test_a_line_for_the_user_is_nothing_that_a_terminal_obeys(capsys):
    common.say("a\x1b[31mb")
    assert capsys.readouterr() == ("", "a\\x1b[31mb\n")


def test_a_reader_of_a_plugin_is_named_by_where_decoding_processes_find_it(tmp_path, monkeypatch):
    (tmp_path / "quick_reader.py").write_text(
        "from artv_eval import Component, hookimpl\n\n@hookimpl\ndef register_readers():\n"
        "    return [Component('quick', 'artv.data.readers:PyAvReader', 'x')]\n",
        encoding="utf-8",
    )
    manager = PluginManager(PluginOptions(folders=(str(tmp_path),)))
    assert common.video_reader(manager, "pyav") == "pyav" and common.video_reader(manager, "decord") == "decord"
    with pytest.raises(UserError, match="did you mean"):
        common.video_reader(manager, "pyaf")
    assert "quick_reader" not in sys.modules

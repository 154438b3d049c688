"""Folders of clips of several models, compared clip by clip on the same prompts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from video_folders import EXCERPT, Means, clip_file

from artv.data.captions import read_captions
from artv.errors import UserError
from artv_eval.files.decoding import read_excerpt
from artv_eval.files.score import score_folders
from artv_eval.metrics.fvd import FvdEvaluator


class Brightness:
    """The mean grey level of a clip."""

    name, digest, higher_is_better, needs = "brightness", "b", True, frozenset()

    def describe(self, clips):
        return np.array([[clip.frames.mean()] for _, clip in clips])

    def per_clip(self, rows):
        return rows[:, 0]

    def evaluate(self, rows, reference=None):
        return float(rows[:, 0].mean())


def folder(root, seeds, *, shift=0, captions=None, prefix=""):
    for k, seed in enumerate(seeds):
        clip_file(root / f"{prefix}{k}.mp4", seed, shift=shift)
    if captions:
        lines = "".join(f"{prefix}{k}.mp4,{text}\n" for k, text in enumerate(captions))
        (root / "captions.csv").write_text(f"file,caption\n{lines}", encoding="utf-8")
    return root


def means(root, names):
    return np.array([read_excerpt(root / name, EXCERPT).frames.mean() for name in names])


def test_differences_are_those_of_files_of_one_name(tmp_path):
    """The means are numpy's, and the interval holds those of a paired t-test's."""
    a = folder(tmp_path / "a", range(8), shift=12)
    b = folder(tmp_path / "b", range(8))
    found = score_folders(None, {"ours": a, "theirs": b}, [Brightness()], EXCERPT, workers=0)
    assert [(row.cell, row.n) for row in found.rows] == [("ours", 8), ("theirs", 8)]
    (pair,) = found.comparisons
    names = [f"{k}.mp4" for k in range(8)]
    difference = means(a, names) - means(b, names)
    assert (pair.a, pair.b, pair.n) == ("ours", "theirs", 8)
    assert pair.difference == pytest.approx(difference.mean(), abs=1e-6)
    assert pair.standard_error == pytest.approx(stats.sem(difference), rel=1e-6)
    assert pair.p_value < 0.05


def test_captions_say_what_belongs_together_whatever_the_files_are_called(tmp_path):
    words = ["one", "two", "three", "four", "five", "six"]
    a = folder(tmp_path / "a", range(6), captions=words)
    b = folder(tmp_path / "b", reversed(range(6)), shift=9, captions=words[::-1], prefix="clip-")
    texts = {"a": read_captions(a), "b": read_captions(b)}
    found = score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, captions=texts, workers=0)
    (pair,) = found.comparisons
    paired = means(a, [f"{k}.mp4" for k in range(6)]) - means(b, [f"clip-{5 - k}.mp4" for k in range(6)])
    assert pair.standard_error == pytest.approx(stats.sem(paired), rel=1e-6)  # of other pairs it would be larger
    crossed = means(a, [f"{k}.mp4" for k in range(6)]) - means(b, [f"clip-{k}.mp4" for k in range(6)])
    assert stats.sem(crossed) > 5 * pair.standard_error


def test_clips_of_other_prompts_are_refused_by_name(tmp_path):
    a, b = folder(tmp_path / "a", range(4)), folder(tmp_path / "b", range(3))
    with pytest.raises(UserError, match=r"b lacks 1 of the clips of a, by file name without its ending: 3; folders"):
        score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, workers=0)
    words = ["one", "two", "three", "four"]
    folder(tmp_path / "a", range(4), captions=words)
    c = folder(tmp_path / "c", range(4), captions=[*words[:3], "other"])
    texts = {"a": read_captions(a), "c": read_captions(c)}
    with pytest.raises(UserError, match="c lacks 1 of the clips of a, by caption: four"):
        score_folders(None, {"a": a, "c": c}, [Brightness()], EXCERPT, captions=texts, workers=0)


@pytest.mark.parametrize(
    "theirs",
    [
        ["one", "two", "four", "four"],  # a caption twice: names make the pairs
        ["two", "one", "three", ""],  # one without a caption
    ],
)
def test_clips_of_one_name_and_two_captions_are_refused(tmp_path, theirs):
    a = folder(tmp_path / "a", range(4), captions=["one", "two", "three", "four"])
    b = folder(tmp_path / "b", range(4), captions=theirs)
    texts = {"a": read_captions(a), "b": read_captions(b)}
    with pytest.raises(
        UserError, match=r"of 4 pairs, by file name, are of two prompts: \d is '\w+' in a and '\w+' in b"
    ):
        score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, captions=texts, workers=0)
    one = dict.fromkeys("ab", read_captions(a))  # as --captions gives it
    assert score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, captions=one, workers=0).comparisons[0].n == 4


def test_two_files_of_one_name_are_refused(tmp_path):
    a, b = folder(tmp_path / "a", range(3)), folder(tmp_path / "b", range(3))
    (b / "1.mkv").write_bytes((b / "1.mp4").read_bytes())
    with pytest.raises(UserError, match="has several files named 1, with other endings"):
        score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, workers=0)


def test_clips_of_one_prompt_stay_together_where_another_has_no_caption(tmp_path):
    """The standard error is that of sums by prompt (a ratio estimate)."""
    words = ["one", "one", "two", "two", "three", "three", "", "four"]
    a = folder(tmp_path / "a", range(8), shift=12, captions=words)
    b = folder(tmp_path / "b", range(20, 28), captions=words)
    texts = {"a": read_captions(a), "b": read_captions(b)}
    found = score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, captions=texts, workers=0)
    assert [row.prompts for row in found.rows] == [5, 5]  # the one without a caption is by itself
    names = [f"{k}.mp4" for k in range(8)]
    off = (difference := means(a, names) - means(b, names)) - difference.mean()
    sums = np.array([off[0] + off[1], off[2] + off[3], off[4] + off[5], off[6], off[7]])
    assert found.comparisons[0].standard_error == pytest.approx(np.sqrt((sums**2).sum() * 5 / 4) / 8, rel=1e-6)


def test_clips_of_other_lengths_are_refused_by_name_unless_it_is_said_how_many_frames_count(tmp_path):
    a, b = folder(tmp_path / "a", range(4)), folder(tmp_path / "b", range(4))
    clip_file(b / "2.mp4", 2, frames=9)
    with pytest.raises(
        UserError, match=r"1 of 4 pairs are of two lengths: .*b/2.mp4 has 9 frames and .*a/2.mp4 6; fol"
    ):
        score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, same_length=True, workers=0)
    said = score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, workers=0)
    assert said.comparisons[0].n == 4


def test_the_command_refuses_other_lengths_and_tells_of_other_rates(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, frames, fps in (("a", 16, 8.0), ("b", 20, 10.0)):
        for k in range(2):
            clip_file(tmp_path / name / f"{k}.mp4", k, frames=frames, fps=fps)
    given = ("score", "--fake", f"a={tmp_path / 'a'}", "--fake", f"b={tmp_path / 'b'}", "--metrics", "flicker",
             "--format", "json")  # fmt: skip
    refused = cli(*given)
    assert refused.code == 2 and "2 of 2 pairs are of two lengths" in refused.err
    said = cli(*given, "--frames", 16)
    notes = json.loads(said.out)["notes"]
    assert "a has 8 fps, b has 10 fps, each at its own rate; --fps takes all at one" in notes
    at_one = cli(*given, "--fps", 8)  # two seconds of each
    assert at_one.code == 0 and not [note for note in json.loads(at_one.out)["notes"] if "its own rate; " in note]


def test_a_file_of_another_rate_within_a_folder_is_told(tmp_path):
    a, b = folder(tmp_path / "a", range(3)), folder(tmp_path / "b", range(3))
    clip_file(b / "1.mp4", 1, fps=10)
    own = replace(EXCERPT, own_rates=True)  # as the protocol ``files`` has it
    found = score_folders(None, {"a": a, "b": b}, [Brightness()], own, workers=0)
    assert (
        "a has 8 fps, b has 8 fps (0.mp4) and 10 fps (1.mp4), each at its own rate; --fps takes all at one"
        in found.notes
    )


def test_an_unreadable_file_costs_its_pair(tmp_path):
    a, b = folder(tmp_path / "a", range(8), shift=12), folder(tmp_path / "b", range(8))
    (b / "5.mp4").write_bytes(b"no video")
    found = score_folders(None, {"a": a, "b": b}, [Brightness()], EXCERPT, bad_files=0.5, workers=0)
    assert [row.n for row in found.rows] == [8, 7] and found.comparisons[0].n == 7
    assert [(bad.side, bad.file.rsplit("/")[-1]) for bad in found.bad_files] == [("b", "5.mp4")]


def test_set_metrics_and_several_folders_are_corrected_together(tmp_path, sides):
    real, fake = sides
    other = folder(tmp_path / "other", range(100, 108), shift=40)
    found = score_folders(real, {"fake": fake, "same": fake, "other": other}, [FvdEvaluator(Means()), Brightness()],
                          EXCERPT, workers=0, resamples=50)  # fmt: skip
    assert {(pair.a, pair.b, pair.metric) for pair in found.comparisons} == {
        ("fake", b, metric) for b in ("same", "other") for metric in ("fvd", "brightness")
    }
    same = [pair for pair in found.comparisons if pair.b == "same"]
    assert all(pair.difference == 0 and pair.p_holm == 1 for pair in same)
    assert "same and fake hold the same clips" in found.notes


def test_a_stranger_gets_rows_differences_and_a_page_from_one_command(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = [f"prompt {k} <b>" for k in range(6)]
    ours = folder(tmp_path / "x", range(6), shift=9, captions=words)
    theirs = folder(tmp_path / "y", range(6), captions=words)
    outcome = cli("score", "--fake", f"ours={ours}", "--fake", f"theirs={theirs}", "--metrics", "contrast_drift",
                  "--frames", 4, "--html", tmp_path / "page.html", "--format", "json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert [row["cell"] for row in document["rows"]] == ["ours", "theirs"] and len(document["comparisons"]) == 1
    assert document["findings"][0]["text"].startswith("folders: ")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 12 and "prompt 3 \\u003cb\\u003e" in page


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("a=x", "a=y"), "'a' is given twice"),
        (("real=x", "b=y"), "'real' stands for the real clips"),
        (("=x",), "'' has no name"),
    ],
)
def test_names_of_folders_are_told_apart(cli, tmp_path, given, why):
    for name in "xy":
        folder(tmp_path / name, range(2))
    fakes = [part for text in given for part in ("--fake", text)]
    outcome = cli("score", *fakes, "--metrics", "drift")
    assert outcome.code == 2 and why in outcome.err and len(outcome.err.splitlines()) == 1

"""``artv-eval score``, ``protocols`` and ``doctor`` as a user calls them."""

import json
from pathlib import Path

import pytest

from artv.data.clips import write_shapes
from artv.data.readers import read_video
from artv.video import write_gif
from artv_eval.files.describe import default_cache

ROW = {"ablation", "cell", "method", "metric", "value", "ci_low", "ci_high", "n", "protocol", "status"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    write_shapes(root / "real", 5, split="train", num_frames=6)
    write_shapes(root / "fake", 4, split="test", num_frames=6)
    return root


@pytest.fixture
def score(cli, folders, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments, fake=folders / "fake"):
        sides = ("--real", folders / "real", "--fake", fake)
        return cli("score", *sides, "--protocol", "shapes@1", "--frames", 6, *arguments)

    return call


def test_rows_have_the_fields_of_a_sweeps_and_come_from_the_cache_the_second_time(score):
    first = score("--metrics", "fvd,clipsim,drift", "--format", "json")
    rows = json.loads(first.out)["rows"]
    assert first.code == 0 and [row["metric"] for row in rows] == ["fvd", "clipsim", "drift"]
    assert all(set(row) >= ROW and row["status"] == "ok" and row["n"] == 4 for row in rows)
    assert all(row["protocol"] == "shapes@1 frames=6" for row in rows)
    assert list(default_cache().glob("*.npz"))
    assert json.loads(score("--metrics", "fvd,clipsim,drift", "--format", "json").out)["rows"] == rows


def test_a_folder_against_itself_has_fvd_zero_and_is_noticed(cli, folders, score):
    outcome = score("--metrics", "fvd", "--format", "json", "--no-cache", fake=folders / "real")
    found = json.loads(outcome.out)
    assert found["rows"][0]["value"] == pytest.approx(0, abs=1e-6)
    same = [note for note in found["notes"] if note.startswith("real and fake hold the same clips")]
    assert len(same) == 1 and not any(
        "same clips" in n for n in json.loads(score("--metrics", "fvd", "--format", "json").out)["notes"]
    )


def test_frames_shown_more_than_once_are_noticed(score):
    notes = json.loads(score("--metrics", "drift", "--format", "json", "--fps", 16).out)["notes"]
    assert any("has 8 fps and is compared at 16, so its frames come more than once" in note for note in notes)


def test_our_gifs_can_be_scored(cli, folders, tmp_path):
    """At the protocol's 8 fps, which a gif's whole hundredths of a second can only give on average."""
    for file in (folders / "fake").glob("*.mp4"):
        write_gif(tmp_path / f"{file.stem}.gif", read_video(file), 8.0)
    outcome = cli("score", "--fake", tmp_path, "--metrics", "drift", "--frames", 6, "--no-cache", "--format", "json")
    (row,) = json.loads(outcome.out)["rows"]
    assert outcome.code == 0 and row["status"] == "ok" and row["n"] == 4, outcome.err


def test_changed_conventions_change_label_and_hash(score):
    rows = [
        json.loads(score("--metrics", "drift", "--format", "json", *more).out)["rows"][0]
        for more in ((), ("--size", 32), ("--fps", 4, "--frames", 3), ("--stride", 1, "--fps", 8, "--bad-files", 0.01))
    ]
    assert len({row["protocol_hash"] for row in rows}) == 3
    assert rows[2]["protocol"] == "shapes@1 frames=3 fps=4.0"
    assert rows[3]["protocol_hash"] == rows[0]["protocol_hash"]  # what the card says anyway


def test_as_many_frames_as_the_card_says_are_the_card_itself(cli, folders):
    def shown(*more):
        given = ("--fake", folders / "fake", "--metrics", "drift", "--protocol", "shapes@1", "--no-cache")
        return cli("score", *given, "--bad-files", 0.9, "--format", "json", *more, "--dry-run").err

    assert shown() == shown("--frames", 16) != shown("--frames", 5)


def test_settings_that_are_not_the_protocols_change_the_hash_of_their_metric(score):
    def hashes(*more):
        rows = json.loads(score("--metrics", "fvd,kvd,drift", "--format", "json", *more).out)["rows"]
        return {row["metric"]: row["protocol_hash"] for row in rows}

    own, changed = hashes(), hashes("--set", "fvd.ddof=0")
    assert changed["fvd"] != own["fvd"] and changed["kvd"] == own["kvd"] == own["fvd"]
    assert changed["drift"] == own["drift"] and hashes("--set", "fvd.ddof=1") == own


def test_unreadable_files_are_named_and_withhold_the_metric(score, folders, tmp_path):
    broken = tmp_path / "broken"
    write_shapes(broken, 3, num_frames=6)
    (broken / "zero.mp4").write_bytes(b"")
    outcome = score("--metrics", "drift", "--format", "json", fake=broken)
    (row,) = json.loads(outcome.out)["rows"]
    assert outcome.code == 1 and row["value"] is None and row["status"].startswith("withheld: 1 of 4 fake files")
    assert "zero.mp4" in json.loads(outcome.out)["notes"][0] and "Traceback" not in outcome.err
    assert outcome.err.strip().endswith("allow more of them with --bad-files")
    allowed = json.loads(score("--metrics", "drift", "--format", "json", "--bad-files", 0.3, fake=broken).out)["rows"]
    assert allowed[0]["n"] == 3 and allowed[0]["protocol"] == "shapes@1 frames=6 bad_files=0.3"
    assert allowed[0]["protocol_hash"] != row["protocol_hash"]


def test_json_names_every_bad_file_and_the_table_the_first(score, tmp_path):
    for k in range(7):
        (tmp_path / "broken").mkdir(exist_ok=True)
        (tmp_path / "broken" / f"{k}.mp4").write_bytes(b"")
    found = json.loads(score("--metrics", "drift", "--format", "json", fake=tmp_path / "broken").out)
    assert [Path(bad["file"]).name for bad in found["bad_files"]] == [f"{k}.mp4" for k in range(7)]
    assert all(bad["side"] == "fake" and "0 bytes" in bad["reason"] for bad in found["bad_files"])
    assert found["notes"][0].endswith("and 2 more") and "6.mp4" not in found["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metrics", "fdv"), "unknown metric 'fdv'; did you mean fvd"),
        (("--metrics", ","), "no metric given"),
        (("--metrics", "fvd", "--features", "i3"), "did you mean i3d"),
        (("--metrics", "fvd", "--protocol", "shapes"), "unknown protocol 'shapes'; did you mean shapes@"),
        (("--metrics", "fvd", "--captions", "none.csv"), "captions file none.csv does not exist"),
        (("--metrics", "fvd", "--captions", "empty.csv"), "must begin with the line 'file,caption'"),
        (("--metrics", "fvd", "--captions", "latin-1.csv"), "captions file latin-1.csv is no text in UTF-8"),
        (("--metrics", "clipsim", "--captions", "one.csv"), "4 of 4 files in"),
        (("--metrics", "fvd", "--workers", -1), "--workers is -1; it must be at least 0"),
        (("--metrics", "fvd", "--timeout", 0), "--timeout is 0; it must be a number above 0"),
        (("--metrics", "fvd", "--bad-files", 1), "--bad-files is 1.0; it must be a share from 0 to below 1"),
        (("--metrics", "fvd", "--set", "protocol.bad_files=0.05"), "no setting 'bad_files'; it must be one of seeds"),
        (("--metrics", "psnr"), "no metric can be computed: psnr: it needs the ground truth of each clip"),
        (("--metrics", "fvd", "--frames", 0), "--frames is 0"),
        (("--metrics", "fvd", "--fps", 0), "--fps is 0"),
        (("--metrics", "fvd", "--fake", "nowhere"), "nowhere is no folder"),
        (("--metrics", "drift", "--real", "nowhere"), "nowhere is no folder"),
        (("--metrics", "fvd", "--set", "fvd.ddo=1"), "fvd has no setting 'ddo'; did you mean ddof"),
        (("--metrics", "fvd", "--set", "fvd.ddof=5"), "fvd.ddof is 5: input should be 0 or 1"),
        (
            ("--metrics", "fvd", "--set", "fvd.subset=2", "--set", "fvd.repeats=0"),
            "fvd.repeats is 0: input should be greater than or equal to 1",
        ),
        (("--metrics", "kvd", "--features", "shapes-clip"), "'shapes-clip' describes pictures, not clips"),
        (("--metrics", "clipsim", "--set", "clipsim.feature=shapes"), "'shapes' describes clips, not pictures"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(score, arguments, message):
    Path("empty.csv").write_text("")
    Path("latin-1.csv").write_bytes("file,caption\n0.mp4,café\n".encode("latin-1"))
    Path("one.csv").write_text("file,caption\nzzz.mp4,a red circle\n")
    outcome = score(*arguments)
    assert outcome.code == 2 and outcome.out == "" and message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_metric_whose_weights_are_absent_says_what_to_fetch(score, monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path / "no-weights"))
    outcome = score("--metrics", "fvd", "--features", "i3d")
    assert outcome.code == 2 and "weights fetch i3d" in outcome.err
    beside = score("--metrics", "fvd,lpips,drift", "--features", "i3d", "--format", "json")
    status = {row["metric"]: row["status"] for row in json.loads(beside.out)["rows"]}
    assert beside.code == 0 and status["drift"] == "ok"
    assert "weights fetch i3d" in status["fvd"] and "weights fetch lpips-alex" in status["lpips"]


def test_scores_that_nobody_can_have_are_refused(cli, folders):
    missing = cli("score", "--fake", folders / "fake", "--metrics", "fvd", "--protocol", "shapes@1")
    assert missing.code == 2 and missing.out == "" and "fvd: it needs --real DIR" in missing.err
    timed = cli("score", "--fake", folders / "fake", "--metrics", "seconds", "--frames", 6, "--no-cache")
    assert timed.code == 2 and "seconds: it needs the time that making a clip took" in timed.err.splitlines()[-1]


def test_protocols_are_listed_with_hashes_and_shown_whole(cli):
    listed = {row["name"]: row for row in json.loads(cli("protocols", "list", "--json").out)["protocols"]}
    shown = json.loads(cli("protocols", "show", "shapes@1", "--json").out)
    assert listed["shapes@1"]["hash"] == shown["hash"] and len(shown["hash"]) == 12
    assert shown["frames"]["fps"] == 8 and "shapes@1" in cli("protocols", "show", "shapes@1").out
    assert "did you mean shapes@" in cli("protocols", "show", "shapes@3").err


def test_a_users_card_is_shown_and_a_wrong_field_is_named(cli):
    import yaml

    from artv_eval.protocols.cards import CARDS

    card = yaml.safe_load((CARDS / "shapes@1.yaml").read_text())
    Path("mine.yaml").write_text(yaml.safe_dump(card | {"name": "mine@1"}))
    assert json.loads(cli("protocols", "show", "mine.yaml", "--json").out)["name"] == "mine@1"
    Path("wrong.yaml").write_text(yaml.safe_dump(card | {"featurs": {}}))
    outcome = cli("protocols", "show", "wrong.yaml")
    assert outcome.code == 2 and "unknown field 'featurs'; did you mean features" in outcome.err


def test_what_show_prints_is_a_card_of_the_same_hash(cli):
    shown = cli("protocols", "show", "ucf101@lavie").out
    Path("card.yaml").write_text(shown)
    own, again = (json.loads(cli("protocols", "show", name, "--json").out) for name in ("ucf101@lavie", "card.yaml"))
    assert own == again and shown.startswith(f"# hash: {own['hash']}\n")
    assert "digest of the reference files: give your copy of the data with --set protocol.root=DIR" in shown
    Path("data/UCF-101/Archery").mkdir(parents=True)
    Path("data/UCF-101/Archery/v_Archery_g01_c01.avi").write_bytes(b"x")
    there = json.loads(cli("protocols", "show", "card.yaml", "--set", "protocol.root=data", "--json").out)
    assert len(there["reference_digest"]) == 12 and there["hash"] != own["hash"]


def test_a_card_that_cannot_be_scored_by_is_refused_when_shown(cli):
    shown = cli("protocols", "show", "shapes@1").out
    Path("card.yaml").write_text(shown.replace("extractor: shapes\n", "extractor: i4d\n"))
    outcome = cli("protocols", "show", "card.yaml")
    assert outcome.code == 2 and outcome.out == "" and "unknown feature 'i4d'; did you mean i3d" in outcome.err
    Path("card.yaml").write_text("")
    assert "card.yaml is empty; begin with: artv-eval protocols show" in cli("protocols", "show", "card.yaml").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", -1), "--workers is -1"),
        (("--timeout", "nan"), "--timeout is nan; it must be a number above 0"),
        (("--numbers", "4,x"), "--numbers is '4,x'"),
        (("--numbers", "1"), "--numbers is 1; it must be at least 2"),
        (("--frames", 16, "--workers", 0), "has 6 frames at its own rate; the protocol needs 16; lower --frames"),
    ],
)
def test_mistakes_of_sensitivity_are_one_line_and_exit_2(cli, folders, arguments, message):
    sides = ("--real", folders / "real", "--fake", folders / "fake", "--features", "shapes")
    outcome = cli("sensitivity", *sides, "--protocol", "shapes@1", *arguments)
    assert outcome.code == 2 and outcome.out == "" and message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_sensitivity_refuses_features_of_another_world_as_score_does(cli, folders):
    outcome = cli("sensitivity", "--real", folders / "real", "--fake", folders / "fake", "--features", "shapes")
    assert outcome.code == 2 and outcome.out == "" and len(outcome.err.strip().splitlines()) == 1
    assert "--features shapes: features 'shapes' were trained on the world of shapes@…" in outcome.err
    assert "give --features i3d, or their card with --protocol" in outcome.err


def test_doctor_says_what_works_and_what_to_fetch(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path / "no-weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = json.loads(cli("doctor", "--json").out)
    metrics = {item["name"]: item for item in found["metrics"]}
    assert metrics["fvd"]["works"] and not metrics["lpips"]["works"] and "fetch" in metrics["lpips"]["reason"]
    assert any(item["name"] == "i3d" and item["path"] is None for item in found["weights"])
    text = cli("doctor").out
    assert "metrics that work now, offline: fvd" in text and "python -m artv_eval.features.weights fetch i3d" in text


def test_columns_of_captions_that_nothing_reads_are_told_before_and_after(score, folders, tmp_path):
    lines = (folders / "fake" / "captions.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "c.csv").write_text("\n".join(f"{x},{'fps' if not i else 24}" for i, x in enumerate(lines)))
    options = ("--metrics", "drift", "--captions", tmp_path / "c.csv")
    told = f"{tmp_path / 'c.csv'}: 1 column not used (fps): of each line file and caption are read"
    assert told in score(*options, "--dry-run").err
    assert [n for n in json.loads(score(*options, "--format", "json").out)["notes"] if n.startswith(told)]

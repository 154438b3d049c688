"""Tables of captions: what is meant is read, what would be read as something else is refused with its line."""

import csv

import pandas as pd
import pytest

from artv.data.captions import captioned_clips, read_captions, unused_columns
from artv.errors import UserError

MEANT = [("1.mp4", "a red, round ball"), ("2.mp4", 'a "blue" ball'), ("ü.mp4", "ein Bär – 熊"), ("3.mp4", "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_a_csv_writer_writes_is_read(tmp_path, encoding, end, quoting):
    with (tmp_path / "c.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, lineterminator=end, quoting=quoting)
        writer.writerow(["file", "caption"])
        writer.writerows(MEANT)
    assert read_captions(tmp_path / "c.csv").lines == MEANT


def test_other_columns_and_their_order_do_not_matter(tmp_path):
    (tmp_path / "c.csv").write_text('note, caption, file\nx, "red, round", 1.mp4\n\n,blue,2.mp4\n', encoding="utf-8")
    assert read_captions(tmp_path / "c.csv").lines == [("1.mp4", "red, round"), ("2.mp4", "blue")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "must begin with the line 'file,caption'"),
        (b"name,text\n1.mp4,x\n", "must begin with the line 'file,caption'; it begins with 'name,text'"),
        (b"file;caption\n1.mp4;x\n", "it begins with 'file;caption'"),
        (b"file,caption,caption\n1.mp4,x,y\n", "must begin with the line 'file,caption'"),
        (b"file,caption\n", "is empty"),
        (b"file,caption\n,x\n", "line 2, is a line without a file"),
        (b"file,caption\n1.mp4,caf\xe9\n", "is no text in UTF-8"),
        ("file,caption\n1.mp4,x\n".encode("utf-16"), "is no text in UTF-8"),
        (b"\x00\x00\x00\x1cftypisom\x00\xff\xfe", "is no text in UTF-8"),
        (
            b"file,caption\n1.mp4,x\n2.mp4,a red, round ball\n",
            'line 3, has 3 values .*: clip.mp4,"a red, r',
        ),
        (b"file,caption\n1.mp4\n", "line 2, has 1 values"),
        (b'file,caption\n1.mp4,"a red ball\n2.mp4,x\n3.mp4,y\n', "line 2, has a quote that is not closed"),
        (b'file,caption\n1.mp4,x\n2.mp4,"a red ball\n3.mp4,"a blue ball"\n', "line 3, is no row of a table"),
        (b'file,caption\n1.mp4,"a red ball\n2.mp4,"\n3.mp4,y\n', "line 2, goes on in the next line"),
        (b'file,caption\n1.mp4,a "red" ball\n2.mp4,"a "red" ball"\n', "line 3, is no row of a table"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, text, reason):
    (tmp_path / "captions.csv").write_bytes(text)
    for source in (tmp_path, tmp_path / "captions.csv"):
        with pytest.raises(UserError, match=reason) as caught:
            read_captions(source)
        assert "captions.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_tables_folders_and_clips_are_named(tmp_path):
    with pytest.raises(UserError, match=r"captions file .*captions\.csv does not exist"):
        read_captions(tmp_path)
    with pytest.raises(UserError, match="artv data shapes --out"):
        captioned_clips(tmp_path / "nowhere")
    (tmp_path / "captions.csv").write_text("file,caption\nx.mp4,a\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"captions\.csv names x\.mp4, which is no file in"):
        captioned_clips(tmp_path)


def test_captions_are_those_of_the_files_path_and_of_its_bare_name_only_where_one_has_it(tmp_path):
    files = [tmp_path / name for name in ("a/1.mp4", "b/1.mp4", "b/2.mp4", "c/3.mp4", "4.mp4")]

    def found(*lines, source="captions.csv"):
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_text("\n".join(("file,caption", *lines)), encoding="utf-8")
        having = read_captions(tmp_path / source).of(files, tmp_path)
        return {file.relative_to(tmp_path).as_posix(): text for file, text in having.items()}

    assert found("a/1.mp4,one", "b/1.mp4,two") == {"a/1.mp4": "one", "b/1.mp4": "two"}
    assert found("1.mp4,one", "2.mp4,two", "elsewhere/3.mp4,three") == {"b/2.mp4": "two", "c/3.mp4": "three"}
    assert found("x/2.mp4,one", "y/2.mp4,two", f"{tmp_path}/4.mp4,four", "b/1.mp4, ") == {"4.mp4": "four"}
    assert found("../a/1.mp4,one", "4.mp4,four", source="tables/c.csv") == {"a/1.mp4": "one", "4.mp4": "four"}


def test_one_file_has_one_caption(tmp_path):
    (tmp_path / "c.csv").write_text("file,caption\n1.mp4,x\n./1.mp4,y\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"gives \./1\.mp4 two captions"):
        read_captions(tmp_path / "c.csv").check([tmp_path / "1.mp4"], tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_that_say_how_a_clip_is_read_are_said_not_to_be_used(tmp_path, kind):
    table = pd.DataFrame([["1.mp4", "a ball", 7, 0.5, "x"]], columns=["file", "caption", "Start time", "fps", "note"])
    if kind == "csv":
        table.to_csv(tmp_path / "captions.csv", index=False)
    elif kind == "jsonl":
        table.to_json(tmp_path / "captions.jsonl", orient="records", lines=True)
    else:
        pytest.importorskip("pyarrow")
        table.to_parquet(tmp_path / "captions.parquet")
    said = f"{tmp_path / f'captions.{kind}'}: 2 columns not used (Start time, fps): of each line file and caption are"
    assert unused_columns(tmp_path).startswith(said)


def test_of_other_columns_nothing_is_said(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption,note\n1.mp4,a ball,x\n", encoding="utf-8")
    assert unused_columns(tmp_path) is None

"""Clips as people have them: tables, webdataset tars, UCF-101, MSR-VTT; crops; clips that break off."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from artv.data import loading
from artv.data.captions import captioned_clips, read_captions
from artv.data.clips import ClipFiles, WholeClips, collate, fit_square, write_shapes
from artv.errors import UserError, WorkFailed
from artv.training.clips import Clips
from artv.training.config import load_config
from artv.video import write_video

ROWS = [("000000.mp4", "a red, round ball"), ("000001.mp4", "ein Bär – 熊"), ("000002.mp4", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_shapes(folder, 24, num_frames=4)
    return folder


def write_table(folder: Path, kind: str) -> Path:
    table = folder / f"captions.{kind}"
    frame = pd.DataFrame([(*row, 1) for row in ROWS], columns=["file", "caption", "other"])
    if kind == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in frame.to_dict("records")]
        table.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    elif kind == "parquet":
        frame.to_parquet(table)
    else:
        frame.to_csv(table, index=False)
    return table


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_of_every_kind_hold_the_same(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    write_table(tmp_path, kind)
    assert read_captions(tmp_path).lines == ROWS


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("c.jsonl", '{"file": "1.mp4", "text": "x"}\n', "line 1, must have the texts 'file' and 'caption'"),
        ("c.jsonl", '{"file": "1.mp4", "caption": "x"}\nx\n', "line 2, is no JSON"),
        ("c.jsonl", "\n", "is empty"),
        ("c.parquet", "no", "is no Parquet|needs pyarrow"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=reason):
        read_captions(tmp_path / name)


def test_webdataset_tars_are_read_as_they_are(tmp_path, folder):
    rows = captioned_clips(folder)[:4]
    for k in range(2):
        with tarfile.open(tmp_path / f"{k:05d}.tar", "w") as tar:
            for i, row in enumerate(rows[2 * k :][:2]):
                said = json.dumps({"caption": row.caption, "width": 64}) if k else row.caption
                for suffix, data in (("mp4", row.path.read_bytes()), ("json" if k else "txt", said.encode())):
                    member = tarfile.TarInfo(f"{i:04d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    ours, theirs = ClipFiles(tmp_path, num_frames=4), ClipFiles(folder, num_frames=4)
    assert ours.opened(range(len(ours)), shown=False) == dict.fromkeys(range(4), 4)
    for i in range(4):
        assert torch.equal(ours[i][0], theirs[i][0]) and ours[i][1] == theirs[i][1]
    with tarfile.open(tmp_path / "00002.tar", "w") as tar:
        tar.add(rows[0].path, "lonely.mp4")
    with pytest.raises(UserError, match=r"00002.tar: 1 of 1 clips have no caption, for example lonely.mp4"):
        captioned_clips(tmp_path)


def test_ucf101_and_msrvtt_folders(tmp_path):
    names = [f"v_ApplyEyeMakeup_g0{k}_c01.avi" for k in (1, 2)]
    ucf, vtt = tmp_path / "ucf", tmp_path / "vtt"
    for folder in (ucf / "UCF-101" / "ApplyEyeMakeup", ucf / "ucfTrainTestlist", vtt):
        folder.mkdir(parents=True)
    for name in names:
        (ucf / "UCF-101" / "ApplyEyeMakeup" / name).touch()
    (ucf / "ucfTrainTestlist" / "trainlist01.txt").write_text(f"ApplyEyeMakeup/{names[1]} 1\n")
    assert [(c.path.name, c.caption) for c in captioned_clips(ucf)] == [(names[1], "apply eye makeup")]
    for number in (3, 9000):
        (vtt / f"video{number}.mp4").touch()
    sentences = [{"video_id": f"video{n}", "caption": f"{text} {n}"} for n in (3, 9000) for text in ("one", "two")]
    (vtt / "data.json").write_text(json.dumps({"sentences": sentences}))
    assert [(c.path.name, c.caption) for c in captioned_clips(vtt)] == [("video3.mp4", "one 3")]


def test_random_crops_are_a_clips_own(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 256, 2, dtype=np.uint8)[None, None, :, None], (2, 32, 128, 3))
    for name in ("a", "b", "c"):
        write_video(tmp_path / f"{name}.mp4", ramp, 8.0)
    (tmp_path / "captions.csv").write_text("file,caption\n" + "".join(f"{name}.mp4,x\n" for name in "abc"))
    settings = {"num_frames": 2, "size": 32}
    lefts = []
    for seed in (0, 0, 1):
        clips = ClipFiles(tmp_path, crop="random", seed=seed, **settings)
        lefts.append([float(clips[i][0].float().mean()) / 2 - 15.5 for i in range(3)])  # grey 2·x at column x
    assert lefts[0] == lefts[1] != lefts[2] and len({round(x) for x in lefts[0]}) == 3
    assert all(-2 <= left <= 98 for left in lefts[0])
    assert ClipFiles(tmp_path, **settings)[0][0].float().mean() / 2 - 15.5 == pytest.approx(48, abs=2)


def break_off(path: Path) -> None:
    """The second half of its frames are zeros; its index is whole."""
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)
    path.write_bytes(data)


def test_the_next_clip_is_in_the_place_of_one_that_breaks_off(tmp_path, capsys):
    write_shapes(tmp_path, 24, num_frames=16)
    mended = (tmp_path / "000023.mp4").read_bytes()
    for number in (7, 23):
        break_off(tmp_path / f"{number:06d}.mp4")
    config = load_config("shapes", data=str(tmp_path))
    with pytest.raises(WorkFailed, match="breaks off"):  # two are more than 5 % of 24
        list(Clips(config, torch.device("cpu")).batches())
    (tmp_path / "000023.mp4").write_bytes(mended)
    clips = Clips(config, torch.device("cpu"))
    capsys.readouterr()
    frames, captions = clips.load(24)
    clips.tell_broken()
    assert torch.equal(frames[7], frames[8]) and captions[7] == captions[8] and len(frames) == 24
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "skipped (1 of 24 clips broke off" in said and "000007.mp4" in said
    alone = WholeClips(clips.files)[7]  # whoever decodes it, and whenever
    assert torch.equal(alone[0], frames[8]) and list(alone[2]) == [7]


def test_blank_captions_are_counted(folder, tmp_path, capsys):
    for name in ("000000.mp4", "000001.mp4", "000002.mp4"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "captions.csv").write_text('file,caption\n000000.mp4,\n000001.mp4,a ball\n000002.mp4," "\n')
    Clips(load_config("shapes", data=str(tmp_path), num_frames=2), torch.device("cpu"))
    assert "2 of 3 clips have a blank caption, and train without text\n" in capsys.readouterr().err


def test_clips_that_earlier_starts_skipped_are_counted_and_named_too(tmp_path, capsys):
    """They are in shards that are not made again."""
    write_shapes(tmp_path / "clips", 40, num_frames=16)
    for number in (3, 7, 30):
        break_off(tmp_path / "clips" / f"{number:06d}.mp4")
    settings = {"data": str(tmp_path / "clips"), "num_frames": 16, "size": 16}
    for numbers in (range(5), range(5, 10)):
        clips = Clips(load_config("shapes", **settings), torch.device("cpu"))
        clips.note_broken(tmp_path)
        assert sum(len(captions) for _, captions in clips.batches(numbers)) == 5
    capsys.readouterr()
    clips.tell_broken()
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("skipped (2 of 40 clips broke off") == 2
    assert "000003.mp4" in said and "000007.mp4" in said
    with pytest.raises(WorkFailed, match="breaks off"):  # three are more than 5 % of 40, whoever met them
        list(clips.batches(range(30, 31)))


def test_clips_that_are_too_short_are_counted_and_all_of_them_are_refused(folder, tmp_path, capsys):
    for name in ("000000.mp4", "000001.mp4"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write_video(tmp_path / "long.mp4", np.zeros((6, 64, 64, 3), np.uint8), 8)
    table = "file,caption\n000000.mp4,x\n000001.mp4,x\n"
    (tmp_path / "captions.csv").write_text(table)
    config = load_config("shapes", data=str(tmp_path), num_frames=6)
    with pytest.raises(
        UserError, match=r"every clip in .* is shorter than 6 frames at 8 fps; the longest has 4: give num_"
    ):
        Clips(config, torch.device("cpu"))
    (tmp_path / "captions.csv").write_text(table + "long.mp4,x\n")
    capsys.readouterr()
    assert Clips(config, torch.device("cpu")).count == 3
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("artv: ")]
    assert said == ["artv: 2 of 3 clips are shorter than 6 frames at 8 fps: their last frame is repeated"]


def test_a_reader_that_hangs_is_given_up_before_training(tmp_path, folder):
    lines = ["file,caption"]
    for name in ("a.mp4", "hang.mp4", "b.mp4"):
        (tmp_path / name).write_bytes((folder / "000000.mp4").read_bytes())
        lines.append(f"{name},x")
    (tmp_path / "captions.csv").write_text("\n".join(lines) + "\n")
    files = ClipFiles(tmp_path, reader="tests.artv.data.hanging:Hanging")
    first, hangs, last = files.opened(range(3), shown=False, patience=4).values()
    assert first == last == 4 and "hang.mp4 keeps its reader waiting for more than 4 seconds" in hangs


def test_batches_ahead_take_half_of_the_shared_memory_at_most(monkeypatch, capsys):
    monkeypatch.setattr(loading, "shared_memory", lambda: 2**30)
    assert [loading._batches_ahead(4, mib * 2**20) for mib in (0, 60, 64, 100, 128)] == [2, 2, 2, 1, 1]
    assert not capsys.readouterr().err
    assert loading._batches_ahead(4, 200 * 2**20) == 0
    assert "room for 1024 MiB, too little for 4 worker processes" in (said := capsys.readouterr().err)
    assert "give it 1600 MiB" in said


@pytest.mark.parametrize(("height", "width", "size"), [(48, 80, 16), (30, 20, 40), (33, 33, 10), (16, 24, 16)])
def test_a_square_is_pillows_crop_and_bicubic_resize(height, width, size):
    """Smooth pictures, to a level: both weigh the same pixels, Pillow in integers."""
    y, x = np.mgrid[:height, :width]
    frames = (
        np.stack([np.stack([4 * y + t, 200 - 2 * x, 2 * x + 2 * y]) for t in range(3)]).clip(0, 255).astype(np.uint8)
    )
    found = fit_square(torch.from_numpy(frames), size)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    for frame, ours in zip(frames, found, strict=True):
        picture = Image.fromarray(frame.transpose(1, 2, 0)).crop((left, top, left + side, top + side))
        theirs = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1
    assert found.dtype == torch.uint8 and found.shape == (3, 3, size, size)


@pytest.mark.parametrize(
    ("place", "corner"), [((0.0, 0.0), (0, 0)), ((0.5, 0.5), (0, 4)), ((0.999, 0.999), (0, 7)), ((1, 1), (0, 8))]
)
def test_where_the_square_is(place, corner):
    frames = torch.arange(8 * 16).view(1, 1, 8, 16).expand(1, 3, 8, 16).to(torch.uint8)
    top, left = corner
    assert torch.equal(fit_square(frames, 8, place), frames[..., top : top + 8, left : left + 8])


def test_resizing_overshoots_nowhere():
    """A hard edge makes bicubic weights leave 0 … 255; bytes do not wrap around."""
    frames = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    frames[..., 16:] = 255
    small = fit_square(frames, 12).float()
    assert small[..., :4].max() < 30 and small[..., -4:].min() > 225


@pytest.mark.parametrize("last", [True, False])
def test_resized_one_at_a_time_frames_are_those_resized_together_in_pixels_and_layout(last):
    """An autoencoder rounds otherwise in another layout."""
    frames = torch.randint(256, (3, 20, 30, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    frames = frames if last else frames.contiguous()
    square = frames[..., 5:25].float()
    together = torch.nn.functional.interpolate(square, (32, 32), mode="bicubic", antialias=True).round().clamp(0, 255)
    found = fit_square(frames, 32)
    assert torch.equal(found, together.to(torch.uint8)) and found.stride() == together.stride()


def test_batches_stack_frames_and_list_the_rest():
    samples = [(torch.full((2, 3, 4, 4), i, dtype=torch.uint8), f"clip {i}", {i: "x"}) for i in range(3)]
    frames, captions, faults = collate(samples)
    assert (
        frames.shape == (3, 2, 3, 4, 4)
        and captions == ["clip 0", "clip 1", "clip 2"]
        and faults == [{0: "x"}, {1: "x"}, {2: "x"}]
    )
    assert frames[:, 0, 0, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("length", "seen"), [(2, [0, 1]), (4, [0, 1, 2, 3]), (6, [0, 1, 2, 3, 3, 3])])
def test_a_shorter_file_repeats_its_last_frame(folder, length, seen):
    whole = ClipFiles(folder, num_frames=4)[0][0]
    assert torch.equal(ClipFiles(folder, num_frames=length)[0][0], whole[seen])


@pytest.mark.parametrize(("faults", "allowed"), [(0, True), (1, True), (2, False)])
def test_one_of_24_clips_may_be_left_out(folder, faults, allowed):
    """At most 5 %."""
    files = ClipFiles(folder)
    before = [row.name for row in files.rows]
    broken = {3 * k: f"clip {3 * k} is broken" for k in range(faults)}
    if allowed:
        files.leave_out(broken)
        assert [row.name for row in files.rows] == [name for i, name in enumerate(before) if i not in broken]
    else:
        with pytest.raises(UserError, match=r"2 of 24 clips in .* cannot be read, more than the 5% .*clip 0 is broken"):
            files.leave_out(broken)

"""A folder of clips as a method: which file is whose, and what is wrong with one that does not fit."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from artv.data.clips import write_shapes
from artv.data.readers import PyAvReader
from artv.errors import UserError
from artv.video import write_video
from artv_eval import testing
from artv_eval.methods.folder import Folder


def test_folder_reads_the_files_by_their_numbers(tmp_path, requests):
    write_shapes(tmp_path, 5, split="test", num_frames=4)
    testing.check_method(Folder, settings={"path": str(tmp_path)}, requests=requests[:3])
    for reader in ("decord", PyAvReader):
        (clip,) = Folder(str(tmp_path), reader=reader).generate(requests[3:4])
        assert np.abs(clip.frames.astype(float) - requests[3].real).mean() < 6  # H.264 is lossy


def texts(folder, *captions):
    """A clip for each caption, the i-th of grey level 20 i, and the table."""
    lines = ["file,caption"]
    for i, caption in enumerate(captions):
        write_video(folder / f"{i}.mp4", np.full((4, 64, 64, 3), 20 * i, np.uint8))
        lines.append(f'{i}.mp4,"{caption}"')
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")


def greys(folder, requests, prepare=True):
    method = Folder(str(folder))
    if prepare:
        method.prepare(requests)
    return [round(float(clip.frames.mean()) / 20) for clip in method.generate(requests)]


def test_a_folders_clips_are_those_of_the_prompts(tmp_path, requests):
    prompts = [request.prompt for request in requests]
    texts(tmp_path, *reversed(prompts))
    assert greys(tmp_path, requests) == greys(tmp_path, requests, prepare=False) == [4, 3, 2, 1, 0]
    digest = Folder(str(tmp_path)).digest()
    texts(tmp_path, *prompts[:3], "a horse", prompts[4])
    assert Folder(str(tmp_path)).digest() != digest
    assert greys(tmp_path, requests[:3]) == [0, 1, 2]
    with pytest.raises(UserError, match=r"no clip for 1 of 5 prompts, for example '.*': its captions.csv has other"):
        Folder(str(tmp_path)).prepare(requests)


def test_clips_of_one_prompt_are_dealt_one_by_one(tmp_path, requests):
    """Class-conditional protocols have them; that there are more requests changes none of the first."""
    same = [replace(request, prompt="a  ball", index=i) for i, request in zip([7, 2, 9, 3], requests, strict=False)]
    texts(tmp_path, *["a ball"] * 4)
    assert greys(tmp_path, same[:2]) == [0, 2] and greys(tmp_path, same) == [0, 2, 1, 3]
    with pytest.raises(UserError, match="each fewer times"):
        Folder(str(tmp_path)).prepare([*same, replace(same[0], index=10)])


def test_without_captions_files_go_by_their_numbers_not_their_letters(tmp_path, requests):
    for i in range(12):
        write_video(tmp_path / f"clip_{i}.mp4", np.full((4, 64, 64, 3), 20 * i, np.uint8))
    asked = [replace(requests[0], index=i) for i in range(12)]
    assert greys(tmp_path, asked) == list(range(12))


def test_two_files_of_one_number_are_told(tmp_path, requests):
    """Counted by place, every clip after them would be another prompt's."""
    for name in ("0.mp4", "1.mp4", "01.mov", "2.mp4"):
        write_video(tmp_path / name, np.zeros((4, 64, 64, 3), np.uint8))
    with pytest.raises(
        UserError, match=r"several files of one number, 1\.mp4 and 01\.mov; keep one|01\.mov and 1\.mp4"
    ):
        Folder(str(tmp_path)).prepare(requests[:1])


def test_a_digest_is_another_only_where_files_go_to_other_requests(tmp_path):
    """Clips that were kept under it and stay the same are found."""
    digests = {}
    for table in ("", "file,caption\n" + "".join(f"{i}.mp4,text {i}\n" for i in range(11)), "same"):
        folder = tmp_path / f"{len(digests)}"
        folder.mkdir()
        for i in range(11):
            (folder / f"{i}.mp4").write_bytes(b"x")
            os.utime(folder / f"{i}.mp4", ns=(0, 5))
        text = "file,caption\n" + "".join(f"{i}.mp4,text\n" for i in range(11)) if table == "same" else table
        if text:
            (folder / "captions.csv").write_text(text, encoding="utf-8")
        sha = hashlib.sha256(text.encode() or b"matched by caption")
        for name in sorted(f"{i}.mp4" for i in range(11)):
            sha.update(f"{name} 1 5".encode() + hashlib.sha256(b"x").digest())
        digests[table[:4]] = Folder(str(folder)).digest() == sha.hexdigest()[:16]
    assert digests == {"": True, "file": True, "same": False}


@pytest.mark.parametrize("at", [0, -1])
def test_a_file_that_was_replaced_by_one_as_large_and_as_old_is_another(tmp_path, at):
    data = bytearray(300_000)
    (tmp_path / "0.mp4").write_bytes(data)
    os.utime(tmp_path / "0.mp4", ns=(0, 5))
    before = Folder(str(tmp_path)).digest()
    data[at] = 1
    (tmp_path / "0.mp4").write_bytes(data)
    os.utime(tmp_path / "0.mp4", ns=(0, 5))
    assert Folder(str(tmp_path)).digest() != before


def test_a_folder_has_no_seconds(cli, tmp_path):
    """Those of reading would put it on every Pareto front."""
    write_shapes(tmp_path / "clips", 2, split="test", num_frames=4)
    names = f'baselines.names=["artv", "folder:{tmp_path / "clips"}"]'
    outcome = cli(
        "sweep", "--ablation", "baselines", "--set", names, "--set", "artv.steps=1", "--metrics", "seconds,flicker",
        "--num-videos", "2", "--frames", "4", "--out", tmp_path / "run", "--format", "json",
    )  # fmt: skip
    rows = {(row["method"], row["metric"]): row for row in json.loads(outcome.out)["rows"]}
    assert outcome.code == 0 and rows["folder", "seconds"]["status"] == "absent: this cell has no seconds"
    assert rows["folder", "flicker"]["status"] == rows["artv", "seconds"]["status"] == "ok"


def test_folder_names_what_is_wrong(tmp_path, requests):
    with pytest.raises(UserError, match=r"does not exist"):
        Folder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"holds no video files"):
        Folder(str(tmp_path))
    write_video(tmp_path / "a.mp4", requests[0].real[:2], fps=8.0)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    folder = Folder(str(tmp_path))
    with pytest.raises(UserError, match=r"a\.mp4 has 2 frames at 8 fps; the protocol needs 4"):
        list(folder.generate(requests[:1]))
    with pytest.raises(UserError, match=r"b\.mp4 cannot be read"):
        list(folder.generate(requests[1:2]))
    with pytest.raises(UserError, match=r"holds 2 videos; the protocol asks for more"):
        folder.prepare(requests)

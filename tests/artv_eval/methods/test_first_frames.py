"""First frames from a folder of pictures: which prompt gets which, and when a clip becomes another one."""

import numpy as np
import pytest
from PIL import Image

from artv.errors import UserError
from artv_eval.methods.first_frames import FolderOfPictures

COLOURS = {"a": (250, 0, 0), "b": (0, 250, 0), "c": (0, 0, 250)}


@pytest.fixture
def folder(tmp_path):
    for name, colour in COLOURS.items():
        Image.new("RGB", (12, 8), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def shown(frames):
    """The names of the pictures whose colours these frames have."""
    return "".join(next(n for n, c in COLOURS.items() if tuple(frame[0, 0]) == c) for frame in frames)


def test_the_seed_alone_chooses(folder):
    source = FolderOfPictures(str(folder))
    frames = source(["x", "y", "z", "x"], 4, 4, [0, 1, 5, 3])
    assert frames.shape == (4, 4, 4, 3) and frames.dtype == np.uint8
    assert shown(frames) == "abca"  # seed modulo three
    assert shown(source(["other"], 4, 4, [5])) == "c"


def test_a_table_gives_each_prompt_its_own(folder):
    (folder / "captions.csv").write_text("file,caption\nb.png,a dog\na.png,a cat\n", encoding="utf-8")
    source = FolderOfPictures(str(folder))
    assert shown(source(["a cat", "a dog"], 4, 4, [7, 7])) == "ab"
    with pytest.raises(UserError, match=r"no picture for the prompt 'a cats'; did you mean a cat"):
        source(["a cats"], 4, 4, [0])


def test_another_picture_or_another_table_is_another_digest(folder):
    before = FolderOfPictures(str(folder)).digest()
    assert FolderOfPictures(str(folder)).digest() == before
    Image.new("RGB", (12, 8), (1, 1, 1)).save(folder / "b.png")
    changed = FolderOfPictures(str(folder)).digest()
    (folder / "captions.csv").write_text("file,caption\nb.png,a dog\n", encoding="utf-8")
    assert len({before, changed, FolderOfPictures(str(folder)).digest()}) == 3


def test_no_folder_and_no_pictures_are_said(tmp_path):
    with pytest.raises(UserError, match="does not exist; give a folder with pictures"):
        FolderOfPictures(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"holds no pictures \(\.png"):
        FolderOfPictures(str(tmp_path))


def test_a_table_names_pictures_of_its_folder_only(folder):
    inner = folder / "inner"
    inner.mkdir()
    Image.new("RGB", (12, 8), COLOURS["c"]).save(inner / "a.png")
    (inner / "captions.csv").write_text("file,caption\n../a.png,a cat\n", encoding="utf-8")
    assert shown(FolderOfPictures(str(inner))(["a cat"], 4, 4, [0])) == "c"


def test_the_digest_goes_with_the_pictures_and_not_with_what_lies_beside_them(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved")
    for file in folder.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    (moved / "notes.txt").write_text("no picture", encoding="utf-8")
    assert FolderOfPictures(str(moved)).digest() == FolderOfPictures(str(folder)).digest()


def test_a_picture_that_cannot_be_read_is_named(folder):
    (folder / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"b\.png"):
        FolderOfPictures(str(folder))(["x"], 4, 4, [1])

"""UCF-101 as it unpacks, and as people move it about; classes as words."""

import pytest

from artv.data.listing import words_of
from artv.data.ucf101 import read_ucf101
from artv.errors import UserError

CLIPS = {
    "ApplyEyeMakeup": ["v_ApplyEyeMakeup_g08_c01.avi", "v_ApplyEyeMakeup_g01_c02.avi"],
    "YoYo": ["v_YoYo_g01_c01.avi"],
}


def put(place):
    for label, names in CLIPS.items():
        (place / label).mkdir(parents=True)
        for name in names:
            (place / label / name).touch()


def put_lists(place, train, test):
    place.mkdir(parents=True, exist_ok=True)
    (place / "trainlist01.txt").write_text("".join(f"{line}\n" for line in train), encoding="utf-8")
    (place / "testlist01.txt").write_text("".join(f"{line}\n" for line in test), encoding="utf-8")


@pytest.mark.parametrize("inside", ["UCF-101", "videos", "."])
@pytest.mark.parametrize("lists", ["ucfTrainTestlist", ".", "UCF-101", "../ucfTrainTestlist"])
def test_clips_and_lists_in_any_of_their_places(tmp_path, inside, lists):
    """Lines of training have the class's number behind the name, those of testing have not."""
    root = tmp_path / "root"
    put(root / inside)
    put_lists(
        root / lists,
        ["ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1", "YoYo/v_YoYo_g01_c01.avi 101", ""],
        ["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi", "Elsewhere/v_Elsewhere_g01_c01.avi"],
    )
    splits = read_ucf101(root)
    if lists == "UCF-101" and inside != "UCF-101":
        assert set(splits) == {"all"}
        return
    assert [v.path.stem for v in splits["train"]] == ["v_ApplyEyeMakeup_g08_c01", "v_YoYo_g01_c01"]
    assert [v.path.stem for v in splits["test"]] == ["v_ApplyEyeMakeup_g01_c02"]


def test_all_are_in_the_order_of_their_paths_with_their_class(tmp_path):
    put(tmp_path)
    (tmp_path / "YoYo" / "v_YoYo_g01_c01.txt").touch()
    videos = read_ucf101(tmp_path)["all"]
    assert [v.path.name for v in videos] == sorted(CLIPS["ApplyEyeMakeup"]) + CLIPS["YoYo"]
    assert [v.label for v in videos] == ["ApplyEyeMakeup", "ApplyEyeMakeup", "YoYo"]
    assert all(v.captions == () for v in videos)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.avi").touch()
    with pytest.raises(UserError, match="does not look like UCF-101"):
        read_ucf101(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "Apply Eye Makeup"),
        ("YoYo", "Yo Yo"),
        ("TaiChi", "Tai Chi"),
        ("BasketballDunk", "Basketball Dunk"),
        ("HandstandPushups", "Handstand Pushups"),
        ("playing_violin", "playing violin"),
        ("TVShow2", "TV Show 2"),
        ("Billiards", "Billiards"),
        ("", ""),
    ],
)
def test_a_class_as_words(name, words):
    assert words_of(name) == words

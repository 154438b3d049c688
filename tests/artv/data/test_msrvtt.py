"""MSR-VTT in the folders that people have: official ranges, annotations of both kinds, damage."""

import json

import pytest

from artv.data.msrvtt import read_msrvtt
from artv.errors import UserError


def put(root, numbers, said=True, suffix=".mp4", folder="videos", **more):
    """Empty videos, and sentences of every one of them."""
    (root / folder).mkdir(exist_ok=True, parents=True)
    for n in numbers:
        (root / folder / f"video{n}{suffix}").touch()
    sentences = [{"video_id": f"video{n}", "caption": f"{word} of {n}"} for n in numbers for word in ("one", "two")]
    if said:
        (root / "train_val_test.json").write_text(json.dumps({"sentences": sentences, **more}), encoding="utf-8")
    return root


def names(videos):
    return [video.path.stem for video in videos]


def test_splits_are_the_official_ranges(tmp_path):
    """Xu et al. 2016: 6,513 clips for training, 497 for validation, 2,990 for testing."""
    splits = read_msrvtt(put(tmp_path, [0, 6512, 6513, 7009, 7010, 9999]))
    assert names(splits["train"]) == ["video0", "video6512"]
    assert names(splits["validate"]) == ["video6513", "video7009"]
    assert names(splits["test"]) == ["video7010", "video9999"]
    assert names(splits["all"]) == ["video0", "video6512", "video6513", "video7009", "video7010", "video9999"]


def test_splits_of_the_annotations_come_first(tmp_path):
    said = [{"video_id": "video1", "split": "test"}, {"video_id": "video9000", "split": "train"}, {"video_id": "x"}]
    splits = read_msrvtt(put(tmp_path, [1, 2, 9000], videos=said))
    assert names(splits["test"]) == ["video1"] and names(splits["train"]) == ["video2", "video9000"]


def test_videos_are_in_the_order_of_their_numbers_wherever_they_lie(tmp_path):
    put(tmp_path, [10, 2], folder="a")
    splits = read_msrvtt(put(tmp_path, [100, 1, 10, 2], folder="b/c"))
    assert names(splits["all"]) == ["video1", "video2", "video10", "video100"]


def test_captions_are_in_the_order_of_the_sentences(tmp_path):
    (video,) = read_msrvtt(put(tmp_path, [5]))["all"]
    assert video.captions == ("one of 5", "two of 5") and video.label == ""


def test_annotations_as_coco_has_them(tmp_path):
    put(tmp_path, [3], said=False)
    said = {"annotations": [{"image_id": "video3", "caption": "a dog"}, {"image_id": "video4", "caption": "no file"}]}
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(said), encoding="utf-8")
    (tmp_path / "list.json").write_text("[1, 2]", encoding="utf-8")  # somebody else's
    splits = read_msrvtt(tmp_path)
    assert [video.captions for video in splits["all"]] == [("a dog",)] and splits["test"] == []


def test_a_video_without_a_caption_is_in_no_split(tmp_path):
    put(tmp_path, [1, 2])
    (tmp_path / "videos" / "video3.mp4").touch()
    (tmp_path / "videos" / "video_thumbnail.mp4").touch()
    assert names(read_msrvtt(tmp_path)["all"]) == ["video1", "video2"]


@pytest.mark.parametrize("value", [None, 7, ["a", "b"]])
def test_what_is_no_text_is_no_caption(tmp_path, value):
    put(tmp_path, [1, 2], said=False)
    said = [{"video_id": "video1", "caption": value}, {"video_id": "video2", "caption": "a cat"}]
    (tmp_path / "a.json").write_text(json.dumps({"sentences": said}), encoding="utf-8")
    assert [(v.path.stem, v.captions) for v in read_msrvtt(tmp_path)["all"]] == [("video2", ("a cat",))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"a\.json is no JSON .*; delete it or fetch it again"),
        ('{"sentences": [3]}', r"a\.json has other fields than MSR-VTT's"),
        ('{"sentences": 3}', r"a\.json has other fields than MSR-VTT's"),
        ('{"videos": [null]}', r"a\.json has other fields than MSR-VTT's"),
        ("{}", "does not look like MSR-VTT: no JSON file with sentences"),
    ],
)
def test_annotations_that_cannot_be_used(tmp_path, content, words):
    put(tmp_path, [1], said=False)
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_msrvtt(tmp_path)


def test_no_videos(tmp_path):
    with pytest.raises(UserError, match=r"no video<N>\.mp4 in it or below"):
        read_msrvtt(put(tmp_path, [1], suffix=".txt"))

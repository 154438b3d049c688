"""What a folder of shards says of itself: numbers by hand, damage by its file, other content refused by its name."""

import json
from dataclasses import asdict, replace

import pytest

from artv.data.shard_index import (
    INDEX,
    OLDER,
    SUM,
    ShardIndex,
    begun_with,
    claim_shards,
    is_shards,
    read_index,
    shard_name,
)
from artv.errors import UserError

ONE = ShardIndex(
    data="builtin", clips=600, num_frames=16, size=64, fps=8.0, encoders="abc", source="shapes@2", device="cpu",
    settings="d1e",
)  # fmt: skip


@pytest.mark.parametrize(
    ("clips", "each", "shards"), [(1, 256, [1]), (256, 256, [256]), (257, 256, [256, 1]), (600, 256, [256, 256, 88])]
)
def test_clips_are_divided_among_files(clips, each, shards):
    index = replace(ONE, clips=clips, clips_a_shard=each)
    assert [index.clips_in(k) for k in range(index.shards)] == shards and sum(shards) == clips


@pytest.mark.parametrize("name", ["clips", "num_frames", "size", "clips_a_shard"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None])
def test_numbers_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*; it must be a whole number, at least 1"):
        replace(ONE, **{name: value})


@pytest.mark.parametrize("fps", [0, -8.0, float("inf"), float("nan"), "8"])
def test_rates_that_cannot_be(fps):
    with pytest.raises(ValueError, match=r"fps is .*; it must be a number above 0"):
        replace(ONE, fps=fps)


def whole(folder, index=ONE):
    claim_shards(folder, index)
    for k in range(index.shards):
        (folder / shard_name(k)).write_bytes(b"")
    return folder


def test_what_was_claimed_is_read_back(tmp_path):
    assert not is_shards(tmp_path)
    whole(tmp_path)
    assert is_shards(tmp_path) and read_index(tmp_path) == ONE
    assert [p.name for p in sorted(tmp_path.glob("*.tar"))] == ["000000.tar", "000001.tar", "000002.tar"]


def test_claiming_again_changes_nothing(tmp_path):
    before = (whole(tmp_path) / INDEX).read_bytes()
    claim_shards(tmp_path, ONE)
    assert (tmp_path / INDEX).read_bytes() == before
    assert begun_with(tmp_path) == asdict(ONE)


def test_what_another_device_encoded_is_not_gone_on_with_but_there(tmp_path):
    whole(tmp_path)
    with pytest.raises(UserError, match="device = cpu, not cuda; use another folder, or --device cpu"):
        claim_shards(tmp_path, replace(ONE, device="cuda"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"clips": 601}, "clips = 600, not 601"),
        ({"data": "mine"}, "data = builtin, not mine"),
        ({"fps": 4.0}, r"fps = 8\.0, not 4\.0"),
        ({"encoders": "xyz"}, "encoders = abc, not xyz"),
        ({"source": "shapes@1"}, "source = shapes@2, not shapes@1"),
        ({"precision": "fp16"}, "precision = fp32, not fp16"),
        ({"text": "fp16"}, "text = fp32, not fp16"),
        ({"settings": "f00"}, "settings = d1e, not f00"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, changed, words):
    whole(tmp_path)
    with pytest.raises(UserError, match=f"holds shards with {words}; use another folder"):
        claim_shards(tmp_path, replace(ONE, **changed))


def test_missing_files_are_counted(tmp_path):
    whole(tmp_path)
    (tmp_path / shard_name(1)).unlink()
    with pytest.raises(UserError, match="1 of 3 shards are missing; run the command that makes them again"):
        read_index(tmp_path)


@pytest.mark.parametrize("field", ["clips", "fps", "encoders", "data"])
def test_a_field_that_was_changed_is_noticed(tmp_path, field):
    stored = json.loads((whole(tmp_path) / INDEX).read_text(encoding="utf-8"))
    stored[field] = 7 if field in ("clips", "fps") else "other"
    (tmp_path / INDEX).write_text(json.dumps(stored), encoding="utf-8")
    for use in (lambda: read_index(tmp_path), lambda: claim_shards(tmp_path, ONE)):
        with pytest.raises(UserError, match=r"index\.json is damaged; delete the folder's shards"):
            use()


def test_a_folder_of_before_there_were_checksums_and_sources(tmp_path):
    fields = {k: v for k, v in asdict(ONE).items() if k not in OLDER}
    (tmp_path / INDEX).write_text(json.dumps(fields), encoding="utf-8")
    for k in range(3):
        (tmp_path / shard_name(k)).write_bytes(b"")
    assert read_index(tmp_path) == replace(ONE, **OLDER)
    claim_shards(tmp_path, replace(ONE, source="shapes@1"))
    assert begun_with(tmp_path) == fields | OLDER and begun_with(tmp_path / "new") == {}
    with pytest.raises(UserError, match="precision = fp32, not bf16"):
        claim_shards(tmp_path, replace(ONE, precision="bf16"))


@pytest.mark.parametrize("content", ["{", "[]", "3", "{}", '{"clips": 1}', '{"cips": 1}'])
def test_an_index_that_is_none_names_its_file(tmp_path, content):
    (tmp_path / INDEX).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.json") as caught:
        read_index(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_checksum_is_of_the_fields_whatever_their_order(tmp_path):
    stored = json.loads((whole(tmp_path) / INDEX).read_text(encoding="utf-8"))
    assert len(stored[SUM]) == 64
    (tmp_path / INDEX).write_text(json.dumps(dict(reversed(stored.items()))), encoding="utf-8")
    assert read_index(tmp_path) == ONE


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write to .*; choose another folder"):
        claim_shards(tmp_path / "file" / "run", ONE)

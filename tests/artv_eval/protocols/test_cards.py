"""Protocol cards: hashes, errors that name the field, and the clips they give."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from artv.data.listing import words_of
from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv.video import write_video
from artv_eval.features.preprocess import Transform
from artv_eval.files.decoding import Excerpt, read_excerpt
from artv_eval.files.describe import check_rates
from artv_eval.protocols.cards import cards, load, read_card, shapes_1

NAMES = (
    "vbench@946",
    "vbench-long@946",
    "moviegen@1003",
    "evalcrafter@700",
    "t2v-compbench@1400",
    "ucf101@videopoet",
    "ucf101@lavie",
    "ucf101@stylegan-v",
    "msrvtt@lavie",
    "msrvtt@videopoet",
    "shapes@1",
    "shapes@2",
    "long@rolling-forcing",
    "long@lv-bench",
)


def video(path, frames=20, height=24, width=32, value=None, fps=25.0):
    """A file whose frame t is grey of about 10·t, or of ``value``."""
    grey = np.arange(frames) * 10 if value is None else np.full(frames, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(
        path, np.broadcast_to(grey.astype(np.uint8)[:, None, None, None], (frames, height, width, 3)).copy(), fps
    )
    return path


def test_every_promised_card_is_there_with_a_source():
    assert set(cards()) == set(NAMES)
    for name, path in cards().items():
        card = read_card(path)
        assert card.name == name and card.source and card.metrics


def test_hashes_differ_between_cards_and_follow_what_numbers_depend_on(tmp_path):
    assert len({read_card(path).hash for path in cards().values()}) == len(NAMES)
    values = yaml.safe_load(cards()["shapes@1"].read_text())

    def hash_of(**changes):
        file = tmp_path / "card.yaml"
        file.write_text(yaml.safe_dump(values | changes))
        return read_card(file).hash

    same = read_card(cards()["shapes@1"]).hash
    assert hash_of() == hash_of(title="other", notes="other", metrics=["fvd"]) == same
    assert hash_of(frames=values["frames"] | {"lengths": "same"}) == same  # what is younger than cards, and not used
    changed = [
        hash_of(frames=values["frames"] | {"fps": 4}),
        hash_of(frames=values["frames"] | {"stride": 2}),
        hash_of(frames=values["frames"] | {"lengths": "each"}),
        hash_of(features=values["features"] | {"covariance": "n"}),
        hash_of(reference=values["reference"] | {"number": 100}),
        hash_of(transform={"size": 48, "filter": "area"}),
        hash_of(first_frame=False),
    ]
    assert len({same, *changed}) == len(changed) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["frames"].update(fpz=8), r"'frames.fpz'; did you mean fps\?"),
        (lambda v: v.update(metricz=["fvd"]), "'metricz'; did you mean metrics"),
        (lambda v: v["frames"].update(number=0), "'frames.number' is 0: input should be greater"),
        (lambda v: v["reference"].update(which="last"), "'reference.which' is 'last'"),
        (lambda v: v.pop("source"), "'source' is missing"),
        (lambda v: v["features"].update(covariance="unbiased"), "'features.covariance'"),
        (lambda v: v.update(transform={"filter": "spline"}), "'transform.filter' is 'spline'"),
        (lambda v: v.update(transform={"crop": 72}), "'transform.crop' is 72 and frames have 64 pixels there"),
        (lambda v: v["prompts"].update(text="class-name"), "prompts.text is 'class-name'; shapes has captions only"),
        (lambda v: v["frames"].update(width=128), "frames are 64 x 128; shapes draws squares"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, change, message):
    values = yaml.safe_load(cards()["shapes@1"].read_text())
    change(values)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=message):
        load(str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [(": :", "no YAML"), ("- 1", "holds a list"), (None, "does not exist"), ("a: 1\na: 2", "'a' is given twice")],
)
def test_a_file_that_is_no_card_is_refused(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=message):
        load(str(file))


def test_an_unknown_name_lists_the_closest():
    with pytest.raises(UserError, match="did you mean shapes@"):
        load("shapes@9")


def test_shapes_requests_are_test_clips_with_truth_and_labels():
    protocol, world = shapes_1(), ShapesWorld("test")
    requests = protocol.requests(num=70, seed=3)
    assert len(requests) == 70 and [r.index for r in requests[64:67]] == [64, 65, 66]
    request, clip = requests[65], world.clip(65)
    assert request.prompt == clip.caption
    np.testing.assert_array_equal(request.real, clip.frames)
    np.testing.assert_array_equal(request.first_frame, clip.frames[0])
    np.testing.assert_array_equal(request.labels["motion"], clip.motion)
    assert (request.num_frames, request.height, request.width, request.fps) == (16, 64, 64, 8)
    assert request.seed != protocol.requests(num=70, seed=4)[65].seed
    assert len({r.seed for r in requests}) == 70


def test_shapes_reference_shares_no_clip_with_the_requests():
    protocol = shapes_1()
    first = protocol.reference()[0][1].frames
    np.testing.assert_array_equal(first, ShapesWorld("test").clip(1_000_000).frames)
    assert len(protocol.reference()) == 512
    with pytest.raises(UserError, match="ask for fewer"):
        protocol.requests(num=1_000_001)


def test_the_length_of_clips_is_the_protocols_and_no_call_changes_it():
    protocol, short = shapes_1(), shapes_1().with_frames(5)
    assert short.requests(num=2)[1].real.shape[0] == short.reference()[0][1].frames.shape[0] == 5
    assert protocol.requests(num=2, frames=5)[1].real.shape[0] == 5
    assert protocol.reference()[0][1].frames.shape[0] == 16
    assert short.hash == protocol.hash


def test_overlap_of_prompts_and_reference_is_refused(tmp_path):
    values = yaml.safe_load(cards()["shapes@1"].read_text())
    values["reference"]["first"] = 100
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="overlap"):
        load(str(tmp_path / "c.yaml"))


def test_cards_hand_their_conventions_to_the_metrics():
    settings = load("ucf101@stylegan-v").extractor_settings["clips"]
    assert settings["ddof"] == 0 and settings["feature"] == {"name": "i3d-torchscript"}
    assert settings["transform"] == {"crop": "largest", "size": 256, "filter": "lanczos"}
    settings = load("msrvtt@videopoet").extractor_settings
    assert (settings["clips"]["subset"], settings["clips"]["repeats"]) == (2048, 20)
    assert settings["pictures"]["feature"]["model"] == "ViT-B-16"


def test_data_folder_must_be_given_and_be_the_data_set(tmp_path):
    with pytest.raises(UserError, match=r"protocol\.root=FOLDER"):
        load("ucf101@lavie").requests(2)
    for name, what in (("ucf101@lavie", "UCF-101"), ("msrvtt@lavie", "MSR-VTT")):
        with pytest.raises(UserError, match=f"does not look like {what}"):
            load(name, root=str(tmp_path)).requests(2)
        with pytest.raises(UserError, match="does not exist"):
            load(name, root=str(tmp_path / "nowhere")).requests(2)


@pytest.fixture
def ucf(tmp_path):
    for name in ("Archery", "JumpRope"):
        for clip in (1, 2):
            video(tmp_path / "UCF-101" / name / f"v_{name}_g01_c0{clip}.avi", value=60 * clip)
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g01_c01.avi 1\nJumpRope/v_JumpRope_g01_c01.avi 2\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c02.avi\nJumpRope/v_JumpRope_g01_c02.avi\n")
    return tmp_path


def test_ucf101_loader(ucf):
    protocol = load("ucf101@lavie", root=str(ucf))
    assert [r.prompt for r in protocol.requests(num=3)] == ["Archery", "Jump Rope", "Archery"]
    assert protocol.requests(num=3)[0].first_frame is None
    reference = protocol.reference(frames=4)
    assert len(reference) == 4
    assert reference[1][1].frames.shape == (4, 270, 360, 3) and abs(int(reference[1][1].frames.mean()) - 120) < 6


def test_ucf101_random_reference_repeats_videos_only_after_all_were_used(ucf):
    protocol = load("ucf101@videopoet", root=str(ucf))
    paths, _ = protocol.reference_files()
    assert len(paths) == 10000 and all(len(set(paths[i : i + 2])) == 2 for i in range(0, 100, 2))
    one = protocol.reference(frames=3)[5][1].frames
    np.testing.assert_array_equal(one, load("ucf101@videopoet", root=str(ucf)).reference(frames=3)[5][1].frames)


def test_stylegan_v_takes_the_first_files_of_both_splits_each_at_its_own_rate(ucf, tmp_path):
    with pytest.raises(UserError, match="has 4 videos; protocol ucf101@stylegan-v asks for 2048"):
        load("ucf101@stylegan-v", root=str(ucf)).reference_files()
    values = yaml.safe_load(cards()["ucf101@stylegan-v"].read_text(encoding="utf-8"))
    values["reference"]["number"] = 3
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    slow = video(ucf / "UCF-101" / "Archery" / "v_Archery_g01_c02.avi", fps=12.5)
    paths, excerpt = load(str(tmp_path / "few.yaml"), root=str(ucf)).reference_files()
    assert [path.stem for path in paths] == ["v_Archery_g01_c01", slow.stem, "v_JumpRope_g01_c01"]
    assert (excerpt.fps, excerpt.which) == (None, "random")
    check_rates(excerpt, {25.0: paths[0], 12.5: slow})
    with pytest.raises(UserError, match="say at which rate"):
        check_rates(Excerpt(frames=4), {25.0: paths[0], 12.5: slow})


def test_frames_stored_by_stylegan_vs_script_are_those_of_pillow(tmp_path):
    """Its ``q=95`` is no option of Pillow's JPEG, so that the quality is the default."""
    from torchvision.transforms import functional as TVF

    own = read_card(cards()["ucf101@stylegan-v"]).reference.transform
    clip = np.random.default_rng(0).integers(0, 256, (2, 240, 320, 3), dtype=np.uint8)
    clip = clip.repeat(2, 1).repeat(2, 2)[:, :240, :320]
    for frame, ours in zip(clip, own(clip), strict=True):
        picture = TVF.resize(Image.fromarray(frame), size=256, interpolation=Image.Resampling.LANCZOS)
        TVF.center_crop(picture, output_size=(256, 256)).save(tmp_path / "frame.jpg", q=95)
        np.testing.assert_array_equal(ours, np.asarray(Image.open(tmp_path / "frame.jpg")))
    assert own.output_size(240, 320) == (256, 256)


def test_lavies_crop_is_taken_straight_from_the_frames():
    card = read_card(cards()["ucf101@lavie"])
    clip = np.random.default_rng(0).integers(0, 256, (1, 320, 512, 3), dtype=np.uint8)
    cropped = card.transform.model_copy(update={"size": None})(clip)
    np.testing.assert_array_equal(cropped, clip[:, 25:295, 121:391])
    assert card.reference.transform.output_size(240, 320) == (270, 360)  # of a real video, which has 240 lines


def test_fields_younger_than_a_card_leave_its_hash(tmp_path):
    known = {"shapes@1": "3cc45364e4eb", "msrvtt@lavie": "610288a4850a", "shapes@2": "c44ea69660b5"}
    assert {name: read_card(cards()[name]).hash for name in known} == known
    values = yaml.safe_load(cards()["shapes@1"].read_text(encoding="utf-8"))
    for part, change in (("transform", {"jpeg": 75}), ("prompts", {"follow": "videos"}),
                         ("reference", {"transform": {"size": 32}})):  # fmt: skip
        changed = values | {part: values.get(part, {}) | change}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        assert read_card(tmp_path / "c.yaml").hash != known["shapes@1"]


def test_hash_follows_the_reference_files(ucf):
    before = load("ucf101@lavie", root=str(ucf)).hash
    assert before == load("ucf101@lavie", root=str(ucf)).hash != load("ucf101@lavie").hash
    video(ucf / "UCF-101" / "Archery" / "v_Archery_g02_c01.avi")
    assert load("ucf101@lavie", root=str(ucf)).hash != before


def test_pinned_reference_digest_must_match(ucf, tmp_path):
    values = yaml.safe_load(cards()["ucf101@lavie"].read_text())
    values["reference"]["digest"] = "0" * 12
    (tmp_path / "pinned.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="pins reference files"):
        _ = load(str(tmp_path / "pinned.yaml"), root=str(ucf)).hash


def test_class_sentences_come_from_the_users_file(ucf, tmp_path):
    with pytest.raises(UserError, match=r"protocol\.sentences=FILE"):
        load("ucf101@videopoet", root=str(ucf)).requests(2)
    file = tmp_path / "sentences.csv"
    file.write_text('Archery,"A person shoots an arrow."\n')
    with pytest.raises(UserError, match="no sentence for class 'JumpRope'"):
        load("ucf101@videopoet", root=str(ucf), sentences=str(file)).requests(2)
    file.write_text('Archery,"A person shoots an arrow."\nJumpRope,"A child, outside, jumps rope."\n')
    protocol = load("ucf101@videopoet", root=str(ucf), sentences=str(file))
    requests, before = protocol.requests(4), protocol.hash
    sentences, rng = ["A person shoots an arrow.", "A child, outside, jumps rope."], np.random.default_rng(0)
    drawn = [*rng.permutation(2), *rng.permutation(2)]  # of the test split's two videos
    assert [r.prompt for r in requests] == [sentences[i] for i in drawn]
    file.write_text(file.read_text().replace("an arrow", "arrows"))  # other prompts are another protocol
    assert load("ucf101@videopoet", root=str(ucf), sentences=str(file)).hash != before


def test_msrvtt_loader(tmp_path):
    for number in (7010, 7011, 3):
        video(tmp_path / "videos" / "all" / f"video{number}.mp4", frames=40)
    sentences = [
        {"video_id": f"video{number}", "caption": f"{number} {k}", "sen_id": k}
        for number in (7010, 7011, 3)
        for k in (0, 1)
    ]
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "info.json").write_text(json.dumps({"sentences": sentences}))
    every = load("msrvtt@videopoet", root=str(tmp_path)).requests(num=4)
    assert [r.prompt for r in every] == ["7010 0", "7010 1", "7011 0", "7011 1"]
    one = load("msrvtt@lavie", root=str(tmp_path))
    assert [r.prompt.split()[0] for r in one.requests(num=2)] == ["7010", "7011"]
    assert len(one.reference()) == 2
    with pytest.raises(UserError, match="has 2 prompts"):
        one.requests(num=3)
    before = one.hash
    assert load("msrvtt@lavie", root=str(tmp_path)).hash == before
    sentences[0]["caption"] = sentences[1]["caption"] = "another"  # other prompts are another protocol
    (tmp_path / "annotation" / "info.json").write_text(json.dumps({"sentences": sentences}))
    assert load("msrvtt@lavie", root=str(tmp_path)).hash != before


def test_excerpts_of_a_video(tmp_path):
    path = video(tmp_path / "v.mp4", frames=20, fps=20.0)

    def grey(seed=0, **settings):
        clip = read_excerpt(path, Excerpt(**settings), seed)
        assert clip.fps == 20
        return (clip.shown.mean((1, 2, 3)) / 10).round().astype(int).tolist()

    assert grey(frames=4, fps=None) == [0, 1, 2, 3]
    assert grey(frames=4, fps=10.0) == [0, 2, 4, 6]
    assert grey(frames=3, fps=10.0, stride=2) == [0, 4, 8]
    assert grey(frames=4, fps=None, which="centre") == [8, 9, 10, 11]
    first = grey(frames=4, fps=None, which="random", seed=1)
    assert first == grey(frames=4, fps=None, which="random", seed=1) and first[3] - first[0] == 3
    with pytest.raises(UserError, match=r"v\.mp4 has 10 frames at 10 fps; the protocol needs 12"):
        read_excerpt(path, Excerpt(frames=12, fps=10.0))


def test_transform_scales_crops_and_scales():
    clip = np.zeros((2, 24, 32, 3), np.uint8)
    clip[:, :, 16:] = 200
    out = Transform(shorter_side=48, crop=40, size=20)(clip)
    assert out.shape == (2, 20, 20, 3) and out.dtype == np.uint8
    assert out[:, :, :9].max() < 10 and out[:, :, 11:].min() > 190
    assert Transform(crop="largest")(clip).shape == (2, 24, 24, 3)
    assert Transform()(clip) is clip
    with pytest.raises(UserError, match="does not fit"):
        Transform(crop=25)(clip)


@pytest.mark.parametrize("height, width", [(24, 32), (37, 20), (50, 50)])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"size": 9},
        {"crop": 16},
        {"crop": "largest"},
        {"shorter_side": 31},
        {"shorter_side": 30, "crop": "largest"},
        {"shorter_side": 30, "crop": 20, "size": 11},
    ],
)
def test_a_transform_knows_the_size_of_what_it_gives(fields, height, width):
    transform = Transform(**fields)
    assert transform(np.zeros((1, height, width, 3), np.uint8)).shape[1:3] == transform.output_size(height, width)


def test_filters_differ_on_fine_texture_and_agree_on_flat_colour():
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    flat = np.full_like(fine, 77)
    names = ("bilinear", "bilinear-antialias", "bicubic", "bicubic-antialias", "area", "nearest")
    spread = {name: Transform(size=24, filter=name)(fine).std() for name in names}
    assert spread["bilinear"] > 1.3 * spread["bilinear-antialias"]
    assert all((Transform(size=24, filter=name)(flat) == 77).all() for name in names)


def test_class_names_become_words():
    assert [words_of(n) for n in ("ApplyEyeMakeup", "YoYo", "TaiChi")] == ["Apply Eye Makeup", "Yo Yo", "Tai Chi"]


def test_cards_are_packaged_data():
    assert all(Path(path).is_file() for path in cards().values())

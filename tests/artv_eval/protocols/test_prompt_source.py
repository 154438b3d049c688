"""The user's prompts as a source of clips: which text, seed and picture each begins with."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from artv.errors import UserError
from artv_eval.protocols.card import Known
from artv_eval.protocols.prompt_source import PromptSource
from artv_eval.protocols.sources import request_seed

CARD = SimpleNamespace(
    name="mine@1", first_frame=False,
    frames=SimpleNamespace(height=8, width=12, fps=24.0, stride=2),
    prompts=SimpleNamespace(dataset="texts", exact=False), known=Known(),
)  # fmt: skip


def card(**changes):
    return SimpleNamespace(**{**vars(CARD), **changes})


@pytest.fixture
def written(tmp_path):
    (tmp_path / "p.txt").write_text("a dog\na cat\n", encoding="utf-8")
    return tmp_path / "p.txt"


@pytest.fixture
def pictured(tmp_path):
    Image.fromarray(np.full((8, 12, 3), 200, np.uint8)).save(tmp_path / "dog.png")
    (tmp_path / "p.csv").write_text("prompt,image\na dog,dog.png\na cat,\n", encoding="utf-8")
    return tmp_path / "p.csv"


def test_every_prompt_has_a_random_seed_of_its_own(written):
    source = PromptSource(CARD, str(written))
    requests = list(source.requests(2, 16, seed=5))
    assert len(source) == 2 and [(r.index, r.prompt, r.original) for r in requests] == [
        (0, "a dog", None),
        (1, "a cat", None),
    ]
    assert [r.seed for r in requests] == [request_seed(5, i) for i in range(2)] and requests[0].seed != requests[1].seed
    one = requests[0]
    assert (one.num_frames, one.height, one.width, one.fps, one.first_frame, one.real) == (16, 8, 12, 12.0, None, None)


def test_fewer_clips_are_the_first_of_more(written):
    source = PromptSource(CARD, str(written))
    few, many = source.requests(1, 16, 0), source.requests(2, 16, 0)
    assert list(few) == list(many)[:1] and len(many) == 2


def test_more_than_there_are_is_one_line(written):
    with pytest.raises(UserError, match=r"7 videos: .*p.txt has 2 prompts of 3 seeds each; ask for at most 6 with"):
        PromptSource(CARD, str(written)).check(7, 3)
    PromptSource(CARD, str(written)).check(6, 3)


def test_no_rate_is_eight_frames_a_second(written):
    frames = SimpleNamespace(height=8, width=12, fps=None, stride=1)
    assert PromptSource(card(frames=frames), str(written)).requests(1, 4, 0)[0].fps == 8.0


def test_without_a_file_everything_that_needs_one_says_so():
    source = PromptSource(CARD, None)
    assert source.digest() is None and source.files(16) is None
    for ask in (lambda: len(source), lambda: source.requests(1, 4, 0)[0], lambda: source.check(1, 1)):
        with pytest.raises(UserError, match=r"mine@1 takes prompts from a file of yours.*protocol\.prompts=FILE"):
            ask()


def test_a_clip_begins_with_its_prompts_picture_where_the_card_wants_one(pictured):
    source = PromptSource(card(first_frame=True), str(pictured))
    first = source.requests(2, 4, 0)[0].first_frame
    assert first.shape == (8, 12, 3) and first.dtype == np.uint8 and (first == 200).all()
    with pytest.raises(UserError, match=r"has none for 'a cat'; give a column image .*, or a card with"):
        _ = source.requests(2, 4, 0)[1]
    assert PromptSource(CARD, str(pictured)).requests(2, 4, 0)[0].first_frame is None


def test_the_digest_is_of_all_that_clips_depend_on(pictured, written):
    plain, begun = PromptSource(CARD, str(pictured)), PromptSource(card(first_frame=True), str(pictured))
    same = PromptSource(CARD, str(written))
    assert plain.digest() == same.digest() != begun.digest()
    before = begun.digest()
    Image.fromarray(np.full((8, 12, 3), 201, np.uint8)).save(pictured.with_name("dog.png"))
    assert PromptSource(begun.card, str(pictured)).digest() != before
    assert PromptSource(CARD, str(pictured)).digest() == plain.digest()
    written.write_text("a dog\na cow\n", encoding="utf-8")
    assert PromptSource(CARD, str(written)).digest() != plain.digest()


def test_wordings_in_another_order_are_doubted(tmp_path):
    things = [f"{colour} {thing}" for colour in ("crimson", "golden") for thing in
              ("kettle", "ladder", "violin", "turtle", "window", "basket")]  # fmt: skip
    (tmp_path / "p.txt").write_text("\n".join(things), encoding="utf-8")

    def doubt(wordings):
        (tmp_path / "longer.txt").write_text("\n".join(wordings), encoding="utf-8")
        return PromptSource(CARD, str(tmp_path / "p.txt"), str(tmp_path / "longer.txt")).said()

    assert doubt([f"slowly, a {thing} turns" for thing in things]) is None
    assert doubt([f"eine Szene mit Nummer {i}" for i in range(12)]) is None  # another language
    moved = [f"slowly, a {thing} turns" for thing in [*things[7:], *things[:7]]]
    said = "the wordings seem to be of other prompts: of 12 prompts whose words occur in them 2 have one in their own; "
    assert doubt(moved).startswith(said)  # seven places on, the last of each colour meet its colour again


def test_there_are_no_real_clips(written):
    with pytest.raises(UserError, match="has no real clips: its prompts are a file's"):
        PromptSource(CARD, str(written)).reference(16)


def seeded(tmp_path, text, name="s.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return PromptSource(CARD, str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "prompt,seed\na dog,7\na cat,1234\n"),
        ("s.jsonl", '{"prompt": "a dog", "seed": 7}\n{"prompt": "a cat", "seed": 1234}\n'),
    ],
)
def test_a_prompts_own_seed_is_its_clips(tmp_path, written, name, text):
    source = seeded(tmp_path, text, name)
    assert [r.seed for r in source.requests(2, 4, seed=0)] == [7, 1234] and source.said() is None
    assert len({r.seed for s in (0, 1) for r in source.requests(2, 4, seed=s)}) == 4  # --seed moves all of them
    others = (PromptSource(CARD, str(written)), seeded(tmp_path, "prompt,seed\na dog,7\na cat,1235\n", "o.csv"))
    assert source.digest() not in [other.digest() for other in others]
    with pytest.raises(UserError, match=r"gives each prompt its seed, and 4 seeds of each are asked for; take its"):
        source.check(8, 4)


@pytest.mark.parametrize("seed", ["-1", "1.0", "x", "4294967296", "²"])
def test_what_is_no_seed_is_named_with_its_line(tmp_path, seed):
    with pytest.raises(UserError, match=rf"s\.csv, line 3: seed is '{seed}'; it must be a whole number"):
        _ = seeded(tmp_path, f"prompt,seed\na dog,7\na cat,{seed}\n").prompts


def test_a_seed_for_some_prompts_alone_is_refused_and_for_none_it_is_none(tmp_path):
    with pytest.raises(UserError, match=r"gives 1 of 2 prompts a seed, and none to 'a cat'; give each"):
        _ = seeded(tmp_path, "prompt,seed\na dog,7\na cat,\n").prompts
    blank = seeded(tmp_path, "prompt,seed\na dog,\na cat,\n", "b.csv")
    assert [r.seed for r in blank.requests(2, 4, 5)] == [request_seed(5, i) for i in range(2)]


def test_columns_that_would_make_another_clip_are_said_not_to_be_used(tmp_path, pictured):
    said = seeded(tmp_path, "prompt,FPS,negative prompt,topic,steps\na dog,24,blurry,x,\n").said()
    assert "2 columns not used (FPS, negative prompt): the card says length" in said
    assert (
        "1 picture not used: with protocol mine@1 methods begin from the text alone"
        in PromptSource(CARD, str(pictured)).said()
    )
    assert PromptSource(card(first_frame=True), str(pictured)).said() is None
    assert PromptSource(CARD, str(tmp_path / "s.csv"), "negative prompt").said().count("(FPS)") == 1


def test_clips_that_are_not_independent_are_told(tmp_path):
    assert "1 prompt stood there before: intervals" in seeded(tmp_path, "prompt\na dog\na cat\na dog\n").said()
    assert (
        "3 prompts have 1 seed: clips of one seed begin"
        in seeded(tmp_path, "prompt,seed\na dog,42\na cat,42\na cow,42\n").said()
    )


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has two columns 'prompt'; keep one"):
        _ = seeded(tmp_path, "prompt,prompt\na dog,a cat\n").prompts

"""The user's own prompts: each kind of file gives the same prompts, and each mistake is named with its line."""

import csv
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.protocols.cards import cards, load, read_card
from artv_eval.protocols.prompt_files import read_prompts

TEXTS = ["a red circle, and a blue one", "ein Kreis — größer", "third"]


def write(path, kind):
    file = path / f"prompts.{kind}"
    with file.open("w", newline="", encoding="utf-8") as out:
        if kind == "txt":
            out.write("\n\n".join(TEXTS) + "\n")
        elif kind in ("csv", "tsv"):
            writer = csv.writer(out, delimiter="," if kind == "csv" else "\t")
            writer.writerows([["id", "prompt"], *([str(i), text] for i, text in enumerate(TEXTS))])
        elif kind == "json":
            json.dump([TEXTS[0], {"prompt": TEXTS[1]}, {"prompt": TEXTS[2], "id": 7}], out)
        else:
            out.writelines(json.dumps({"prompt": text, "extra": 1}) + "\n" for text in TEXTS)
    return file


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "json", "jsonl"])
def test_every_kind_gives_the_prompts_in_order(tmp_path, kind):
    assert [prompt.text for prompt in read_prompts(write(tmp_path, kind))] == TEXTS


def test_pictures_and_names(tmp_path):
    (tmp_path / "first.png").touch()
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "image": "first.png", "id": 3}\n', encoding="utf-8")
    (prompt,) = read_prompts(tmp_path / "p.jsonl")
    assert prompt.image == tmp_path / "first.png" and prompt.id == "3"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"\n \n", "holds no prompt"),
        ("a.txt", b"caf\xe9\n", "no text in UTF-8"),
        ("a.docx", b"x", "ends in '.docx'; give one of .txt"),
        ("a.csv", b"text\nx\n", "columns text: no 'prompt'"),
        ("a.csv", b"prompt\na, b\n", "line 2: more cells"),
        ("a.csv", b"id,prompt\n1\n", "line 2: fewer cells"),
        ("a.csv", b'id,prompt\n1," "\n', "line 2: the prompt is blank"),
        ("a.json", b'{"a": 1}', "holds a dict; it must be a list"),
        ("a.json", b"[1]", "line 1: give a text"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": \n', "line 2 is no JSON"),
        ("a.jsonl", b'{"prompt": "a", "image": "b.png"}', "line 1: image b.png does not exist"),
        ("a.jsonl", None, "does not exist"),
    ],
)
def test_mistakes_are_named(tmp_path, name, data, reason):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        read_prompts(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def card(path, **changes):
    values = yaml.safe_load(cards()["long@lv-bench"].read_text(encoding="utf-8"))
    values["prompts"] |= changes.pop("prompts", {})
    values["frames"] |= {"height": 8, "width": 16}
    file = path / "card.yaml"
    file.write_text(yaml.safe_dump(values | changes), encoding="utf-8")
    return str(file)


def test_a_card_takes_prompts_and_several_seeds_of_each(tmp_path):
    protocol = load(card(tmp_path, prompts={"seeds": 2}), prompts=str(write(tmp_path, "csv")))
    requests = protocol.requests(num=6, frames=3)
    assert [r.prompt for r in requests] == [text for text in TEXTS for _ in range(2)]
    assert len({r.seed for r in requests}) == 6 and requests[0].num_frames == 3
    with pytest.raises(UserError, match="3 prompts of 2 seeds each; ask for at most 6"):
        protocol.requests(num=7)
    with pytest.raises(UserError, match="no real clips"):
        protocol.reference()


def test_other_prompts_are_another_protocol(tmp_path):
    path = card(tmp_path)
    hashes = {kind: load(path, prompts=str(write(tmp_path, kind))).hash for kind in ("txt", "csv", "jsonl")}
    assert len(set(hashes.values())) == 1  # the same prompts
    (tmp_path / "other.txt").write_text("another\n", encoding="utf-8")
    assert load(path, prompts=str(tmp_path / "other.txt")).hash not in hashes.values()
    with pytest.raises(UserError, match=r"protocol\.prompts=FILE"):
        load(path).requests(num=1)


def test_first_frames_come_with_the_prompts(tmp_path):
    Image.fromarray(np.full((8, 16, 3), 77, np.uint8)).save(tmp_path / "first.png")
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "a", "image": "first.png"}\n{"prompt": "b"}\n', encoding="utf-8")
    requests = load(card(tmp_path, first_frame=True), prompts=str(file)).requests(num=2)
    assert (requests[0].first_frame == 77).all() and requests[0].first_frame.shape == (8, 16, 3)
    with pytest.raises(UserError, match="has none for 'b'"):
        requests[1]
    path = card(tmp_path, first_frame=True)
    before = load(path, prompts=str(file)).hash
    Image.fromarray(np.full((8, 16, 3), 78, np.uint8)).save(tmp_path / "first.png")
    assert load(path, prompts=str(file)).hash != before  # other pictures are other clips


def test_a_folder_holds_a_prompt_a_file_with_its_picture(tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name, text in (("b", "second"), ("a", "first\nline")):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        Image.fromarray(np.full((8, 16, 3), ord(name), np.uint8)).save(folder / f"{name}.png")
    protocol = load(card(tmp_path, prompts={"dataset": "folder"}, first_frame=True), prompts=str(folder))
    requests = protocol.requests()
    assert [r.prompt for r in requests] == ["first line", "second"]
    assert [int(r.first_frame[0, 0, 0]) for r in requests] == [ord("a"), ord("b")]
    with pytest.raises(UserError, match=r"holds no \.txt file"):
        read_prompts(tmp_path)


def test_two_wordings_are_two_named_sets_judged_by_the_prompts(tmp_path):
    table, longer = tmp_path / "p.csv", tmp_path / "extended.txt"
    table.write_text("prompt,long\na cat,a grey cat at noon\na dog,a dog that runs\n", encoding="utf-8")
    longer.write_text("a grey cat at noon\na dog that runs\n", encoding="utf-8")
    path = card(tmp_path)
    plain, column, file = (load(path, prompts=str(table), wording=w) for w in (None, "long", str(longer)))
    for protocol in (column, file):
        requests = protocol.requests()
        assert [r.prompt for r in requests] == ["a grey cat at noon", "a dog that runs"]
        assert ClipSet(requests, lambda i: None).prompts == ["a cat", "a dog"]  # what metrics compare with
        assert protocol.hash != plain.hash == load(path, prompts=str(table)).hash
    assert column.hash == file.hash and file.name == "long@lv-bench wording=extended"
    with pytest.raises(UserError, match=r"must be a column of .* that has a text for each of its 2 prompts"):
        load(path, prompts=str(table), wording="longer").requests()
    longer.write_text("one\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"1 texts and .* 2 prompts"):
        load(path, prompts=str(table), wording=str(longer)).requests()


def test_several_seeds_of_any_protocol():
    two, one = load("shapes@1", seeds=2), load("shapes@1")
    requests, plain = two.requests(num=5), one.requests(num=5)
    assert [r.prompt for r in requests] == [plain[i // 2].prompt for i in range(5)]
    assert (requests[1].first_frame == plain[0].first_frame).all() and len({r.seed for r in requests}) == 5
    assert two.hash != one.hash == load("shapes@1", seeds=1).hash and two.name == "shapes@1 seeds=2"
    assert two.reference().origin == one.reference().origin  # whose rows ship with the package
    with pytest.raises(UserError, match="seeds of a prompt is 0"):
        load("shapes@1", seeds=0)


def test_a_sweep_goes_by_prompt(cli, tmp_path):
    names = "baselines.names=copy-first,wrong-prompt"
    command = ("sweep", "--ablation", "baselines", "--set", names, "--no-sanity", "--seeds-per-prompt", 2)
    command += ("--num-videos", 4, "--frames", 4)
    outcome = cli(*command, "--metrics", "flicker", "--format", "json", "--out", tmp_path / "run")
    document = json.loads(outcome.out)
    assert outcome.code == 0 and {(r["n"], r["prompts"]) for r in document["rows"]} == {(4, 2)}
    assert {(c["n"], c["prompts"]) for c in document["comparisons"]} == {(4, 2)}
    report = cli("report", tmp_path / "run", "--power", "flicker=1", "--format", "long")
    assert "over prompts" in report.out + report.err and "prompts of 2 clips a cell" in report.out + report.err
    with (tmp_path / "run" / "per_clip.csv").open(encoding="utf-8", newline="") as file:
        assert {(int(line["index"]), int(line["prompt"])) for line in csv.DictReader(file)} == {
            (i, i // 2) for i in range(4)
        }


def test_without_ground_truth_there_are_no_sanity_rows_and_no_failure(cli, tmp_path):
    """Nor is ART-V, whose clips are 64 × 64, among methods that do not name it."""
    Image.fromarray(np.full((8, 16, 3), 77, np.uint8)).save(tmp_path / "first.png")
    file = tmp_path / "p.jsonl"
    file.write_text("".join(f'{{"prompt": "{w}", "image": "first.png"}}\n' for w in "ab"), encoding="utf-8")
    command = ("sweep", "--ablation", "baselines", "--prompts", file, "--frames", 4, "--metrics", "flicker")
    command += ("--protocol", card(tmp_path, first_frame=True), "--format", "json", "--set")
    outcome = cli(*command, "baselines.names=copy-first", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["rows"]
    assert {(row["cell"], row["sanity"], row["status"]) for row in rows} == {("copy-first", False, "ok")}
    lacking = cli(*command, "baselines.names=copy-first,real", "--out", tmp_path / "other")
    statuses = {row["cell"]: row["status"] for row in json.loads(lacking.out)["rows"]}
    assert statuses["real"] == "not available: the protocol has no ground truth" and lacking.code == 0


def test_a_sweep_takes_prompts(cli, tmp_path):
    file = write(tmp_path, "txt")
    command = ("sweep", "--ablation", "baselines", "--dry-run", "--format", "json", "--prompts", file)
    outcome = cli(*command, "--protocol", card(tmp_path, prompts={"seeds": 2}), "--metrics", "flicker")
    assert outcome.code == 0 and json.loads(outcome.out)["num_videos"] == 2 * len(TEXTS)
    refused = cli(*command)
    assert refused.code == 2 and "give the card too" in refused.err
    own = card(tmp_path, prompts={"dataset": "shapes"})
    assert "has prompts of its own (shapes)" in cli(*command, "--protocol", own).err


def test_cards_that_were_there_before_keep_their_hashes():
    assert read_card(cards()["shapes@1"]).hash == "3cc45364e4eb"
    assert read_card(cards()["msrvtt@lavie"]).hash == "610288a4850a"


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".json", ".jsonl"])
def test_a_line_ends_where_the_file_has_a_new_line_and_nowhere_else(tmp_path, suffix):
    """U+2028, a form feed and the like stand inside of prompts that were pasted from a page."""
    texts = ["a cat\u2028that sleeps", "a dog\x0c runs\x85", "a bird"]
    written = {
        ".txt": "\r\n".join(texts), ".csv": "\n".join(["prompt", *texts]),
        ".json": json.dumps(texts, ensure_ascii=False),
        ".jsonl": "\n".join(json.dumps(text, ensure_ascii=False) for text in texts),
    }  # fmt: skip
    (tmp_path / f"list{suffix}").write_bytes(written[suffix].encode())
    found = [prompt.text for prompt in read_prompts(tmp_path / f"list{suffix}")]
    assert [text.split() for text in found] == [text.split() for text in texts]


SUITES = {"vbench@946": (946, 5), "vbench-long@946": (946, 5), "moviegen@1003": (1003, 1), "evalcrafter@700": (700, 1)}


def unmarked(tmp_path, name):
    """The card of a suite without the prompts that it looks for, which lists of ours do not have."""
    values = yaml.safe_load(cards()[name].read_text(encoding="utf-8"))
    del values["known"]["prompts"]
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(tmp_path / "card.yaml")


@pytest.mark.parametrize("name", SUITES)
def test_public_suites_take_their_lists_and_no_shorter_ones(name, tmp_path):
    number, seeds = SUITES[name]
    file = tmp_path / "list.txt"
    file.write_text("".join(f"prompt {i}\n" for i in range(number)), encoding="utf-8")
    requests = load(unmarked(tmp_path, name), prompts=str(file)).requests()
    assert len(requests) == number * seeds and requests[-1].prompt == f"prompt {number - 1}"
    assert len(load(unmarked(tmp_path, name), prompts=str(file), seeds=1).requests()) == number
    file.write_text("only one\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"has 1 prompts and the list of protocol {name} as published {number}"):
        load(unmarked(tmp_path, name), prompts=str(file)).requests()


def test_lists_in_the_forms_of_vbench_moviegen_and_t2v_compbench(tmp_path):
    objects = [{"prompt_en": "a cat", "dimension": ["color"], "auxiliary_info": {}}, {"prompt_en": "a dog"}]
    (tmp_path / "info.json").write_text(json.dumps(objects), encoding="utf-8")
    assert [prompt.text for prompt in read_prompts(tmp_path / "info.json")] == ["a cat", "a dog"]
    (tmp_path / "tags.csv").write_text(
        'prompt,concept,motion_level\n"a, b","scene,camera motion",low\n', encoding="utf-8"
    )
    assert [prompt.text for prompt in read_prompts(tmp_path / "tags.csv")] == ["a, b"]
    folder = tmp_path / "prompts"
    folder.mkdir()
    for i in range(7):
        (folder / f"{i + 1}_kind.txt").write_text("".join(f"{i} {j}\n" for j in range(200)), encoding="utf-8")
    requests = load(unmarked(tmp_path, "t2v-compbench@1400"), prompts=str(folder)).requests()
    assert len(requests) == 1400 and (requests[200].prompt, requests[-1].prompt) == ("1 0", "6 199")


def test_evalcrafters_folder_and_compbenchs_meta_data(tmp_path):
    """A numbered file a prompt; a JSON list a category, whose objects say more of each prompt."""
    folder, meta = tmp_path / "prompts", tmp_path / "meta_data"
    folder.mkdir()
    for i in range(700):
        (folder / f"{i:04d}.txt").write_text(f"prompt {i}", encoding="utf-8")
    requests = load(unmarked(tmp_path, "evalcrafter@700"), prompts=str(folder)).requests()
    assert [request.prompt for request in requests] == [f"prompt {i}" for i in range(700)]
    (folder / "0699.txt").unlink()
    with pytest.raises(UserError, match="has 699 prompts and the list of protocol evalcrafter@700 as published 700"):
        load(unmarked(tmp_path, "evalcrafter@700"), prompts=str(folder)).requests()
    meta.mkdir()
    for name in ("action_binding", "consistent_attribute_binding", "dynamic_attribute_binding", "generative_numeracy",
                 "motion_binding", "object_interactions", "spatial_relationships"):  # fmt: skip
        items = [{"prompt": f"{name} {j}", "objects": "car, bird", "numbers": "1, 2"} for j in range(200)]
        (meta / f"{name}.json").write_text(json.dumps(items), encoding="utf-8")
    requests = load(unmarked(tmp_path, "t2v-compbench@1400"), prompts=str(meta)).requests()
    assert len(requests) == 1400 and requests[600].prompt == "generative_numeracy 0"


def test_a_card_pins_the_texts_of_its_prompts(tmp_path):
    file = write(tmp_path, "txt")
    found = load(card(tmp_path), prompts=str(file))._prompts.digest()
    assert load(card(tmp_path, prompts={"digest": found}), prompts=str(file)).hash
    with pytest.raises(UserError, match="pins prompts 0123 and these are"):
        _ = load(card(tmp_path, prompts={"digest": "0123"}), prompts=str(file)).hash

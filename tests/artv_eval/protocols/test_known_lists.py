"""Copies of published lists: another one is refused, and what is not known of a copy is said."""

import hashlib
import json
import subprocess

import pytest
import yaml
from typer.testing import CliRunner

from artv.errors import UserError
from artv_eval.cli import app
from artv_eval.protocols.card import read_card
from artv_eval.protocols.cards import cards, load

SUITES = ("vbench@946", "vbench-long@946", "moviegen@1003", "evalcrafter@700", "t2v-compbench@1400")
TEXTS = [f"Prompt {i}." for i in range(946)]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.fixture
def mine(tmp_path):
    """Makes a card of a suite with other things known of its list."""

    def make(name, **known):
        values = yaml.safe_load(cards()[name].read_text(encoding="utf-8")) | {"known": known}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return str(tmp_path / "mine.yaml")

    return make


@pytest.fixture
def copy(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", SUITES)
def test_a_list_of_as_many_other_prompts_is_refused(name, tmp_path):
    card = read_card(cards()[name])
    assert len(card.known.prompts) >= 9 and card.prompts.exact and card.known.digests
    lists = tmp_path / "lists" if card.known.each else tmp_path
    lists.mkdir(exist_ok=True)
    each = card.known.each or card.prompts.number
    for k in range(card.prompts.number // each):
        text = "".join(f"prompt {k} {i}\n" for i in range(each))
        (lists / f"list{k}.txt").write_text(text, encoding="utf-8")
    said = rf"is not the list of protocol {name} as published: of \d+ of its prompts that are looked for \d+ are not"
    with pytest.raises(UserError, match=said):
        load(name, prompts=str(lists if card.known.each else lists / "list0.txt")).requests()


def test_prompts_that_are_looked_for_are_found_however_they_are_spelt(mine, copy):
    marks = [sha("prompt 0"), sha("prompt 945")]  # without case and full stop
    assert len(load(mine("vbench@946", prompts=marks), prompts=str(copy), seeds=1).requests()) == 946
    with pytest.raises(UserError, match=r"of 3 of its prompts that are looked for 1 are not there; take that list, or"):
        load(mine("vbench@946", prompts=[*marks, sha("prompt 946")]), prompts=str(copy)).requests()


def test_each_list_of_a_folder_has_its_number(mine, tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, number in (("a", 199), ("b", 201), ("c", 1000)):
        (folder / f"{name}.txt").write_text("".join(f"{name} {i}\n" for i in range(number)), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.txt has 199 prompts and each list of protocol t2v-compbench@1400 .* 200"):
        load(mine("t2v-compbench@1400", each=200), prompts=str(folder)).requests()


def test_what_is_known_changes_no_hash_and_what_is_not_is_said(mine, copy, tmp_path):
    unknown = load(mine("vbench@946", prompts=[sha("prompt 7")]), prompts=str(copy))
    said, hash_ = unknown.conventions(), unknown.hash
    blob = subprocess.run(["git", "hash-object", str(copy)], capture_output=True, text=True, check=True).stdout.strip()
    whole = hashlib.sha256(copy.read_bytes()).hexdigest()
    digest = unknown._prompts.digest()
    assert f"digest {digest} of {copy} is not known to this version; 946 prompts (published: 946)" in said
    assert "all 1 that are looked for" in said and said.endswith(f"sha256 of the file is {whole}, its git blob {blob}")
    known = load(mine("vbench@946", digests={digest: "list of this test"}), prompts=str(copy))
    assert f"digest {digest} of {copy} is that of list of this test;" in known.conventions() and known.hash == hash_
    longer = tmp_path / "longer.txt"
    longer.write_text("\n".join(f"{text} More." for text in TEXTS), encoding="utf-8")
    other = load(mine("vbench@946", digests={digest: "list of this test"}), prompts=str(copy), wording=str(longer))
    assert "is that of list of this test" in other.conventions() and other.hash != hash_  # of the originals


def test_nothing_is_said_of_prompts_of_ones_own_or_without_a_file(copy):
    assert load("vbench@946").conventions() is None and load("shapes@1").conventions() is None
    assert load("long@rolling-forcing", prompts=str(copy)).conventions() is None


def test_protocols_show_says_it(mine, copy):
    shown = ["protocols", "show", mine("vbench@946"), "--set", f"protocol.prompts={copy}"]
    found = CliRunner().invoke(app, shown)
    assert found.exit_code == 0 and "# prompts: digest" in found.stdout, found.output
    assert yaml.safe_load(found.stdout)["known"] == {"digests": {}, "prompts": [], "each": None}
    assert "conventions" not in json.loads(CliRunner().invoke(app, [*shown, "--json"]).stdout)

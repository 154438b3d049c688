"""Text is UTF-8 whatever the machine's locale is, and a terminal that cannot show a letter shows another."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [file for place in ("artv", "artv_eval", "benchmarks", ".ci") for file in (ROOT / place).rglob("*.py")]
CODE += [file for file in (ROOT / "plugins").rglob("*.py") if "tests" not in file.parts]
NOT_TEXT = {"av", "Image", "os", "tarfile", "zipfile", "archive", "_archive"}  # whose open() takes no encoding
IN_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {"PYTHONIOENCODING": "latin-1"}  # of an old terminal: strict


def texts_without_an_encoding(tree):
    """Calls that read or write text in whatever encoding the locale says."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", None))
        of = getattr(call.func, "value", None)
        owner = getattr(of, "attr", getattr(of, "id", None))
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        words = [node.value for node in (*call.args, *given.values()) if isinstance(node, ast.Constant)]
        opens = name in ("open", "fdopen") and not (name == "open" and owner in NOT_TEXT)
        binary = any(isinstance(word, str) and "b" in word and set(word) <= set("rwaxb+") for word in words)
        of_path = isinstance(call.func, ast.Attribute)  # artv.files.read_text is in UTF-8
        text = (
            (of_path and name in ("read_text", "write_text"))
            or (opens and not binary)
            or ("text" in given and name in RUNS)
        )
        if text and not {"encoding", None} & given.keys():
            yield call.lineno


RUNS = ("run", "Popen", "check_output")


def test_every_text_is_read_and_written_in_a_named_encoding():
    assert len(CODE) > 150
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in CODE
        for line in texts_without_an_encoding(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not found


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("p.read_text()", True),
        ("p.open('w', newline='')", True),
        ("open(p)", True),
        ("run(c, text=True)", True),
        ("p.read_text(encoding='utf-8')", False),
        ("p.open('rb')", False),
        ("Image.open(p)", False),
    ],
)
def test_the_search_finds_what_it_looks_for(code, caught):
    assert bool(list(texts_without_an_encoding(ast.parse(code)))) == caught


def test_in_an_ascii_locale_cards_are_read_and_what_cannot_be_shown_is_replaced(tmp_path):
    card = (ROOT / "artv_eval" / "cards" / "shapes@1.yaml").read_text(encoding="utf-8")
    card = card.replace("title: ", "title: Bären, 熊 – ")
    (tmp_path / "mine.yaml").write_text(card, encoding="utf-8")
    program = [sys.executable, "-c", "from artv_eval.cli import main; main()", "protocols", "show", "mine.yaml"]
    done = subprocess.run(program, env=os.environ | IN_ASCII | LATIN, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "title: Bären, ? ? The synthetic shapes world" in done.stdout.decode("latin-1")


def test_a_caption_in_any_script_is_trained_and_scored_in_an_ascii_locale(tmp_path):
    (tmp_path / "captions.csv").write_text("file,caption\n1.mp4,熊\n", encoding="utf-8")
    code = "from artv.data.captions import read_captions; print(ascii(read_captions('.').lines))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | IN_ASCII, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.stdout.strip() == b"[('1.mp4', '\\u718a')]", done.stderr

"""The page of troubles quotes messages that the code has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUOTED = [quote for line in (ROOT / "docs" / "troubles.md").read_text(encoding="utf-8").splitlines()[8:]
          if line.startswith("| `") for quote in re.findall(r"`([^`]+)`", line.split("|")[1])]  # fmt: skip


def texts(node):
    """All texts of a module; what is filled in stands as …"""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in part.values)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


@pytest.fixture(scope="module")
def messages():
    files = [file for package in ("artv", "artv_eval") for file in (ROOT / package).rglob("*.py")]
    return "\n".join(text for file in files for text in texts(ast.parse(file.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("quote", QUOTED)
def test_the_message_is_one_of_ours(messages, quote):
    fixed = re.split(r"…|\bX\b|\bN\b|\bM\b|\bNAME\b|'", quote)
    missing = [part.strip() for part in fixed if len(part.strip()) > 3 and part.strip() not in messages]
    assert not missing


def test_there_are_rows():
    assert len(QUOTED) > 12

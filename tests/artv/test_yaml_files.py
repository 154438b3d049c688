"""YAML that people write: what is read, where it stands in the file, and what is too much of it."""

import pytest
import yaml

from artv.errors import UserError
from artv.yaml_files import BYTES, DEPTH, VALUES, parse_yaml, read_numbered_yaml, read_yaml

TEXTS = [
    "",
    "# nothing but a remark\n",
    "a: 1\nb: [1, 2.5, true, null, text]\n",
    "a: {b: {c: [x, {d: e}]}}\n",
    "base: &base {lr: 0.1, steps: 3}\nmodel: *base\nother: *base\n",
    "text: |\n  two\n  lines\n",
    "ä: ö\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_values_are_pyyamls(text):
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml(text.encode()) == yaml.safe_load(text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_holds_fields(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_yaml(file, "config") == (yaml.safe_load(text) or {})


@pytest.mark.parametrize(("inside", "allowed"), [(1, True), (DEPTH, True), (DEPTH + 1, False), (400, False)])
def test_depth_below_the_outermost(inside, allowed):
    text = "a: " + "[" * inside + "]" * inside
    if allowed:
        assert parse_yaml(text) == yaml.safe_load(text)
    else:
        with pytest.raises(ValueError, match=f"nested more than {DEPTH} deep"):
            parse_yaml(text)


@pytest.mark.parametrize(("more", "allowed"), [("", True), (", 1", False)])
def test_aliases_count_as_what_they_stand_for(more, allowed):
    """Fields and names are 3, a list is one beside what it holds: 3 + 1724 + 1 + 28 · 1724 = 50,000."""
    assert VALUES == 50_000
    text = f"a: &a [{', '.join('1' * 1723)}]\nb: [{', '.join(['*a'] * 28)}{more}]\n"
    if allowed:
        assert parse_yaml(text) == yaml.safe_load(text)
    else:
        with pytest.raises(ValueError, match="stands for more than 50000 values"):
            parse_yaml(text)


def test_number_of_bytes():
    assert parse_yaml("a: " + "x" * (BYTES - 3))["a"].startswith("xx")
    with pytest.raises(ValueError, match=f"it has {BYTES + 1} bytes, and may have {BYTES}"):
        parse_yaml("a: " + "x" * (BYTES - 2))


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x: {a: 1, a: 1}\n", "- {k: 1, j: 2, k: 3}\n"])
def test_a_field_given_twice(text):
    with pytest.raises(yaml.YAMLError, match=r"'[ak]' is given twice"):
        parse_yaml(text)


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "a: !!python/tuple [1]"]
)
def test_nothing_is_run_or_looked_up(text):
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\t- x", "a: 1\n---\nb: 2\n", "*nobody"])
def test_what_is_no_yaml_is_one_line(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"^plan .*x\.yaml is no YAML: ") as caught:
        read_yaml(file, "plan")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "kind"), [("3", "int"), ("text", "str"), ("[1]", "list"), ("true", "bool")])
def test_what_holds_no_fields(tmp_path, text, kind):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"holds a {kind}; it must be fields and values"):
        read_yaml(tmp_path / "x.yaml", "plan")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"plan .*x\.yaml does not exist"):
        read_yaml(tmp_path / "x.yaml", "plan")


def test_lines_are_where_values_begin(tmp_path):
    text = "# a remark\nname: x\ncells:\n  - a: 1\n    b: 2\n\n  - {a: 3,\n     b: [4,\n         5]}\n"
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    values, lines = read_numbered_yaml(file, "plan")
    assert values == yaml.safe_load(text)
    assert lines["name",] == 2 and lines["cells",] == 3
    assert lines["cells", 0] == 4 and lines["cells", 0, "b"] == 5
    assert lines["cells", 1] == lines["cells", 1, "a"] == 7
    assert lines["cells", 1, "b"] == 8 and lines["cells", 1, "b", 1] == 9
    written = text.splitlines()
    for place, line in lines.items():
        if isinstance(place[-1], str):
            assert f"{place[-1]}:" in written[line - 1]


def test_an_empty_file_has_no_lines(tmp_path):
    (tmp_path / "x.yaml").write_text("", encoding="utf-8")
    assert read_numbered_yaml(tmp_path / "x.yaml", "plan") == ({}, {})

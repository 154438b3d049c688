"""The author's guide: its examples run; what it must name, it names; no option is without help."""

import ast
import json
import re
from pathlib import Path

import pytest

import artv_eval
from artv_eval import testing
from artv_eval.plugins.components import KINDS, ROLES
from artv_eval.plugins.manager import PluginManager, PluginOptions

GUIDE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", GUIDE, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_example_that_holds_its_contract(kind, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", SECTIONS[kind], flags=re.DOTALL)
    (tmp_path / f"guide_{kind}.py").write_text(example)
    manager = PluginManager(PluginOptions(folders=(str(tmp_path),)))
    plugin = next(plugin for plugin in manager.plugins if plugin.name == f"guide_{kind}")
    assert plugin.status == "loaded" and not plugin.faults + plugin.warnings, plugin
    (component,) = plugin.components[kind]
    check = getattr(testing, f"check_{KINDS[kind].role}")
    check(manager.target(manager.find(kind, component.name)))
    assert testing.check_plugin(f"guide_{kind}", folders=(str(tmp_path),)).components[kind] == [component]


def test_the_training_time_ablation_of_the_guide_runs_from_nothing(cli, tmp_path):
    section = GUIDE[GUIDE.index("## An ablation of what is learnt") :]
    (example, *_) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text_dropout.py").write_text(example)
    outcome = cli(
        "--plugins-dir", "mine", "sweep", "--ablation", "text-dropout", "--train", "--train-steps", 1,
        "--set", "training.clips=4", "--set", "training.model.batch_size=2", "--set", "training.num_frames=3",
        "--num-videos", 2, "--frames", 2, "--steps", 1, "--metrics", "drift", "--format", "json", "--out", "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (pair,) = json.loads(outcome.out)["comparisons"]
    assert (pair["a"], pair["b"], pair["about"]) == ("text-dropout=0.1", "text-dropout=0.5", "checkpoints")
    twins = [json.loads(path.read_text())["settings"]["config"] for path in Path("runs/twins").glob("*/twin.json")]
    assert sorted(twin["drop_text"] for twin in twins) == [0.1, 0.5] and {twin["seed"] for twin in twins} == {1}
    page = Path("run/report.html").read_text(encoding="utf-8")
    section = page[page.index('<h2 id="losses">') :]
    for note in Path("run/cells").glob("*.twin.json"):  # the picture of the losses is of what the trainings logged
        shown = json.loads(note.read_text())
        log = Path(f"runs/twins/{shown['training']}/model/log.jsonl").read_text(encoding="utf-8").splitlines()
        logged = [(line["step"], line["loss"]) for line in map(json.loads, log) if "loss" in line]
        assert logged and [tuple(point) for point in shown["curves"]["loss"]] == logged
    assert ">training step<" in section and ">text-dropout=0.5<" in section


def test_the_guide_names_every_public_name():
    words = set(re.findall(r"[A-Za-z_]\w*", GUIDE))
    missing = ({*artv_eval.__all__, *testing.__all__, *KINDS, *(kind.hook for kind in KINDS.values())}) - words
    assert not missing
    roles = {"method", "sampler", "guidance", "mask", "anchor", "ref_noise", "first_frame", "feature", "protocol"}
    assert roles | {"acceleration", "executor"} <= set(ROLES) and roles <= words


def test_public_names_exist_and_are_documented():
    for module in (artv_eval, testing):
        for name in module.__all__:
            value = getattr(module, name)
            assert isinstance(value, int) or value.__doc__, name


def commands(command, path=()):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def test_every_command_and_option_has_help():
    import typer

    from artv_eval.cli import app

    found = dict(commands(typer.main.get_command(app)))
    assert {("sweep",), ("score",), ("report",), ("doctor",), ("plugins", "new"), ("protocols", "show")} <= set(found)
    for path, command in found.items():
        assert command.help or not path, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), (path, parameter.name)


def test_options_about_plugins_are_in_the_help(cli):
    text = cli("--help").out
    for option in ("-p no:NAME", "--plugins-dir", "--strict-plugins", "--lenient-plugins", "ARTV_EVAL_PLUGINS"):
        assert option in " ".join(text.split())
        assert option.split()[0] in GUIDE


def test_the_help_of_sweep_lists_the_ablations(cli):
    listed = json.loads(cli("plugins", "list", "--json").out)["plugins"]
    (ours,) = (plugin for plugin in listed if plugin["name"] == "defaults")
    text, known = cli("sweep", "--help").out, [c for c in ours["components"] if c["kind"] == "ablations"]
    assert known and all(f"  {c['name']} " in text and c["summary"] in text for c in known)


ROOT = Path(__file__).parents[2]


def test_the_map_of_the_code_names_what_is_there():
    text = (ROOT / "docs" / "code.md").read_text("utf-8")
    named = {name for name in re.findall(r"`([\w/.@-]+)`", text) if "/" in name or name.endswith(".py")}
    for name in named:
        name = name.rstrip("/")
        assert (ROOT / name).exists() or any(ROOT.glob(f"artv*/**/{name}")), name
    for package in ("artv", "artv_eval"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        section = text.split(f"## The rooms of `{package}`")[1].split("\n## ")[0]
        assert not {room for room in rooms if f"`{room}/`" not in section}, "a room that the map does not show"


def test_every_metric_has_its_formula():
    text = (ROOT / "docs" / "formulas.md").read_text("utf-8")
    manager = PluginManager(PluginOptions())
    (ours,) = (plugin for plugin in manager.plugins if plugin.name == "defaults")
    names = {re.sub("(^window_.*?)(_anywhere)?(_drift)?$", r"\1", c.name) for c in ours.components["metrics"]}
    assert not {name for name in names if f"`{name}`" not in text and f"`{name}:" not in text}


def defined(path: Path) -> set[str]:
    """``function``, ``Class``, ``Class.member`` and ``CONSTANT`` of a file."""
    body = ast.parse(path.read_text("utf-8")).body
    top = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    members = {f"{node.name}.{inner.name}" for node in top for inner in node.body if isinstance(inner, ast.FunctionDef)}
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    constants = {target.id for target in assigned if isinstance(target, ast.Name)}
    return {node.name for node in top} | members | constants


def test_where_the_map_sends_a_reader_the_thing_is():
    """Each line of "Where is …": the functions and classes that it names are in a file that it names."""
    section = (ROOT / "docs" / "code.md").read_text("utf-8").split("## Where is …")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "`" in line]
    found = []
    for line in lines:
        words = re.findall(r"`([\w/.]+)(?:\(\))?`", line)
        files = [ROOT / word for word in words if word.endswith(".py")]
        names = [word for word in words if "/" not in word]
        assert files and all(file.is_file() for file in files), line
        assert set(names) <= set().union(*map(defined, files)), line
        found += names
    asked = ("FVD", "cell's id", "mask composing the noise", "plugin's fault", "new sampler")
    assert all(any(question in line.split("|")[1] for line in lines) for question in asked)
    assert len(found) >= 8, "every line says which function or class"


def test_the_glossary_has_the_words_that_need_one():
    words = re.findall(r"\*\*([\w ]+)\*\*", (ROOT / "docs" / "glossary.md").read_text("utf-8"))
    needed = {"cell", "card", "row", "evaluator", "recipe", "digest", "reference set", "reference frames", "twin"}
    assert needed | {"crop", "patches", "clip excerpt", "sliding window", "component"} <= set(words)
    assert len(set(words)) == len(words), "one meaning a word"


def test_every_test_of_the_table_of_faults_is_there():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "faults.md").read_text("utf-8"))
    there = {
        file: {node.name for node in ast.walk(ast.parse((ROOT / "tests" / file).read_text("utf-8"))) if is_test(node)}
        for file in {file for file, _ in named}
    }
    assert len(named) > 150 and not [(file, test) for file, test in named if test not in there[file]]


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_every_line_of_the_table_of_faults_has_a_test_or_a_reason():
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    shown = [row.split(" | ")[-1].strip(" |") for row in rows if not row.startswith("| |")]
    assert len(shown) > 80 and all(shown)
    assert sum("::test_" not in text for text in shown) <= 2, "sources and the changelog are read by people"

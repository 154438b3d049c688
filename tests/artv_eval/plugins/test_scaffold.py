"""``plugins new`` as a new user follows it: write, build, install, list, test, run a sweep."""

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from distributions import build_wheel

from artv_eval.plugins.components import KINDS
from artv_eval.plugins.scaffold import new_plugin, trials
from tests.warm import run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A generated plugin with a component of every kind, and its wheel."""
    folder = tmp_path_factory.mktemp("written")
    root = new_plugin("brand-new", tuple(KINDS), folder / "work")
    return root, build_wheel(root, folder / "dist")


@pytest.fixture
def installed(site, written):
    """That plugin, installed for one test."""
    root, wheel = written
    site.install_wheels(wheel)
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "brand_new"]:
        del sys.modules[name]


def test_it_is_listed_with_all_its_components(installed, cli):
    plugins = json.loads(cli("plugins", "list", "--json").out)["plugins"]
    (plugin,) = [p for p in plugins if p["name"] == "brand-new"]
    assert (
        plugin["status"] == "loaded" and plugin["kinds"] == sorted(KINDS) and not plugin["faults"] + plugin["warnings"]
    )
    assert {component["name"] for component in plugin["components"]} == {"brand-new"}
    shown = json.loads(cli("plugins", "show", "brand-new", "--json").out)
    assert all(item["documentation"] and item["error"] is None for item in shown)


def test_it_passes_its_own_tests(installed):
    done = run("pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=installed)
    assert done.returncode == 0 and f"{len(KINDS) + 1} passed" in done.stdout, done.stdout + done.stderr


def test_its_components_run_in_a_sweep(installed, cli):
    outcome = cli(
        "sweep", "--protocol", "brand-new", "--num-videos", 3, "--frames", 4, "--metrics", "brand-new",
        "--executor", "brand-new", "--format", "brand-new", "--ablation", "only",
        "--plugins-dir", write_ablation(Path("own")),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    lines = [line.split()[:2] for line in outcome.out.splitlines()]
    assert lines == [["fading", "brand-new"], ["real", "brand-new"]]


def write_ablation(folder):
    """The generated ablation is of the model, which is slow: this one is of the generated method."""
    folder.mkdir()
    (folder / "only.py").write_text(
        "from artv_eval import Component, hookimpl\nfrom artv_eval.api import CellSpec\n\n"
        "@hookimpl\ndef register_ablations():\n    return [Component('only', f'{__name__}:only', 'x')]\n\n"
        "def only():\n    return lambda context: [CellSpec(name='fading', method='brand-new'),"
        " CellSpec(name='real', method='real', sanity=True)]\n"
    )
    return folder


def test_its_readme_and_metadata_name_the_chosen_kinds_only(tmp_path):
    root = new_plugin("small-one", ("samplers",), tmp_path)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["artv_eval"] == {"small-one": "small_one"}
    assert sorted(path.name for path in (root / "src" / "small_one").iterdir()) == ["__init__.py", "samplers.py"]
    readme = (root / "README.md").read_text()
    assert re.findall(r"^    (artv-eval sweep .*)", readme, flags=re.MULTILINE) == [
        command for _, command in trials("small-one", ("samplers",))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_its_readme_gives_make_rows(kind, installed, cli):
    if kind == "readers":
        from artv.data.clips import write_shapes

        write_shapes(Path("clips"), 4, split="test")  # the prompts of shapes@1
    ((_, command),) = trials("brand-new", (kind,))
    assert command in (installed / "README.md").read_text()
    fewer = ("--steps", 1) if "--steps" in command else ()
    outcome = cli(*shlex.split(command)[1:], "--frames", 2, *fewer)
    assert outcome.code == 0, outcome.err
    (run,) = (folder for folder in Path("runs").iterdir() if folder.name not in ("twins", "store"))
    rows = json.loads((run / "results.json").read_text())["rows"]
    cells = [row for row in rows if row["cell"] not in ("real", "copy-first", "wrong-prompt")]
    assert cells and {row["status"] for row in cells} == {"ok"}, rows
    used = json.loads((run / "manifest.json").read_text())["components"]
    kept = {item["kind"] for item in used if item["distribution"] == "brand-new"}
    assert kind in kept or kind == "reporters", used  # what a run keeps does not depend on how it is printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("My_Plugin",), "small letters"),
        (("fine", "--kind", "sampler"), "unknown kind 'sampler'; did you mean samplers"),
        (("taken",), "exists; choose another name"),
        (("torch",), "Python has 'torch' already; choose another, like my-torch"),
        (("class",), "Python has 'class' already"),
    ],
)
def test_wrong_names_and_kinds(cli, arguments, message):
    Path("taken").mkdir()
    outcome = cli("plugins", "new", *arguments)
    assert outcome.code == 2 and message in outcome.err and not Path("fine").exists()


def test_what_it_has_for_the_model_runs_there(installed, cli):
    outcome = cli(
        "sweep", "--ablation", "sampler", "--set", "sampler.names=[brand-new]", "--set", "sampler.churn=0.5",
        "--set", "method.guidance=brand-new", "--set", "guidance.scale=1.5", "--set", "method.anchor=brand-new",
        "--set", "method.mask=brand-new", "--set", "mask.threshold=0.7",
        "--set", "method.ref_noise=brand-new", "--set", "ref_noise.share=1",
        "--set", "method.acceleration=brand-new", "--set", "acceleration.below=3",
        "--num-videos", 2, "--frames", 2, "--steps", 1, "--metrics", "brand-new", "--format", "json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    row = next(row for row in document["rows"] if row["cell"] == "sampler=brand-new")
    assert row["status"] == "ok" and 0 < row["value"] < 255
    manifest = json.loads(Path(document["run"], "manifest.json").read_text())
    used = {(item["kind"], item["distribution"]) for item in manifest["components"]}
    assert {("samplers", "brand-new"), ("guidance", "brand-new"), ("masks", "brand-new")} <= used
    assert {("anchors", "brand-new"), ("noise_levels", "brand-new"), ("accelerations", "brand-new")} <= used
    settings = next(cell for cell in manifest["cells"] if cell["cell"] == "sampler=brand-new")["method"]["settings"]
    assert settings["sampler"]["settings"] == {"churn": 0.5}
    assert settings["guidance"]["settings"] == {"scale": 1.5}
    assert settings["mask"]["settings"] == {"threshold": 0.7}
    assert settings["ref_noise"]["settings"] == {"share": 1.0}
    assert settings["acceleration"]["settings"] == {"below": 3.0}

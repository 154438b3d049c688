"""The plugins of this repository, installed as distributions of their own."""

import json
import sys
from pathlib import Path

import pytest

from artv_eval import testing

PLUGINS = Path(__file__).parents[3] / "plugins"
PROJECTS = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))


@pytest.fixture
def installed(site):
    """All of them; what they imported is forgotten afterwards, for the folder is gone then."""
    for project in PROJECTS:
        site.install_source(project)
    before = set(sys.modules)
    yield site
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {package.parent.name for p in PROJECTS for package in p.glob("*/__init__.py")}:
            del sys.modules[name]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_they_load_and_everything_is_there_and_documented(project, installed):
    plugin = testing.check_plugin(project.name)
    assert plugin.components and plugin.distribution == project.name


def test_baselines_without_weights_are_rows_that_say_how_to_fetch_them(installed, cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    arguments = ("--num-videos", 2, "--frames", 2, "--steps", 1, "--metrics", "drift", "--set", "artv.sampler=euler")
    outcome = cli("sweep", "--ablation", "baselines", "--format", "json", *arguments)
    assert outcome.code == 0, outcome.err
    rows = {row["cell"]: row for row in json.loads(outcome.out)["rows"]}
    assert "hf download ali-vilab/text-to-video-ms-1.7b" in rows["modelscope"]["status"]
    assert "hf download ali-vilab/i2vgen-xl" in rows["i2vgen-xl"]["status"]
    assert rows["modelscope"]["value"] is None and rows["artv"]["status"] == rows["real"]["status"] == "ok"


def test_baselines_without_the_plugin_say_how_to_install_it(installed, cli):
    plan = json.loads(
        cli("sweep", "-p", "no:artv-diffusers", "--ablation", "baselines", "--dry-run", "--format", "json").out
    )
    statuses = {cell["cell"]: cell["status"] for cell in plan["cells"]}
    assert "pip install artv-diffusers" in statuses["modelscope"]


def test_any_pipeline_by_its_folder_is_a_cell_of_a_sweep(installed, cli, tmp_path):
    """``diffusers:<folder>`` as a method, its settings from YAML, beside the real clips."""
    sys.path.insert(0, str(PLUGINS / "artv-diffusers" / "tests"))
    try:
        import tiny

        folder = tiny.modelscope(tmp_path)
    finally:
        sys.path.pop(0)
    own = tmp_path / "own"
    own.mkdir()
    (own / "pair.py").write_text(
        "from artv_eval import Component, hookimpl\nfrom artv_eval.api import CellSpec\n\n"
        "@hookimpl\ndef register_ablations():\n    return [Component('pair', f'{__name__}:pair', 'x')]\n\n"
        f"def pair():\n    return lambda context: [CellSpec(name='tiny', method='diffusers:{folder}'),"
        " CellSpec(name='real', method='real', sanity=True)]\n"
    )
    Path("wan.yaml").write_text("diffusers: {steps: 2, height: 32, width: 32, arguments: {guidance_scale: 1.0}}\n")
    arguments = ("--plugins-dir", own, "--settings", "wan.yaml", "--num-videos", 2, "--frames", 3, "--metrics", "drift")
    outcome = cli("sweep", "--ablation", "pair", "--format", "json", *arguments)
    assert outcome.code == 0, outcome.err
    rows = {row["cell"]: row for row in json.loads(outcome.out)["rows"]}
    assert rows["tiny"]["status"] == "ok" and rows["tiny"]["method"] == "diffusers" and rows["tiny"]["n"] == 2


def test_vbench_that_is_not_installed_is_a_status_and_no_crash(installed, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "vbench", None)
    toy = Path(__file__).parents[1] / "toy"
    outcome = cli("sweep", "--plugins-dir", toy, "--protocol", "toy@1", "--num-videos", 2, "--ablation", "noise",
                  "--metrics", "vbench-imaging-quality,brightness", "--format", "json")  # fmt: skip
    rows = json.loads(outcome.out)["rows"]
    assert outcome.code == 0
    assert {r["status"] for r in rows if r["metric"].startswith("vbench")} == {
        "absent: VBench is not installed: pip install vbench, or give the setting python=PATH of an environment that "
        "has it"
    }
    assert {r["status"] for r in rows if r["metric"] == "brightness"} == {"ok"}


def test_the_tutorial_plugin_is_60_lines_with_its_tests():
    files = [file for part in ("artv_example", "tests") for file in (PLUGINS / "artv-example" / part).rglob("*.py")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert 0 < len(lines) <= 60


def test_they_use_public_names_only():
    """Imports run one way, and a plugin of ours has no back door."""
    allowed = {"artv_eval", "artv_eval.testing", "artv_eval.api", "artv.errors", "artv.files", "artv.progress"}
    for project in PROJECTS:
        for file in project.glob("artv_*/*.py"):
            names = {
                line.split()[1] for line in file.read_text().splitlines()
                if line.startswith(("from artv", "    from artv", "import artv"))
            }  # fmt: skip
            own = {
                name for name in names if name.split(".")[0].startswith("artv_") and name.split(".")[0] != "artv_eval"
            }
            assert names - own <= allowed, file

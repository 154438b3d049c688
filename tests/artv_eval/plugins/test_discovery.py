"""Every fault of a plugin: the rest works, the fault is shown with its owner, and nothing begins that needs it."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributions import GOOD

from artv_eval.plugins import discovery as loading
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.sweep.generate import GenerationWork

HOOK = """
    from artv_eval import Component, hookimpl
"""
COMPONENT = 'Component("faulty", "{module}:Metric", "x")'


@dataclass(frozen=True)
class Fault:
    """A plugin's source and what must be said of it; which distributions have it, with their names in common."""

    says: str
    source: str = GOOD
    owners: tuple[str, ...] = ("faulty",)
    entry: str | None = None
    metric: str | None = None
    works: bool = False  # in spite of it, for who asks so

    @property
    def needed(self) -> str:
        """The metric whose use needs the plugin."""
        return self.metric or self.owners[0]


FAULTS = {  # the eleven
    "import error": Fault("SyntaxError", "def broken(:\n"),
    "exception in a hook": Fault(
        "ZeroDivision", HOOK + "    @hookimpl\n    def register_metrics():\n        return 1 / 0\n"
    ),
    "wrong return type": Fault(
        "register_metrics() returned a list with str in it; it must return a list",
        HOOK + "    @hookimpl\n    def register_metrics():\n        return ['faulty']\n",
    ),
    "name clash": Fault("'shared'", owners=("first-dist", "second-dist"), metric="shared"),
    "two distributions with one entry-point name": Fault(
        "its entry-point name 'same' is also that of", owners=("left-dist", "right-dist"), entry="same", works=True
    ),
    "misspelt hook": Fault(
        "register_metric is no hook of this artv_eval; did you mean register_metrics?",
        HOOK + f"    @hookimpl\n    def register_metric():\n        return [{COMPONENT}]\n",
    ),
    "undecorated function": Fault(
        "register_metrics() is not decorated", HOOK + f"    def register_metrics():\n        return [{COMPONENT}]\n"
    ),
    "needs a missing package": Fault("pip install surely_not_installed", "import surely_not_installed.part\n"),
    "prints on import": Fault(
        "prints when imported: 'hello from the plugin'", "    print('hello from the plugin')\n" + GOOD, works=True
    ),
    "takes 3 s to import": Fault(
        "s to import, over the limit of 3 s; move heavy imports out of the entry module",
        "    import time\n    time.sleep(3.01)\n" + GOOD,
        works=True,
    ),
    "built for a newer API": Fault(
        "built for plugin API 99",
        HOOK + f"    ARTV_EVAL_API = 99\n    @hookimpl\n    def register_metrics():\n        return [{COMPONENT}]\n",
    ),
}
VARIANTS = {
    "exception on import": Fault("RuntimeError: no licence found", "raise RuntimeError('no licence\\nfound')"),
    "exits on import": Fault("SystemExit: 3", "import sys\nsys.exit(3)"),
    "returns nothing": Fault("returned NoneType", HOOK + "    @hookimpl\n    def register_metrics():\n        pass\n"),
    "a component that cannot be": Fault(
        "Component.name is 'a b'",
        HOOK + "    @hookimpl\n    def register_metrics():\n        return [Component('a b', 'x:y', 'z')]\n",
    ),
    "one name twice": Fault(
        "two components named 'faulty'",
        HOOK + f"    @hookimpl\n    def register_metrics():\n        return [{COMPONENT}, {COMPONENT}]\n",
    ),
    "hook with parameters": Fault(
        "context", HOOK + "    @hookimpl\n    def register_metrics(context):\n        return []\n"
    ),
    "no hook at all": Fault("implements no hook", HOOK + "    x = 1\n"),
    "newer API by name": Fault("built for another version of artv_eval", "from artv_eval import SomethingNew\n"),
}


def listed(cli, *arguments):
    return json.loads(cli("plugins", "list", "--json", *arguments).out)


def complaints(document):
    """Distribution → what ``plugins list --json`` says is wrong with it."""
    found = {p["distribution"]: [*filter(None, [p["error"]]), *p["faults"]] for p in document["plugins"]}
    for clash in document["clashes"]:
        for component in clash["components"]:
            found[component.split("/")[0]].append(f"{clash['kind']} {clash['name']!r}")
    return found


def sweep(cli, metric, *arguments):
    toy = Path(__file__).parents[1] / "toy"
    return cli("sweep", "--plugins-dir", toy, "--protocol", "toy@1", "--num-videos", 2, "--ablation", "noise",
               "--metrics", metric, *arguments)  # fmt: skip


def is_one_line(text):
    return len(text.strip().splitlines()) == 1 and text.startswith("artv-eval: ") and "Traceback" not in text


@pytest.fixture
def faulty(request, site):
    """A fault of the table, installed beside a plugin that is as it should be."""
    fault = (FAULTS | VARIANTS)[request.param]
    for owner in fault.owners:
        site.install(owner, fault.source, version="2.5", entry=fault.entry, metric=fault.metric)
    site.install("good")
    return fault


@pytest.mark.parametrize("faulty", FAULTS | VARIANTS, indirect=True)
def test_a_fault_is_shown_stops_what_needs_it_and_leaves_the_rest_alone(faulty, cli, made):
    # the sweep that needs it stops before any work, with one line that says what is wrong and whose it is
    for metric in (faulty.needed, *([] if faulty.metric else [f"{faulty.owners[0]}/{faulty.needed}"])):
        needing = sweep(cli, metric)
        assert needing.code == 2 and needing.out == "" and is_one_line(needing.err)
        assert faulty.says in needing.err and all(owner in needing.err for owner in faulty.owners)
    assert made() == [] and not Path("runs").exists()

    # the list shows what is wrong and whose it is
    document, text = listed(cli), cli("plugins", "list").out
    found = complaints(document)
    assert {owner for owner, said in found.items() if said} == set(faulty.owners)
    for owner in faulty.owners:
        assert [faulty.says in line and "\n" not in line for line in found[owner]] == [True]
        assert f"({owner} 2.5, entry point" in text
    assert faulty.says in text

    # the rest works
    works = sweep(cli, "good", "--format", "json")
    assert works.code == 0 and {row["value"] for row in json.loads(works.out)["rows"]} == {0.5}

    # --strict-plugins makes it an exit code, of any command, unless it is left out
    for strict in (cli("plugins", "list", "--strict-plugins"), sweep(cli, "good", "--strict-plugins")):
        assert strict.code == 2 and is_one_line(strict.err) and faulty.says in strict.err
        assert all(owner in strict.err for owner in faulty.owners)
    first = f"no:{faulty.owners[0]}/{faulty.entry or faulty.owners[0]}"
    assert cli("-p", first, "plugins", "list", "--strict-plugins").code == 0

    # --lenient-plugins makes a warning of what does not keep it from working, and of nothing else
    lenient = sweep(cli, faulty.needed, "--lenient-plugins", "--format", "json")
    assert lenient.code == (0 if faulty.works else 2)
    if faulty.works:
        assert json.loads(lenient.out)["rows"][0]["value"] == 0.5
        shown = {p["distribution"]: p for p in listed(cli, "--lenient-plugins")["plugins"]}
        assert all(any(faulty.says in warning for warning in shown[owner]["warnings"]) for owner in faulty.owners)
        assert not any(plugin["faults"] for plugin in shown.values())
        assert cli("--lenient-plugins", "--strict-plugins", "plugins", "list").code == 2


def test_a_name_clash_is_an_error_only_when_the_name_is_used(cli, site):
    site.install("first-dist", version="1.1", metric="shared")
    site.install("second-dist", version="2.2", metric="shared")
    clash = sweep(cli, "shared")
    assert "first-dist 1.1" in clash.err and "second-dist 2.2" in clash.err
    chosen = sweep(cli, "second-dist/shared", "--format", "json")
    assert chosen.code == 0
    run = Path(json.loads(chosen.out)["run"])
    used = json.loads((run / "manifest.json").read_text())["components"]
    assert {"kind": "metrics", "name": "shared", "distribution": "second-dist", "version": "2.2"} in used


def test_of_two_with_one_entry_point_name_either_may_be_left_out(cli, site):
    site.install("left-dist", entry="same", metric="left")
    site.install("right-dist", entry="same", metric="right")
    assert sweep(cli, "right").code == 2
    plugins = listed(cli, "-p", "no:left-dist/same")["plugins"]
    found = {p["distribution"]: (p["status"], p["faults"]) for p in plugins if p["name"] == "same"}
    assert found == {"left-dist": ("blocked", []), "right-dist": ("loaded", [])}
    assert sweep(cli, "right", "-p", "no:left-dist/same").code == 0


def test_every_command_that_needs_it_stops_and_the_others_go_on(cli, site, tmp_path, monkeypatch):
    source = """
        print("hello")
        from artv_eval import Component, hookimpl

        @hookimpl
        def register_metrics():
            return [Component("loud-metric", "{module}:Metric", "x")]

        @hookimpl
        def register_reporters():
            return [Component("loud-format", "{module}:format", "x")]

        @hookimpl
        def register_protocols():
            return [Component("loud-card", "{module}:Card", "x")]
    """
    site.install("loud", source)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "a.mp4").write_bytes(b"")
    for command in (
        ["score", "--real", "fake", "--fake", "fake", "--metrics", "loud-metric"],
        ["score", "--real", "fake", "--fake", "fake", "--metrics", "drift", "--protocol", "loud-card"],
        ["report", "nowhere", "--format", "loud-format"],
        ["protocols", "show", "loud-card"],
    ):
        outcome = cli(*command)
        assert outcome.code == 2 and is_one_line(outcome.err) and "prints when imported" in outcome.err, command
        assert "loud/loud" in outcome.err and "--lenient-plugins" in outcome.err
    rows = {row["name"]: row for row in json.loads(cli("protocols", "list", "--json").out)["protocols"]}
    assert "prints when imported" in rows["loud-card"]["summary"] and rows["shapes@1"]["hash"]
    monkeypatch.setattr(PluginManager, "names", lambda self, kind: ["loud-metric"] if kind == "metrics" else [])
    doctor = cli("doctor")
    assert doctor.code == 0 and "plugin fault: loud/loud: prints when imported" in doctor.out
    assert "metrics that work now, offline: none" in doctor.out


def test_a_baseline_of_a_plugin_at_fault_is_no_row_that_says_to_install_it(cli, site):
    hook = "    @hookimpl\n    def register_methods():\n        return [Component('modelscope', '{module}:M', 'x')]\n"
    site.install("loud", HOOK + "    print('hello')\n" + hook)
    outcome = cli("sweep", "-p", "loud", "--ablation", "baselines", "--dry-run")
    assert outcome.code == 2 and is_one_line(outcome.err) and "prints when imported" in outcome.err


def test_only_an_installed_plugin_has_to_be_quick(site, tmp_path, monkeypatch):
    """A file has all its imports in it, and the built-ins are nobody's to correct: neither is hit on a busy machine."""
    monkeypatch.setattr(loading, "IMPORT_SECONDS", 0)
    site.install("good")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.py").write_text(
        HOOK.replace("    ", "") + "@hookimpl\ndef register_metrics(): return []"
    )
    manager = PluginManager(PluginOptions(select=("good", "one"), folders=(str(tmp_path / "files"),)))
    assert {plugin.name for plugin in manager.plugins if plugin.status == "loaded"} == {"defaults", "good", "one"}
    assert {plugin.name for plugin in manager.plugins if plugin.faults} == {"good"}


def test_a_worker_does_not_judge_again_what_was_judged_when_the_sweep_was_planned(site, tmp_path):
    """It may be on a slower machine, hours later."""
    site.install("good")
    strict = PluginManager(PluginOptions(select=("good",), strict=True))
    work = GenerationWork(manager=strict, protocol={}, num=1, frames=None, seed=0, run=tmp_path, runtime={})
    options = pickle.loads(pickle.dumps(work)).manager.options
    assert options == PluginOptions(select=("good",), strict=False, lenient=True)


def test_a_component_whose_own_import_fails_stops_the_sweep_before_any_work(cli, site, made):
    source = """
        from artv_eval import Component, hookimpl

        @hookimpl
        def register_metrics():
            return [Component("gone", "{module}_heavy:Metric", "x"), Component("lost", "{module}:Missing", "x")]
    """
    module = site.install("lazy", source)
    (site.root / f"{module}_heavy.py").write_text("import surely_not_installed\n")
    assert not any(complaints(listed(cli)).values())
    outcome = sweep(cli, "gone")
    assert outcome.code == 2 and is_one_line(outcome.err) and made() == []
    assert "lazy/gone" in outcome.err and "pip install surely_not_installed" in outcome.err
    assert "no attribute 'Missing'" in sweep(cli, "lost").err


def test_what_editors_and_links_leave_among_plugins_is_passed_over(cli, tmp_path):
    (tmp_path / "plugins" / "folder.py").mkdir(parents=True)
    for name in (".#mine.py", "gone.py"):
        (tmp_path / "plugins" / name).symlink_to("nowhere")
    (tmp_path / "plugins" / "mine.py").write_text("x = 1\n", encoding="utf-8")
    listed = json.loads(cli("--plugins-dir", "plugins", "plugins", "list", "--json").out)["plugins"]
    assert [plugin["name"] for plugin in listed if plugin["distribution"].endswith(".py")] == ["mine"]
    assert cli("--plugins-dir", "plugins", "protocols", "list").code == 0

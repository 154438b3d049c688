"""Finding, selecting and naming plugins."""

import json
import subprocess
import sys

import pytest

from artv.errors import UserError
from artv_eval import Component
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.discovery import Plugin, load_plugin
from artv_eval.plugins.hookspecs import hookspec
from artv_eval.plugins.manager import PluginManager, PluginOptions


def test_the_built_ins_come_through_the_hooks_and_all_their_targets_import():
    manager = PluginManager()
    built_in = manager.plugins[0]
    assert built_in.distribution == "artv" and built_in.status == "loaded" and not built_in.warnings
    for entry in manager.entries:
        if entry.plugin is built_in:
            assert callable(manager.target(entry)), entry.qualified


def test_every_kind_has_a_documented_hook():
    from artv_eval.plugins import hookspecs

    for kind in KINDS.values():
        documentation = getattr(hookspecs, kind.hook).__doc__
        assert "@hookimpl" in documentation and f"def {kind.hook}()" in documentation


@pytest.mark.parametrize("block", [("-p", "no:good"), ("-p", "no:good/good"), ("-p", "other"), "environment"])
def test_blocked_plugins_are_never_imported(block, cli, site, monkeypatch):
    module = site.install("good")
    site.install("other")
    arguments = block
    if block == "environment":
        monkeypatch.setenv("ARTV_EVAL_PLUGINS", "no:good")
        arguments = ()
    plugins = json.loads(cli("plugins", "list", "--json", *arguments).out)["plugins"]
    statuses = {p["name"]: p["status"] for p in plugins}
    assert (statuses["defaults"], statuses["good"], statuses["other"]) == ("loaded", "blocked", "loaded")
    assert module not in site.imported()


def test_selecting_a_plugin_that_is_not_there_is_an_error_with_the_closest(cli, site):
    site.install("temporal-metrics")
    outcome = cli("plugins", "list", "-p", "no:temporal-metric")
    assert outcome.code == 2 and "no plugin is named 'temporal-metric'" in outcome.err
    assert "temporal-metrics" in outcome.err


def test_an_unknown_component_names_the_closest_ones():
    with pytest.raises(UserError, match=r"unknown sampler 'dpmpp_2s_ancestrl'; did you mean dpmpp_2s_ancestral"):
        PluginManager().find("samplers", "dpmpp_2s_ancestrl")


def test_one_file_plugins_have_a_version_that_follows_their_text(tmp_path):
    source = (
        "from artv_eval import Component, hookimpl\n\n"
        "@hookimpl\ndef register_samplers():\n    return [Component('mine', f'{__name__}:sample', 'x')]\n\n"
        "def sample(denoise, x, sigmas, *, noise=None, callback=None):\n    return x\n"
    )
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "_ignored.py").write_text("raise RuntimeError")
    options = PluginOptions(folders=(str(tmp_path),))
    first = PluginManager(options)
    entry = first.find("samplers", "mine")
    assert first.target(entry)(None, 5, None) == 5
    (tmp_path / "mine.py").write_text(source + "# changed\n")
    assert PluginManager(options).find("samplers", "mine").plugin.version != entry.plugin.version


def test_a_plugins_dir_that_is_no_folder_is_an_error(cli):
    outcome = cli("--plugins-dir", "nowhere", "plugins", "list")
    assert outcome.code == 2 and "--plugins-dir is 'nowhere'" in outcome.err


@pytest.mark.parametrize(
    ("fields", "message"),
    [(("", "a:b", "c"), "name"), (("x", "no colon", "c"), "target"), (("x", "a:b", ""), "summary"),
     (("a/b", "a:b", "c"), "name"), ((3, "a:b", "c"), "name")],
)  # fmt: skip
def test_a_component_checks_itself(fields, message):
    with pytest.raises((TypeError, ValueError), match=f"Component.{message}"):
        Component(*fields)


def test_a_deprecated_hook_still_works_and_says_so(monkeypatch, tmp_path):
    """The deprecation path: a hook keeps working for a release with ``warn_on_impl``."""
    import types

    import pluggy

    from artv_eval.plugins import hookspecs

    old = types.ModuleType("old_hooks")
    warning = DeprecationWarning("artv_eval: register_samplers is deprecated, use register_solvers; removed in API 2")
    exec(  # a hookspec module of another day
        "def register_samplers(): ...", old.__dict__
    )
    old.register_samplers = hookspec(old.register_samplers, warn_on_impl=warning)
    pm = pluggy.PluginManager(hookspecs.PROJECT)
    pm.add_hookspecs(old)
    for kind in KINDS.values():
        if kind.hook != "register_samplers":
            only = types.ModuleType(kind.hook)
            setattr(only, kind.hook, getattr(hookspecs, kind.hook))
            pm.add_hookspecs(only)
    author = types.ModuleType("author")
    exec(
        "from artv_eval import Component, hookimpl\n@hookimpl\ndef register_samplers():\n"
        "    return [Component('mine', 'author:sample', 'x')]",
        author.__dict__,
    )
    plugin = Plugin(name="author", distribution="author", version="1", source="test", load=lambda: author)
    load_plugin(plugin, pm)
    assert plugin.status == "loaded" and plugin.components["samplers"][0].name == "mine"
    assert plugin.warnings == [str(warning)]


HEAVY = ("torch", "pandas", "pydantic", "numpy", "diffusers", "transformers", "matplotlib", "torchmetrics")


@pytest.mark.parametrize("command", [["--help"], ["plugins", "list"], ["plugins", "list", "--json"]])
def test_with_fifty_plugins_nothing_heavy_is_imported(command, site):
    plugins = [site.wheel(f"plugin-{i}", metric=f"metric-{i}") for i in range(50)]
    site.install_wheels(*[wheel for _, wheel in plugins])
    for module, _ in plugins:
        (site.root / f"{module}_heavy.py").write_text("")
    script = (
        "import sys\nfrom artv_eval.cli import main\n"
        f"try:\n    main({command!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules)) + [m for m in sys.modules if m.endswith('_heavy')]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if command != ["--help"]:
        assert done.stdout.count("metric-49") >= 1


def test_show_gives_settings_defaults_and_documentation(cli):
    shown = json.loads(cli("plugins", "show", "dpmpp_2s_ancestral", "--json").out)
    (sampler,) = shown
    names = {setting["name"]: setting for setting in sampler["settings"]}
    assert names["eta"]["default"] == "1.0" and names["eta"]["type"] == "float" and "denoise" not in names
    assert "DPM" in sampler["documentation"]
    assert "--set dpmpp_2s_ancestral.eta=" in cli("plugins", "show", "dpmpp_2s_ancestral").out
    assert "did you mean" in cli("plugins", "show", "dpmpp_2s_ancestrl").err


def test_what_the_packages_offer_by_name_is_registered():
    """One list of names for Python and one for the harness would drift apart."""
    import inspect

    from artv.accelerations import ACCELERATIONS
    from artv.anchors import ANCHORS
    from artv.conditioning import NOISE_LEVELS
    from artv.data.readers import READERS
    from artv.guidance import GUIDANCE
    from artv.mask_rules import MASK_RULES
    from artv.samplers import SAMPLERS
    from artv_eval.features.registry import FEATURES
    from artv_eval.metrics import factories
    from artv_eval.protocols.cards import cards

    manager = PluginManager()
    tables = {"anchors": ANCHORS, "readers": READERS, "guidance": GUIDANCE, "samplers": SAMPLERS, "features": FEATURES}
    tables |= {"masks": MASK_RULES, "noise_levels": NOISE_LEVELS, "accelerations": ACCELERATIONS}
    for kind, table in tables.items():
        ours = {e.component.name: e for e in manager.entries if e.kind == kind and e.plugin.distribution == "artv"}
        assert set(ours) == set(table), kind
        for name, value in table.items():
            target = manager.target(ours[name])
            where = value if isinstance(value, str) else f"{value.__module__}:{value.__qualname__}"
            assert where in (ours[name].component.target, f"{target.__module__}:{target.__qualname__}"), (kind, name)
    made = {
        name for name, value in vars(factories).items()
        if inspect.isfunction(value) and value.__module__ == factories.__name__ and not name.startswith("_")
    }  # fmt: skip
    assert made == {
        e.component.name for e in manager.entries if e.component.target.startswith(factories.__name__ + ":")
    }
    assert set(cards()) <= set(manager.names("protocols"))

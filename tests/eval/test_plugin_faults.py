"""Every fault of a plugin: the rest works, the fault is shown with its owner, and nothing begins that needs it."""

import json
from pathlib import Path

import pytest
from distributions import GOOD

HOOK = """
    from artv_eval import Component, hookimpl
"""
COMPONENT = 'Component("faulty", "{module}:Metric", "x")'

# fault → (source of the plugin, what plugins list must say)
FAILURES = {
    "import error": ("def broken(:\n", "SyntaxError"),
    "exception on import": ("raise RuntimeError('no licence\\nfound')", "RuntimeError: no licence found"),
    "exits on import": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "exception in a hook": (
        HOOK + "    @hookimpl\n    def register_metrics():\n        return 1 / 0\n",
        "ZeroDivision",
    ),
    "wrong return type": (
        HOOK + "    @hookimpl\n    def register_metrics():\n        return ['faulty']\n",
        "register_metrics() returned a list with str in it; it must return a list",
    ),
    "returns nothing": (HOOK + "    @hookimpl\n    def register_metrics():\n        pass\n", "returned NoneType"),
    "a component that cannot be": (
        HOOK + "    @hookimpl\n    def register_metrics():\n        return [Component('a b', 'x:y', 'z')]\n",
        "Component.name is 'a b'",
    ),
    "one name twice": (
        HOOK + f"    @hookimpl\n    def register_metrics():\n        return [{COMPONENT}, {COMPONENT}]\n",
        "two components named 'faulty'",
    ),
    "hook with parameters": (
        HOOK + "    @hookimpl\n    def register_metrics(context):\n        return []\n",
        "context",
    ),
    "misspelt hook": (
        HOOK + f"    @hookimpl\n    def register_metric():\n        return [{COMPONENT}]\n",
        "register_metric is no hook of this artv_eval; did you mean register_metrics?",
    ),
    "undecorated function": (
        HOOK + f"    def register_metrics():\n        return [{COMPONENT}]\n",
        "register_metrics() is not decorated",
    ),
    "no hook at all": (HOOK + "    x = 1\n", "implements no hook"),
    "needs a missing package": ("import surely_not_installed.part\n", "pip install surely_not_installed"),
    "newer API by number": (
        HOOK + f"    ARTV_EVAL_API = 99\n    @hookimpl\n    def register_metrics():\n        return [{COMPONENT}]\n",
        "built for plugin API 99",
    ),
    "newer API by name": ("from artv_eval import SomethingNew\n", "built for another version of artv_eval"),
}
WARNINGS = {
    "prints on import": (
        "    print('hello from the plugin')\n" + GOOD,
        "prints when imported: 'hello from the plugin'",
    ),
    "slow to import": ("    import time\n    time.sleep(1.2)\n" + GOOD, "takes 1.2 s to import; move heavy imports"),
}


def listed(cli, name):
    document = json.loads(cli("plugins", "list", "--json").out)
    return next(plugin for plugin in document["plugins"] if plugin["name"] == name)


def sweep(cli, metric, *arguments):
    toy = Path(__file__).parent / "toy"
    return cli("sweep", "--plugins-dir", toy, "--protocol", "toy@1", "--num-videos", 2, "--ablation", "noise",
               "--metrics", metric, *arguments)  # fmt: skip


def is_one_line(text):
    return len(text.strip().splitlines()) == 1 and text.startswith("artv-eval: ") and "Traceback" not in text


@pytest.mark.parametrize("fault", FAILURES)
def test_a_plugin_that_fails_is_shown_and_the_rest_works(fault, cli, site, made):
    source, message = FAILURES[fault]
    site.install("faulty", source, version="2.5")
    site.install("good")

    broken = listed(cli, "faulty")
    assert broken["status"] == "failed" and message in broken["error"] and "\n" not in broken["error"]
    assert (broken["distribution"], broken["version"], broken["components"]) == ("faulty", "2.5", [])
    assert "faulty  failed  (faulty 2.5" in cli("plugins", "list").out

    needing = sweep(cli, "faulty")
    assert needing.code == 2 and is_one_line(needing.err) and message in needing.err and made() == []
    named = sweep(cli, "faulty/faulty")
    assert named.code == 2 and is_one_line(named.err) and message in named.err

    strict = cli("plugins", "list", "--strict-plugins")
    assert strict.code == 2 and is_one_line(strict.err) and "faulty/faulty" in strict.err
    assert cli("-p", "no:faulty", "plugins", "list", "--strict-plugins").code == 0

    assert listed(cli, "good")["status"] == "loaded"
    works = sweep(cli, "good", "--format", "json")
    assert works.code == 0 and {row["value"] for row in json.loads(works.out)["rows"]} == {0.5}


@pytest.mark.parametrize("fault", WARNINGS)
def test_a_plugin_with_a_blemish_works_and_strictness_refuses_it(fault, cli, site):
    source, message = WARNINGS[fault]
    site.install("blemished", source)
    outcome = cli("plugins", "list", "--json")
    shown = next(p for p in json.loads(outcome.out)["plugins"] if p["name"] == "blemished")
    assert shown["status"] == "loaded" and any(message in warning for warning in shown["warnings"])
    assert json.loads(sweep(cli, "blemished", "--format", "json").out)["rows"][0]["value"] == 0.5
    site.forget()
    strict = cli("--strict-plugins", "plugins", "list")
    assert strict.code == 2 and message in strict.err and is_one_line(strict.err)


def test_a_name_clash_is_an_error_only_when_the_name_is_used(cli, site, made):
    site.install("first-dist", version="1.1", metric="shared")
    site.install("second-dist", version="2.2", metric="shared")
    site.install("good")
    assert "'shared' is registered more than once" in cli("plugins", "list").out
    clash = sweep(cli, "shared")
    assert clash.code == 2 and is_one_line(clash.err) and made() == []
    assert "first-dist 1.1" in clash.err and "second-dist 2.2" in clash.err
    assert sweep(cli, "good").code == 0
    chosen = sweep(cli, "second-dist/shared", "--format", "json")
    assert chosen.code == 0
    run = Path(json.loads(chosen.out)["run"])
    used = json.loads((run / "manifest.json").read_text())["components"]
    assert {"kind": "metrics", "name": "shared", "distribution": "second-dist", "version": "2.2"} in used
    assert "registered by both" in cli("plugins", "list", "--strict-plugins").err


def test_two_distributions_with_one_entry_point_name_both_work(cli, site):
    site.install("left-dist", entry="same", metric="left")
    site.install("right-dist", entry="same", metric="right")
    plugins = [p for p in json.loads(cli("plugins", "list", "--json").out)["plugins"] if p["name"] == "same"]
    assert {p["distribution"] for p in plugins} == {"left-dist", "right-dist"}
    assert all("is also that of" in p["warnings"][0] for p in plugins)
    assert sweep(cli, "left,right").code == 0
    assert cli("plugins", "list", "--strict-plugins").code == 2
    only_right = json.loads(cli("plugins", "list", "--json", "-p", "no:left-dist/same").out)["plugins"]
    assert {p["distribution"]: p["status"] for p in only_right if p["name"] == "same"} == {
        "left-dist": "blocked",
        "right-dist": "loaded",
    }


def test_a_component_whose_own_import_fails_stops_the_sweep_before_any_work(cli, site, made):
    source = """
        from artv_eval import Component, hookimpl

        @hookimpl
        def register_metrics():
            return [Component("gone", "{module}_heavy:Metric", "x"), Component("lost", "{module}:Missing", "x")]
    """
    module = site.install("lazy", source)
    (site.root / f"{module}_heavy.py").write_text("import surely_not_installed\n")
    assert listed(cli, "lazy")["status"] == "loaded"
    outcome = sweep(cli, "gone")
    assert outcome.code == 2 and is_one_line(outcome.err) and made() == []
    assert "lazy/gone" in outcome.err and "pip install surely_not_installed" in outcome.err
    assert "no attribute 'Missing'" in sweep(cli, "lost").err

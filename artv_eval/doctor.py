"""What is installed, which weights are where, what works now and without a network."""

import importlib.metadata
import importlib.util
import inspect
import platform
from typing import Any

from artv.errors import UserError, in_one_line
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.blame import blamed
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build, recipe, settings_of

OPTIONAL = {
    "decord": "reads video files fast; without it the reader pyav",
    "av": "writes and reads video files",
    "ray": "executor ray: pip install 'artv[ray]'",
    "openvino": "faster sampling on a CPU: pip install 'artv[openvino]'",
    "vbench": "VBench's dimensions, with the plugin artv-vbench",
    "nvidia-ml-py": "energy in artv-eval efficiency",
}


def examine(manager: PluginManager) -> dict[str, Any]:
    """The findings, as plain values."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "optional": [{"package": name, "installed": _installed(name), "for": use} for name, use in OPTIONAL.items()],
        "checkpoints": _checkpoints(),
        "weights": _weights(),
        "metrics": [_works(manager, "metrics", name) for name in manager.names("metrics")],
        "features": [_works(manager, "features", name) for name in manager.names("features")],
        "methods": [_method(manager, name) for name in manager.names("methods")],
        "protocols": [_protocol(manager, name) for name in manager.names("protocols")],
        "readers": [_imports(manager, "readers", name) for name in manager.names("readers")],
        "executors": [_works(manager, "executors", name) for name in manager.names("executors")],
        "plugins": manager.faults(),
    }


def _versions() -> dict[str, str]:
    from artv_eval.sweep.manifest import versions

    return {"system": platform.platform(), **versions()}


def _devices() -> list[str]:
    import torch

    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "yes" if importlib.util.find_spec(package.replace("-", "_")) else None


def _checkpoints() -> list[dict[str, Any]]:
    from artv import presets
    from artv_eval.methods.checkpoints import digest

    return [{"name": name, "digest": digest(name), "offline": True} for name in presets.packaged()]


def _weights() -> list[dict[str, Any]]:
    from artv_eval.features.weights import status

    return list(status())


def _works(manager: PluginManager, kind: str, name: str) -> dict[str, Any]:
    """Whether the component can be made now, and what to do if not; None for one that needs a setting first."""
    found: dict[str, Any] = {"name": name, "works": True, "reason": None}
    try:
        entry = manager.find(kind, name)
        argument = entry.component.argument
        known, _ = settings_of(manager.target(entry), KINDS[kind])
        if argument and known[argument].default is inspect.Parameter.empty:
            return found | {"works": None, "reason": f"give it as {name}:{argument.upper()}"}
        build(manager, recipe(manager, kind, name))
    except UserError as error:
        return found | {"works": False, "reason": " ".join(str(error).split())}
    return found


def _method(manager: PluginManager, name: str) -> dict[str, Any]:
    found = _works(manager, "methods", name)
    if found["works"]:
        try:
            reason = optional(build(manager, recipe(manager, "methods", name)), MethodExtras, "unavailable")()
        except Exception as error:
            reason = blamed(error) or in_one_line(error)
        found |= {"works": reason is None, "reason": reason}
    return found


def _protocol(manager: PluginManager, name: str) -> dict[str, Any]:
    """A protocol works when its prompts are at hand: most need the folder of their data set."""
    found = _works(manager, "protocols", name)
    if found["works"]:
        try:
            build(manager, recipe(manager, "protocols", name)).requests(num=2)
        except Exception as error:
            return found | {"works": False, "reason": blamed(error) or in_one_line(error)}
    return found


def _imports(manager: PluginManager, kind: str, name: str) -> dict[str, Any]:
    try:
        manager.target(manager.find(kind, name))
    except UserError as error:
        return {"name": name, "works": False, "reason": str(error)}
    return {"name": name, "works": True, "reason": None}


def lines(found: dict[str, Any]) -> list[str]:
    """The findings in words, a line each."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    said = [versions, f"devices: {', '.join(found['devices'])}"]
    said += [f"checkpoint {item['name']} ({item['digest']}): in the package" for item in found["checkpoints"]]
    said += [] if found["checkpoints"] else ["checkpoints: none in the package; train one with artv train"]
    for item in found["weights"]:
        where = item["path"] or f"absent; {item['fetch'] or 'put it at ' + str(item['put'])}"
        said.append(f"weights {item['name']} – {item['what']}: {where}")
    for kind in ("metrics", "features", "methods", "protocols", "readers", "executors"):
        working = [item["name"] for item in found[kind] if item["works"]]
        said.append(f"{kind} that work now, offline: {', '.join(working) or 'none'}")
        said += [f"  {item['name']}: {item['reason']}" for item in found[kind] if not item["works"]]
    for item in found["optional"]:
        said.append(f"optional {item['package']}: {item['installed'] or 'not installed'} ({item['for']})")
    return said + [f"plugin fault: {fault}" for fault in found["plugins"]]

"""Distributions installed for one test: a module and its metadata in a folder on the path, as pip leaves them."""

import hashlib
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

GOOD = """
    from artv_eval import Component, hookimpl

    @hookimpl
    def register_metrics():
        return [Component("{metric}", "{module}:Metric", "counts clips")]

    class Metric:
        name, higher_is_better, needs, digest = "{metric}", None, frozenset(), "count-1"

        def describe(self, clips):
            import numpy as np
            return np.array([[float(request.index)] for request in clips.requests])

        def per_clip(self, rows):
            return rows[:, 0]

        def evaluate(self, rows, reference=None):
            return float(rows.mean())
"""


class Site:
    """A folder of installed distributions that is on the path of this process and of those it starts."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        root.mkdir()
        monkeypatch.syspath_prepend(str(root))
        monkeypatch.setenv("PYTHONPATH", str(root))

    def install(
        self,
        name: str,
        source: str = GOOD,
        *,
        version: str = "1.0",
        entry: str | None = None,
        metric: str | None = None,
    ) -> str:
        """Installs a distribution with one module and one entry point; returns the module's name."""
        module = f"{name.replace('-', '_')}_{hashlib.sha256(str(self.root).encode()).hexdigest()[:6]}"
        text = textwrap.dedent(source).replace("{module}", module).replace("{metric}", metric or name)
        (self.root / f"{module}.py").write_text(text)
        info = self.root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[artv_eval]\n{entry or name} = {module}\n")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(f"{module}.py,,\n")
        return module

    def install_source(self, project: Path) -> None:
        """Installs a project's packages with the metadata that its pyproject.toml declares."""
        declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        for package in project.glob("*/__init__.py"):
            shutil.copytree(package.parent, self.root / package.parent.name)
        info = self.root / f"{declared['name'].replace('-', '_')}-{declared['version']}.dist-info"
        info.mkdir()
        points = "".join(f"{name} = {module}\n" for name, module in declared["entry-points"]["artv_eval"].items())
        (info / "entry_points.txt").write_text(f"[artv_eval]\n{points}")
        fields = f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {declared['version']}\n"
        (info / "METADATA").write_text(fields)

    def install_wheel(self, wheel: Path) -> None:
        """Unpacks a wheel of pure Python, which is all that an installer does with it."""
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.root)

    def imported(self) -> set[str]:
        """Modules of this folder that this process has imported."""
        own = {path.stem for path in self.root.glob("*.py")}
        return own & set(sys.modules)

    def forget(self) -> None:
        """Makes the next use import them again, as a new process would."""
        for module in self.imported():
            del sys.modules[module]


def build_wheel(source: Path, out: Path) -> Path:
    """A wheel of a project whose backend is setuptools, without a network."""
    script = (
        "import os, sys; from setuptools import build_meta; os.chdir(sys.argv[1]);"
        "print(build_meta.build_wheel(sys.argv[2]), file=sys.stderr)"
    )
    out.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", script, str(source), str(out)], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return wheel

"""Distributions installed for one test: wheels, put into a folder on the path by a real installer."""

import base64
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Mapping
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

    def install(self, name: str, source: str = GOOD, **options: str) -> str:
        """Builds and installs a distribution with one module and one entry point; returns the module's name."""
        module, wheel = self.wheel(name, source, **options)
        self.install_wheels(wheel)
        return module

    def wheel(
        self,
        name: str,
        source: str = GOOD,
        *,
        version: str = "1.0",
        entry: str | None = None,
        metric: str | None = None,
    ) -> tuple[str, Path]:
        """Such a distribution as a wheel, not installed, with its module's name, which no other test's module has."""
        module = f"{name.replace('-', '_')}_{hashlib.sha256(str(self.root).encode()).hexdigest()[:6]}"
        text = textwrap.dedent(source).replace("{module}", module).replace("{metric}", metric or name)
        return module, self._pack(name, version, {f"{module}.py": text.encode()}, {entry or name: module})

    def install_source(self, project: Path) -> None:
        """Installs a project's packages with the metadata that its pyproject.toml declares."""
        declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        packages = [package.parent for package in project.glob("*/__init__.py")]
        files = {
            str(file.relative_to(project)): file.read_bytes()
            for package in packages
            for file in package.rglob("*")
            if file.is_file() and file.suffix != ".pyc"
        }
        points = declared["entry-points"]["artv_eval"]
        self.install_wheels(self._pack(declared["name"], declared["version"], files, points))

    def _pack(self, name: str, version: str, files: Mapping[str, bytes], points: Mapping[str, str]) -> Path:
        """A wheel of pure Python."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        metadata = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "entry_points.txt": "[artv_eval]\n" + "".join(f"{point} = {value}\n" for point, value in points.items()),
        }
        files = {**files, **{f"{info}/{file}": text.encode() for file, text in metadata.items()}}
        wheel = self.root.with_name("wheels") / f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
            lines = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
            archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,\n"]))
        return wheel

    def install_wheels(self, *wheels: Path) -> None:
        """Has an installer do it: uv where there is one, which is quick, else pip."""
        uv = os.environ.get("UV") or shutil.which("uv")
        installer = (
            [uv, "pip", "install", "--offline", "--no-cache", "--no-config", "--python", sys.executable]
            if uv
            else [sys.executable, "-m", "pip", "install", "--no-index", "--no-compile", "--disable-pip-version-check"]
        )
        arguments = ["--quiet", "--no-deps", "--target", str(self.root), *map(str, wheels)]
        done = subprocess.run([*installer, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        importlib.invalidate_caches()

    def imported(self) -> set[str]:
        """Modules of this folder that this process has imported."""
        own = {path.stem for path in self.root.glob("*.py")}
        return own & set(sys.modules)

    def forget(self) -> None:
        """Makes the next use import them again, as a new process would."""
        for module in self.imported():
            del sys.modules[module]


def _digest(content: bytes) -> str:
    """The form that a wheel's RECORD has."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


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

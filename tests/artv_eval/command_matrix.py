"""Every option of every command of ours, taken from the commands themselves, with values that nobody should give."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from artv.cli import app as artv
from artv_eval.cli import app as artv_eval

TOY = Path(__file__).parent / "toy"
NUMBERS = (int, float)

# What each command is given beside the option that is tried; {clips} and {run} are folders that are there.
BASES = {
    "artv sample": "--prompt x --out clip.mp4 --frames 2 --steps 1",
    "artv train": "--preset shapes --data builtin --out trained --steps 1",
    "artv data shapes": "--out made --num 1",
    "artv data latents": "--data builtin --out made --clips 1 --components shapes",
    "artv-eval sweep": f"--plugins-dir {TOY} --ablation noise --protocol toy@1 --num-videos 2 --metrics brightness",
    "artv-eval plan show": f"--plugins-dir {TOY} --ablation noise --protocol toy@1 --metrics brightness --no-probe",
    "artv-eval plan diff": "{run} {other}",
    "artv-eval gc": "",
    "artv-eval merge": f"--plugins-dir {TOY} {{run}} --out whole",
    "artv-eval verify": f"--plugins-dir {TOY} {{run}}",
    "artv-eval score": "--real {clips} --fake {clips} --metrics flicker",
    "artv-eval sensitivity": "--real {clips} --fake {clips} --features shapes --protocol shapes@1",
    "artv-eval reference save": "saved.npz --real {clips} --metrics fvd --protocol shapes@1",
    "artv-eval reference list": "{reference}",
    "artv-eval watch": "{training} --num-videos 2 --metrics flicker --once",
    "artv-eval report": "{run}",
    "artv-eval card": "{run}",
    "artv-eval compare": "{run} {other}",
    "artv-eval serve": "{run} --port 0",
    "artv-eval power": "--difference 10 --sd-trainings 1 --se-clips 1 --train-minutes 1 --clip-seconds 1",
    "artv-eval efficiency": "--method artv --res 320 --device meta",
    "artv-eval doctor": "",
    "artv-eval protocols list": "",
    "artv-eval protocols show": "shapes@1",
    "artv-eval plugins list": "",
    "artv-eval plugins show": "serial",
    "artv-eval plugins new": "mine --kind metrics --out new",
}

# Where a command has checked everything and begins its work.
WORK = {
    "artv sample": "artv.cli.sample_command._load",
    "artv train": "artv.training.launch.launch_training",
    "artv data shapes": "artv.data.clips.write_shapes",
    "artv data latents": "artv.training.launch.launch_latents",
    "artv-eval sweep": "artv_eval.sweep.run.run_sweep",
    "artv-eval score": "artv_eval.files.score.score_folders",
    "artv-eval sensitivity": "artv_eval.files.sensitivity.sensitivity",
    "artv-eval reference save": "artv_eval.files.saved_reference.describe_files",
    "artv-eval watch": "artv_eval.sweep.watch.run_sweep",
    "artv-eval serve": "http.server.ThreadingHTTPServer.serve_forever",
    "artv-eval efficiency": "artv_eval.efficiency.rows.measure",
}


class Option(NamedTuple):
    """An option or an argument of a command; ``name`` is None for an argument."""

    command: str
    name: str | None
    kind: Any

    def tried(self, value: str, base: list[str]) -> list[str]:
        """The arguments of the command with ``value`` for this."""
        if self.name is not None:
            kept = [word for i, word in enumerate(base) if self.name not in (word, base[i - 1] if i else None)]
            return [*kept, f"{self.name}={value}"]
        return ["--", value] if base else [value]


def options() -> Iterator[Option]:
    """All but the flags, which take no value; those about plugins, which stand before any command, with two."""
    for command in ("artv-eval protocols list", "artv-eval plugins list"):
        yield from (Option(command, name, str) for name in ("-p", "--plugins-dir"))
    for name, command in commands():
        for parameter in command.params:
            if parameter.name != "help" and not getattr(parameter, "is_flag", False):
                flag = parameter.opts[-1] if parameter.param_type_name == "option" else None
                yield Option(name, flag, _kind(parameter))


def flags() -> dict[str, set[str]]:
    """Command → the options of it that take no value."""
    return {
        name: {text for p in command.params if getattr(p, "is_flag", False) for text in p.opts}
        for name, command in commands()
    }


def commands() -> Iterator[tuple[str, Any]]:
    """All commands of both programs."""
    for program, app in (("artv", artv), ("artv-eval", artv_eval)):
        yield from _commands(typer.main.get_command(app), program)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
    for key, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {key}")


def _kind(parameter: Any) -> Any:
    """int or float for numbers, else anything."""
    said = str(parameter.type_descriptor)
    return next((kind for kind in NUMBERS if f"<class '{kind.__name__}'>" in said or f"{kind.__name__} |" in said), str)


def values(folder: Path) -> dict[str, str]:
    """What is tried, by what it is. ``folder``: an empty one to put files into."""
    (folder / "folder").mkdir()
    (folder / "binary").write_bytes(bytes(range(256)))
    os.mkfifo(folder / "pipe")
    return {
        "empty": "",
        "blank": " \t",
        "nan": "nan",
        "inf": "inf",
        "negative": "-1",
        "zero": "0",
        "huge": "1000000000",
        "folder": str(folder / "folder"),
        "pipe": str(folder / "pipe"),
        "missing": str(folder / "missing.yaml"),
        "binary": str(folder / "binary"),
        "bytes": os.fsdecode(b"\xff\xfe"),
        "protocol": "a:b",
        "long": "x" * 251,
        "escape": "\x1b[31mred\x1b]0;title\x07",
        "dollar": "$\\frac{1$",
        "formula": "=1+1",
    }


def saved_reference(root: Path, clips: Path) -> Path:
    """Rows of real clips in a file below ``root``."""
    from artv_eval.files.excerpts import Excerpt
    from artv_eval.files.saved_reference import SavedReference
    from artv_eval.metrics.factories import flicker

    SavedReference.of(clips, [flicker()], Excerpt(frames=2), "files", workers=0).save(root / "reference.npz")
    return root / "reference.npz"


def training(root: Path) -> Path:
    """The folder of a training that has saved once: the small model that comes with the package."""
    from artv import ArtVPipeline

    folder = root / "training"
    ArtVPipeline.from_pretrained("shapes").save_pretrained(folder / "pipeline")
    (folder / "pipeline" / "step.json").write_text('{"step": 1}', encoding="utf-8")
    (folder / "config.json").write_text('{"preset": "shapes"}', encoding="utf-8")
    return folder

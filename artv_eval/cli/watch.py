"""``artv-eval watch``: a training's checkpoints scored as they appear."""

from pathlib import Path
from typing import Annotated

import typer

from artv_eval.cli.common import DryRun, complete, quiet_stdout, say, words
from artv_eval.plugins.manager import PluginManager


def watch(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The --out of artv train.")],
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated; the best by the first is kept. Default: the protocol's.",
                     autocompletion=complete("metrics")),
    ] = None,
    num_videos: Annotated[int, typer.Option(help="Clips of each checkpoint, always of the same seeds.")] = 64,
    protocol: Annotated[
        str | None, typer.Option(help="Card or YAML file. Default: the preset's.", autocompletion=complete("protocols"))
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1: best another GPU than the training's.")] = "cpu",
    once: Annotated[bool, typer.Option("--once", help="Score the checkpoint that is there, and end.")] = False,
    dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Scores each new checkpoint of a training, until that is finished: one curve a metric, with intervals."""
    manager = PluginManager(context.obj)
    with quiet_stdout():
        from artv.files import read_object
        from artv_eval.sweep.watch import Watch, draw

        preset = read_object(run / "config.json")["preset"] if (run / "config.json").is_file() else "shapes"
        chosen = words(metrics)
        settings = {"preset": preset, "num_videos": num_videos, "device": device, "protocol": protocol,
                    "metrics": None if chosen is None else list(chosen)}  # fmt: skip
        watched = Watch(manager, run, settings)
        if dry_run:
            say(f"would score each new checkpoint of {run} on {num_videos} clips; {len(watched.done())} are scored")
            return
        with watched.alone():
            for step, pipeline in watched.checkpoints(once=once):
                for row in watched.score(step, pipeline, lambda results: None):
                    value = row["status"] if row["value"] is None else f"{row['value']:.4g}"
                    between = "" if row["ci_low"] is None else f" ({row['ci_low']:.4g} to {row['ci_high']:.4g})"
                    say(f"step {step}: {row['metric']} {value}{between}")
                draw(watched.like_asked(), watched.folder / "curves.svg")
    say(f"curves: {watched.file}, {watched.folder / 'curves.svg'}")

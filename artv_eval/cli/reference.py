"""``artv-eval reference``: rows of real clips saved in a file, for whoever does not have the clips."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from artv.ending import echo
from artv_eval.cli.common import DryRun, complete, frames_given, quiet_stdout, read_settings, say, words
from artv_eval.plugins.manager import PluginManager

app = typer.Typer(help="Rows of real clips in a file, to score against without the clips.", no_args_is_help=True)


@app.command()
def save(
    context: typer.Context,
    out: Annotated[str, typer.Argument(metavar="FILE.npz", help="The file to write.")],
    real: Annotated[str, typer.Option(metavar="DIR", help="Real video files.")],
    metrics: Annotated[str, typer.Option(help="Comma-separated.", autocompletion=complete("metrics"))],
    protocol: Annotated[
        str, typer.Option(help="Conventions: a card or YAML file.", autocompletion=complete("protocols"))
    ] = "files",
    features: Annotated[str | None, typer.Option(help="Extractor of clips.")] = None,
    frames: Annotated[str | None, typer.Option(metavar="N|each", help="As of score, likewise the next three.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None,
    stride: Annotated[int | None, typer.Option(help="Every k-th frame.")] = None,
    size: Annotated[int | None, typer.Option(help="Scale to size × size first.")] = None,
    set_: Annotated[list[str], typer.Option("--set", metavar="COMPONENT.FIELD=VALUE", help="A setting.")] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Decoding processes; 0: in this one.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Describes real clips under metrics and keeps the rows; `score --real FILE.npz` then needs no clips."""
    from artv_eval.cli.score import reference_parts

    manager = PluginManager(context.obj)
    changes: dict[str, Any] = {"frames": frames_given(frames), "fps": fps, "stride": stride, "size": size}
    changes["features"] = features
    with quiet_stdout():
        from artv.errors import counted
        from artv_eval.files.describe import WORKERS, video_files
        from artv_eval.files.saved_reference import SavedReference

        evaluators, excerpt, label = reference_parts(
            manager, protocol, words(metrics) or (), changes, read_settings(None, set_), device, workers
        )
        if dry_run:
            names = ", ".join(evaluator.name for evaluator in evaluators)
            say(f"would describe {counted(len(video_files(real)), 'file')} of {real} under {names} and write {out}")
            return
        saved = SavedReference.of(real, evaluators, excerpt, label, WORKERS if workers is None else workers)
        saved.save(out)
    say(f"wrote {out}: {saved.card['clips']} clips, digest {saved.digest}")


@app.command("list")
def list_(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
) -> None:
    """Shows what saved references are of: clips, digest, conventions, metrics."""
    from artv_eval.files.saved_reference import SavedReference, said

    paths: list[Path] = []
    for name in files:
        paths += sorted(Path(name).glob("*.npz")) if Path(name).is_dir() else [Path(name)]
    found = {str(path): SavedReference.read(path) for path in paths}
    if as_json:
        document = [{"file": file, "saved": saved.digest, **saved.card} for file, saved in found.items()]
        echo(json.dumps(document, indent=2))
        return
    for file, saved in found.items():
        card, names = saved.card, sorted({name for names in saved.card["metrics"].values() for name in names})
        cut = ", ".join(
            said(card["excerpt"], key) for key, value in card["excerpt"].items() if value or key == "frames"
        )
        echo(f"{file}  {saved.digest}  {card['clips']} clips {card['digest']}  {', '.join(names)}")
        echo(f"    protocol {card['protocol']}: {cut}")

"""``artv-eval verify``: whether a run is what it says."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv.errors import WorkFailed, counted
from artv_eval.cli.common import DryRun, check_least, quiet_stdout, say
from artv_eval.plugins.manager import PluginManager


def verify(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder of a finished sweep.")],
    sample: Annotated[int, typer.Option(help="Clips to make again, spread over the cells.")] = 8,
    device: Annotated[str | None, typer.Option(help="Where. Default: the run's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Computes digests again, reads all clips and makes some again: says what is the same, and why something is not."""
    check_least(0, 100_000, sample=sample)
    with quiet_stdout():
        from artv.progress import progress_bar
        from artv_eval.report.html import load_run
        from artv_eval.sweep.verify import again
        from artv_eval.sweep.verify import verify as checks

        results, _ = load_run(run)
        prepared = again(PluginManager(context.obj), run, device)
        if dry_run:
            clips = len(prepared.indices) * len(prepared.cells)
            cells = counted(len(prepared.cells), "cell")
            say(f"would read {counted(clips, 'clip')} of {cells} and make {min(sample, clips)} of them again")
            return
        with progress_bar("clips read", total=len(prepared.indices) * len(prepared.cells)) as bar:
            read = iter(range(1, 1 << 60))
            found = list(checks(prepared, results, sample, lambda: bar.update(next(read))))
    wrong = [check for check in found if not check.same]
    if as_json:
        echo(json.dumps([asdict(check) for check in found], indent=2))
    else:
        lines = [f"same    {check.what}" if check.same else f"differs {check.what}: {check.why}" for check in found]
        echo("\n".join(lines))
    if wrong:
        raise WorkFailed(f"{len(wrong)} of {len(found)} checks of {run} differ; first: {wrong[0].what}")

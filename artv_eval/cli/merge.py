"""``artv-eval merge``: shards of a sweep that were made in folders of their own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import DryRun, Format, plugins_and_reporter, quiet_stdout, say


def merge(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(help="Run folders of all shards of one sweep.")],
    out: Annotated[Path, typer.Option(help="Run folder of the whole.")],
    store: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where its clips are kept. Default: store/ beside --out.")
    ] = None,
    twins: Annotated[str, typer.Option(help="Folder of trained models.")] = "runs/twins",
    device: Annotated[str, typer.Option(help="For scoring: cpu, cuda …")] = "cpu",
    format_: Format = "table",
    dry_run: DryRun = False,
) -> None:
    """Puts the clips of shards together and scores them; shards in one run folder need no merge."""
    manager, render = plugins_and_reporter(context, format_)
    with quiet_stdout():
        from artv.errors import UserError, counted
        from artv_eval.cli.sweep import failures_of
        from artv_eval.results.shared_store import SharedStore
        from artv_eval.results.store import RunStore
        from artv_eval.sweep.kept_in import looked_at, refer
        from artv_eval.sweep.merge import check_whole, shared_plan
        from artv_eval.sweep.merge import merge as brought
        from artv_eval.sweep.plan_file import SweepPlan
        from artv_eval.sweep.prepare import prepare
        from artv_eval.sweep.run import run_sweep

        if out.resolve() in [run.resolve() for run in runs]:
            raise UserError(f"--out is {str(out)!r}, one of the shards; give another folder")
        own = {"out": str(out), "store": store, "twins": twins, "device": device}
        prepared = prepare(manager, SweepPlan.model_validate({**shared_plan(runs), **own}).options())
        check_whole(prepared, looked_at(prepared), runs)
        if dry_run:
            cells, shards = counted(len(prepared.cells), "cell"), counted(len(runs), "shard")
            say(f"every clip of {cells} is in {shards}; {out} would hold them")
            return
        whole = RunStore(prepared.run, shared=SharedStore(prepared.store))
        whole.identify()
        refer(prepared, whole)
        say(f"{out}: {counted(brought(prepared, whole, runs), 'clip')} of {counted(len(runs), 'shard')}")
        results = run_sweep(prepared, ["artv-eval", *sys.argv[1:]])
        assert results is not None, "it is one shard"
        shown = render(results)
    echo(shown, nl=False)
    say(f"run folder {out}: report.html, results.json, results.csv, per_clip.csv, manifest.json")
    failures_of(results, out)

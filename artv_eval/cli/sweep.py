"""``artv-eval sweep``: runs ablations; run again, it continues."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artv.ending import echo
from artv.errors import WorkFailed
from artv_eval.cli.common import DryRun, Format, plugins_and_reporter, quiet_stdout, say
from artv_eval.cli.sweep_options import SweepArguments, with_sweep_options
from artv_eval.errors import Interrupted

if TYPE_CHECKING:
    from artv_eval.results.rows import Results


def ablations() -> str:
    """The built-in ablations, a line each, for ``--help``."""
    from artv_eval.plugins.builtin import register_ablations

    known = register_ablations()
    width = max(len(item.name) for item in known)
    lines = [f"  {item.name:{width}}  {item.summary}" for item in known]
    return "\n".join(["\b", "Ablations (and those of plugins: artv-eval plugins list):", *lines])


@with_sweep_options
def sweep(
    context: typer.Context,
    asked: SweepArguments,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Make only this part of the clips, in the same run folder.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before; without it, it stays a failed row.")
    ] = False,
    format_: Format = "table",
    dry_run: DryRun = False,
) -> None:
    """Runs ablations: makes the clips, scores them, compares the cells in pairs. The same command continues a run."""
    manager, render = plugins_and_reporter(context, format_)
    command = ["artv-eval", *sys.argv[1:]]
    run: Path | None = None
    started = time.time()
    stdout, shown = sys.stdout, list["Results"]()

    def show(results: "Results") -> None:
        if not shown:  # they come again where a damaged clip was made anew
            echo(render(results), file=stdout, nl=False)
            stdout.flush()
        shown.append(results)

    try:
        with quiet_stdout():
            from artv_eval.results.kept import kept as earlier
            from artv_eval.sweep.overview import document, lost_clips, text
            from artv_eval.sweep.prepare import prepare
            from artv_eval.sweep.run import run_sweep

            more = ({"shard": shard} if shard else {}) | ({"retry_failed": True} if retry_failed else {})
            plan = asked.read(context, manager, **more)
            prepared = prepare(manager, plan.options())
            run = prepared.run
            if not dry_run:
                say(text(prepared))
                results = run_sweep(prepared, command, show)
    except KeyboardInterrupt:
        if run is not None and not shown and (part := part_of(run, since=started)) is not None:
            show(part)
        kept = f"what was finished is kept in {run}; " if run and not dry_run else ""
        raise Interrupted(f"interrupted; {kept}the same command continues: {shlex.join(command)}") from None
    if dry_run:
        echo(json.dumps(document(prepared), indent=2) if format_ == "json" else text(prepared))
        return
    if results is None:
        if format_ == "json":
            echo(json.dumps({"run": str(run), "rows": [], "comparisons": []}, indent=2))
        if failed := lost_clips(prepared):
            kept = f"what was raised is in faults/ of {run}, --retry-failed tries again"
            raise WorkFailed(f"shard {plan.shard}: {'; '.join(failed)}; the rest of it is done; {kept}")
        say(f"shard {plan.shard} is done; the table follows when the clips of the other shards are in {run} too")
        return
    say(f"run folder {run}: report.html, results.json, results.csv, per_clip.csv, manifest.json")
    for path in earlier(prepared.run):
        say(f"earlier results: artv-eval report {path}")
    failures_of(results, prepared.run)


def failures_of(results: "Results", run: Path) -> None:
    """Raises WorkFailed where something failed, with what and where to look: the exit code says so."""
    from artv_eval.report.tables import absences
    from artv_eval.results.store import has_faults

    failed = absences([row for row in results.rows if row.status.startswith("failed")])
    lost = [f"{row.cell}: {row.failed} of {row.n + row.failed} clips failed" for row in results.rows if row.failed]
    lost += [
        f"{row.cell}: {row.failed_seeds} of {row.seeds + row.failed_seeds} trainings failed"
        for row in results.rows
        if row.failed_seeds and row.seeds
    ]
    failed += dict.fromkeys(lost)
    if not failed and not any(row.status == "ok" for row in results.rows):
        failed = [f"no metric has a value: {'; '.join(absences(results.rows))}"]
    if failed:
        kept, stays = has_faults(run)
        told = "; what was raised is in its faults/" * kept + ", --retry-failed tries again" * stays
        raise WorkFailed(f"{'; '.join(failed)}; the rest is in {run}{told}")


def part_of(run: Path, *, since: float) -> "Results | None":
    """What a scoring that was stopped had found since then."""
    from artv_eval.results.documents import read_json
    from artv_eval.results.rows import Results
    from artv_eval.results.store import PART

    file = run / PART
    return Results.from_dict(read_json(file)) if file.exists() and file.stat().st_mtime > since else None

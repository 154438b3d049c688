"""``artv-eval sweep``: runs ablations; run again, it continues."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artv.errors import WorkFailed
from artv_eval.cli.common import check_least, complete, quiet_stdout, read_settings, reporter, say, words
from artv_eval.cli.training import train_options, training_grid
from artv_eval.errors import Interrupted
from artv_eval.plugins.manager import PluginManager

if TYPE_CHECKING:
    from artv_eval.results.rows import Results
    from artv_eval.sweep.prepare import Prepared


def sweep(
    context: typer.Context,
    ablation: Annotated[
        list[str],
        typer.Option(help="What to compare; may be given several times.", autocompletion=complete("ablations")),
    ] = [],  # noqa: B006 typer wants a list here and copies it
    preset: Annotated[str, typer.Option(help="shapes (a laptop's CPU) or paper (full size).")] = "shapes",
    checkpoint: Annotated[
        str | None, typer.Option(help="Packaged weights, a folder or a hub id. Default: the preset's.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Card or YAML file. Default: the preset's.", autocompletion=complete("protocols")),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Prompts of yours, for a card that takes them: .txt, .csv, .jsonl …"),
    ] = None,
    seeds_per_prompt: Annotated[
        int | None,
        typer.Option(help="Clips of each prompt; intervals and tests then go by prompt. Default: the card's."),
    ] = None,
    num_videos: Annotated[
        int | None, typer.Option(help="Clips a cell. Default: 20 for shapes, else the protocol's.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames a clip. Default: the protocol's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps. Default: the preset's.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another set of noise.")] = 0,
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated. Default: the protocol's.", autocompletion=complete("metrics")),
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train the cells' models, unless they are there.")] = False,
    train_seeds: Annotated[int, typer.Option(help="Train each under the seeds 1 to this number.")] = 1,
    train_steps: Annotated[
        str | None, typer.Option(metavar="N[,N…]", help="Lengths of training. Default: the preset's.")
    ] = None,
    twins: Annotated[str, typer.Option(help="Folder of trained models, shared by sweeps.")] = "runs/twins",
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="COMPONENT.FIELD=A,B",
            help="A cell for every combination of these values; of training.FIELD with --train: a model for each.",
        ),
    ] = [],  # noqa: B006
    sanity: Annotated[
        bool, typer.Option(help="Rows of the truth, a still and the wrong text, which show what each metric sees.")
    ] = True,
    executor: Annotated[
        str | None,
        typer.Option(
            help="serial, gpus, ray, or a plugin's. Default: gpus where --device is cuda and there are several.",
            autocompletion=complete("executors"),
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Make only this part of the clips, in the same run folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    out: Annotated[str | None, typer.Option(help="Run folder. Default: runs/<ablations>-<hash>.")] = None,
    format_: Annotated[
        str,
        typer.Option("--format", help="table, long, json, csv, markdown, latex.", autocompletion=complete("reporters")),
    ] = "table",
    set_: Annotated[
        list[str],
        typer.Option("--set", metavar="COMPONENT.FIELD=VALUE", help="A setting, for example sampler.eta=0.5."),
    ] = [],  # noqa: B006
    settings: Annotated[str | None, typer.Option(help="YAML file of settings: component: {field: value}.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
    batch_size: Annotated[
        int | None, typer.Option(help="Clips made at once. Default: 10 on a CPU, 24 on a GPU.")
    ] = None,
) -> None:
    """Runs ablations: makes the clips, scores them, compares the cells in pairs. The same command continues a run."""
    check_least(1, 1_000, train_seeds=train_seeds)
    manager = PluginManager(context.obj)
    render = reporter(manager, format_)
    command = ["artv-eval", *sys.argv[1:]]
    run: Path | None = None
    started = time.time()
    stdout, shown = sys.stdout, list["Results"]()

    def show(results: "Results") -> None:
        if not shown:  # they come again where a damaged clip was made anew
            typer.echo(render(results), file=stdout, nl=False)
            stdout.flush()
        shown.append(results)

    try:
        with quiet_stdout():
            from artv_eval.report.tables import absences
            from artv_eval.results.kept import kept as earlier
            from artv_eval.sweep.devices import default_executor
            from artv_eval.sweep.grid import parse_grid
            from artv_eval.sweep.plan import SweepRequest
            from artv_eval.sweep.prepare import SweepOptions, prepare
            from artv_eval.sweep.run import run_sweep

            given = read_settings(settings, set_)
            trained = [text for text in grid if text.startswith("training.")]
            swept = parse_grid([text for text in grid if text not in trained])
            named = (*ablation, *(("training-grid",) if trained else ()))
            request = SweepRequest(
                ablations=named or (("grid",) if swept else ()),
                preset=preset,
                checkpoint=checkpoint,
                steps=steps,
                settings={**given, **training_grid(trained)},
                grid=swept,
                train=train,
                sanity=sanity,
            )
            options = SweepOptions(
                request=request,
                protocol=protocol,
                prompts=prompts,
                seeds_per_prompt=seeds_per_prompt,
                num_videos=num_videos,
                frames=frames,
                seed=seed,
                metrics=words(metrics),
                executor=executor or default_executor(device),
                shard=shard,
                batch_size=batch_size,
                device=device,
                out=Path(out) if out else None,
                train=train_options(train_seeds, train_steps, twins) if train else None,
            )
            prepared = prepare(manager, options)
            run = prepared.run
            if not dry_run:
                show_plan(prepared)
                results = run_sweep(prepared, command, show)
    except KeyboardInterrupt:
        if run is not None and not shown and (part := part_of(run, since=started)) is not None:
            show(part)
        kept = f"what was finished is kept in {run}; " if run and not dry_run else ""
        raise Interrupted(f"interrupted; {kept}the same command continues: {shlex.join(command)}") from None
    if dry_run:
        typer.echo(json.dumps(plan_document(prepared), indent=2) if format_ == "json" else plan_text(prepared))
        return
    if results is None:
        if format_ == "json":
            typer.echo(json.dumps({"run": str(run), "rows": [], "comparisons": []}, indent=2))
        say(f"shard {shard} is done; the table follows when the clips of the other shards are in {run} too")
        return
    say(f"run folder {run}: report.html, results.json, results.csv, per_clip.csv, manifest.json")
    for path in earlier(prepared.run):
        say(f"earlier results: artv-eval report {path}")
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
        raise WorkFailed(f"{'; '.join(failed)}; the rest is in {run}")


def show_plan(prepared: "Prepared") -> None:
    """The plan, on stderr, before anything is done."""
    say(plan_text(prepared))


def part_of(run: Path, *, since: float) -> "Results | None":
    """What a scoring that was stopped had found since then."""
    from artv_eval.results.documents import read_json
    from artv_eval.results.rows import Results
    from artv_eval.results.store import PART

    file = run / PART
    return Results.from_dict(read_json(file)) if file.exists() and file.stat().st_mtime > since else None


def plan_document(prepared: "Prepared") -> dict[str, Any]:
    """What ``--dry-run --format json`` prints."""
    done = finished(prepared)
    return {
        "run": str(prepared.run),
        "protocol": prepared.protocol.label,
        "protocol_hash": prepared.protocol.key,
        "num_videos": len(prepared.requests),
        "metrics": [{"name": metric.name, "status": metric.status} for metric in prepared.metrics],
        "cells": [
            {
                "id": cell.id,
                "ablation": cell.ablation,
                "cell": cell.name,
                "method": cell.label,
                "status": cell.status,
                "checkpoint": cell.checkpoint,
                "ran": dict(cell.ran),
                "finished": done[cell.id],
                "seed": cell.seed,
                "training": cell.training.id if cell.training else None,
            }
            for cell in prepared.cells
        ],
        "trainings": [
            {
                "id": item.training.id,
                "cells": item.cells,
                "seed": item.training.seed,
                "steps": item.training.steps,
                "finished": item.finished,
                "minutes": item.minutes,
                "bytes": item.bytes,
            }
            for item in trainings_of(prepared)
        ],
    }


def finished(prepared: "Prepared") -> dict[str, int]:
    """Cell id → clips that are already there. Makes no folder."""
    if not prepared.run.is_dir():
        return {cell.id: 0 for cell in prepared.cells}
    from artv_eval.results.store import RunStore

    store = RunStore(prepared.run)
    total = len(prepared.indices)
    return {cell.id: total - len(store.missing(cell.id, prepared.indices)) for cell in prepared.cells}


def trainings_of(prepared: "Prepared") -> list[Any]:
    """The trainings of a plan."""
    options = prepared.options.train
    if options is None:
        return []
    from artv_eval.sweep.trainings import planned
    from artv_eval.twins.store import TwinStore

    return planned(prepared.manager, prepared.cells, TwinStore(options.store), prepared.options.device)


def plan_text(prepared: "Prepared") -> str:
    """The plan in words."""
    from artv_eval.sweep.ran import lines as what_ran
    from artv_eval.sweep.trainings import training_lines

    total, first = len(prepared.requests), prepared.requests[0]
    done = finished(prepared)
    lines = [
        f"protocol {prepared.protocol.label} ({prepared.protocol.key}): {total} clips a cell of {first.num_frames} "
        f"frames, {first.width}×{first.height} at {first.fps:g} fps; run folder {prepared.run}"
    ]
    lines += training_lines(trainings_of(prepared))
    for cell in prepared.cells:
        state = f"{total - done[cell.id]} clips to make" if done[cell.id] < total else "finished"
        state = state if cell.status == "ok" else cell.status
        seed = f", seed {cell.seed}" if cell.seed is not None else ""
        lines.append(f"  {cell.ablation} · {cell.name} ({cell.label}{seed}): {state}")
    lines += [f"  {line}" for line in what_ran(prepared.cells)]
    absent = [f"{metric.name} ({metric.status})" for metric in prepared.metrics if metric.status != "ok"]
    there = [metric.name for metric in prepared.metrics if metric.status == "ok"]
    lines.append(f"  metrics: {', '.join([*there, *absent])}")
    return "\n".join(lines)

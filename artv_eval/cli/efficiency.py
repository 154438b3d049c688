"""``artv-eval efficiency``: the paper's Table 2 on this machine; with ``--streaming`` the speed card of any method."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv.errors import UserError
from artv.files import write_text_atomically
from artv.requests import MOST_PIXELS
from artv_eval.cli.common import DryRun, check_above_zero, check_least, complete, read_settings
from artv_eval.errors import WorkFailed

OF_STREAMING = ("cells", "size", "fps", "batch", "set_")
OF_TABLE_2 = ("res", "dtype", "setting", "repeats", "train_batch")


def efficiency(
    context: typer.Context,
    res: Annotated[str, typer.Option(help="Resolutions in pixels, multiples of 64.")] = "320,448,768",
    method: Annotated[
        str, typer.Option(help="Methods: artv, modelscope, or registered ones.", autocompletion=complete("methods"))
    ] = "artv,modelscope",
    frames: Annotated[int, typer.Option(help="Frames of a batch.")] = 16,
    device: Annotated[
        str | None, typer.Option(help="cuda, or cpu or meta for parameters and FLOPs alone. Default: cuda if there.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="bf16 (default), fp16 or fp32.")] = None,
    setting: Annotated[
        str, typer.Option(help="eager (as written), tuned (compiled, in a CUDA graph) or paper (as Table 2 was taken).")
    ] = "eager",
    repeats: Annotated[int, typer.Option(help="Timed calls after the warm-up, at least 20.")] = 30,
    train_batch: Annotated[int, typer.Option(help="Also time a training step of this many samples; 0: do not.")] = 0,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="The speed card of any methods: first frame, gaps, rate, stalls.")
    ] = False,
    cells: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="With --streaming: the cells of this run, as they ran, at its clips' size."),
    ] = None,
    size: Annotated[str, typer.Option(help="With --streaming: width x height of the clip.")] = "64x64",
    fps: Annotated[float, typer.Option(help="With --streaming: frames a second that a player shows.")] = 8.0,
    batch: Annotated[int, typer.Option(help="With --streaming: clips made together.")] = 1,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="METHOD.FIELD=VALUE", help="With --streaming: a setting of a method.")
    ] = [],  # noqa: B006 typer wants a list here and copies it
    format: Annotated[str, typer.Option(help="table, json, csv, markdown or latex.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Also keep the rows in this JSON file, as they come.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Measures parameters, FLOPs, throughput and memory beside the paper's Table 2. Needs no weights.

    With --streaming: how fast methods give frames to whoever waits for them.
    """
    check_least(1, 1_000, batch=batch)
    check_above_zero(1_000.0, fps=fps)
    other = "only without --streaming" if streaming else "of --streaming alone"
    _refuse(context, OF_TABLE_2 if streaming else OF_STREAMING, f"is {other}")
    if streaming:
        if cells is not None:
            told = "is told by the run that --cells names: methods, settings and size"
            _refuse(context, ("method", "size", "frames", "fps", "set_"), told)
        _streaming(context, cells or method, size=size, frames=frames, fps=fps, batch=batch, device=device, given=set_,
                   format=format, keep=_file(out), dry_run=dry_run)  # fmt: skip
        return
    resolutions = parse_resolutions(res)
    check_least(2, 10_000, frames=frames)
    check_least(20, 100_000, repeats=repeats)
    check_least(0, 100_000, train_batch=train_batch)

    from artv_eval.efficiency import cases, rows, settings
    from artv_eval.efficiency.formats import check_format
    from artv_eval.efficiency.report import TABLE

    check_format(format)
    keep = _file(out)
    plan = rows.Plan(
        resolutions=resolutions,
        frames=frames,
        device=choose_device(device),
        dtype=settings.check_setting(setting, dtype),
        setting=setting,
        repeats=repeats,
        train_batch=train_batch,
    )
    chosen = cases.find_cases([name.strip() for name in method.split(",") if name.strip()], _manager(context))
    if dry_run:
        _would([case.name for case in chosen], [f"{size} pixels" for size in resolutions], plan.device)
        return
    done = []
    for row in rows.measure(chosen, plan):
        print(f"{row['method']} at {row['resolution']}: {row['status']}", file=sys.stderr)
        done.append(row)
        keep(TABLE.render(done, "json"))
    echo(TABLE.render(done, format))


def _refuse(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuses options that would say nothing here."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UserError(f"--{name.rstrip('_').replace('_', '-')} {why}; leave it out")


def _streaming(
    context: typer.Context,
    what: str | Path,
    *,
    size: str,
    frames: int,
    fps: float,
    batch: int,
    device: str | None,
    given: list[str],
    format: str,
    keep: Callable[[str], object],
    dry_run: bool,
) -> None:
    check_least(2, 10_000, frames=frames)
    width, height = parse_size(size)

    from artv.devices import chosen_device
    from artv_eval.efficiency.card import CARD
    from artv_eval.efficiency.formats import check_format
    from artv_eval.efficiency.streaming import Asked, cells_of, recipes_of, rows_of
    from artv_eval.results.rows import OK

    check_format(format)
    done, manager, device = [], _manager(context), chosen_device(device or "cpu")
    if isinstance(what, Path):
        from artv_eval.sweep.verify import again

        recipes, asked = cells_of(again(manager, what, device), what)
    else:
        names = [name.strip() for name in what.split(",") if name.strip()]
        recipes = recipes_of(manager, names, read_settings(None, given))
        asked = Asked(width=width, height=height, frames=frames, fps=fps)
    if dry_run:
        _would(list(recipes), [f"{batch} × {asked.frames} frames of {asked.width}×{asked.height}"], device)
        return
    for row in rows_of(manager, recipes, asked, batch=batch, device=device):
        print(f"{row['method']}: {row['status']}", file=sys.stderr)
        done.append(row)
        keep(CARD.render(done, "json"))
    echo(CARD.render(done, format))
    if not any(row["status"] == OK for row in done):
        raise WorkFailed("nothing was measured, as said above")
    if failed := [row["method"] for row in done if row["status"].startswith("failed")]:
        raise WorkFailed(f"{', '.join(failed)} could not be measured, as said above")


def _would(methods: list[str], sizes: list[str], device: str) -> None:
    """What ``--dry-run`` says."""
    print(f"would measure {', '.join(methods)} at {', '.join(sizes)} on {device}", file=sys.stderr)


def parse_size(text: str) -> tuple[int, int]:
    """``"832x480"`` as width and height; UserError for anything else."""
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) * int(height) <= MOST_PIXELS**2):
        raise UserError(f"--size is {text!r}; it must be width x height, such as 832x480")
    return int(width), int(height)


def _file(path: Path | None) -> Callable[[str], object]:
    """Writes text there; found out now if it cannot be, not after minutes of measuring."""
    if path is None:
        return lambda text: None
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror}; choose another file") from None
    return lambda text: write_text_atomically(path, text + "\n")


def parse_resolutions(text: str) -> tuple[int, ...]:
    """``"320,448"`` as numbers; UserError unless each is a positive multiple of 64."""
    try:
        values = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"--res is {text!r}; it must be numbers separated by commas, such as 320,448,768") from None
    if not values:
        raise UserError("--res is empty; give numbers separated by commas, such as 320,448,768")
    for value in values:
        if not 0 < value <= MOST_PIXELS or value % 64:
            near = min(max(64, round(value / 64) * 64), MOST_PIXELS)
            raise UserError(f"--res has {value}; it must be a positive multiple of 64, such as {near}")
    return values


def choose_device(device: str | None) -> str:
    """``device`` if this machine has it; by default a GPU if there is one, else meta."""
    from artv.devices import chosen_device

    if device is not None and ":" in device:
        raise UserError(f"--device is {device!r}; the current GPU is measured: give cuda (and CUDA_VISIBLE_DEVICES)")
    return chosen_device(device, meta=True)


def _manager(context: typer.Context):
    from artv_eval.plugins.manager import PluginManager

    return PluginManager(context.obj)

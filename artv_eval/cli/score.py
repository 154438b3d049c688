"""``artv-eval score``: metrics of folders of video files, of any model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artv.ending import echo
from artv_eval.cli.common import (
    EACH,
    MOST_FPS,
    DryRun,
    Format,
    check_above_zero,
    check_least,
    check_share,
    complete,
    frames_given,
    plugins_and_reporter,
    quiet_stdout,
    read_settings,
    say,
    video_reader,
    words,
)
from artv_eval.errors import Interrupted, WorkFailed
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.plugins.manager import PluginManager

if TYPE_CHECKING:
    from artv_eval.files.decoding import Excerpt
    from artv_eval.results.rows import Results
    from artv_eval.sweep.score_cells import Metric

DEFAULT_PROTOCOL = "files"


def score(
    context: typer.Context,
    fake: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]DIR", help="Video files to score; several folders are compared in pairs with the first."
        ),
    ],
    metrics: Annotated[
        str | None, typer.Option(help="Comma-separated, for example fvd,clipsim.", autocompletion=complete("metrics"))
    ] = None,
    real: Annotated[
        str | None, typer.Option(metavar="DIR", help="Real video files, for FVD and its like, or a saved reference.")
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Lines file,caption. Default: captions.csv in the folder, if any."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Extractor of FVD and of all metrics of video features. Default: the protocol's.",
            autocompletion=complete("features"),
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Card whose conventions to score by.", autocompletion=complete("protocols"))
    ] = DEFAULT_PROTOCOL,
    frames: Annotated[
        str | None,
        typer.Option(metavar="N|each", help="Frames of a clip, or each: all that it has. Default: the protocol's."),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Rate to compare at. Default: the protocol's.")] = None,
    stride: Annotated[int | None, typer.Option(help="Every k-th frame. Default: the protocol's.")] = None,
    size: Annotated[int | None, typer.Option(help="Scale all clips to this many pixels, square, first.")] = None,
    set_: Annotated[list[str], typer.Option("--set", metavar="COMPONENT.FIELD=VALUE", help="A setting.")] = [],  # noqa: B006
    settings: Annotated[str | None, typer.Option(help="YAML file of settings.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Decoding processes. Default: one a core, at most 16.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one file may take to decode.")] = 60.0,
    reader: Annotated[
        str, typer.Option(help="Reads the files; see docs/readers.md.", autocompletion=complete("readers"))
    ] = "decord",
    bad_files: Annotated[
        float | None,
        typer.Option(help="Share of unreadable files above which metrics are withheld. Default: the protocol's."),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Keep rows for the next time.")] = True,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the page to this file, with the first clips side by side.")
    ] = None,
    format_: Format = "table",
    dry_run: DryRun = False,
) -> None:
    """Scores video files of any model: value, interval, n and protocol. A file that cannot be read is named."""
    manager, render = plugins_and_reporter(context, format_)
    fakes = _named(fake)
    changes = {"frames": frames_given(frames), "fps": fps, "stride": stride, "size": size, "features": features}
    changes["bad_files"] = bad_files
    try:
        with quiet_stdout():
            said, excerpt, run = _prepared(
                manager, real, fakes, words(metrics) or (), captions, protocol, changes,
                read_settings(settings, set_), device, video_reader(manager, reader), workers, timeout, cache,
            )  # fmt: skip
            if dry_run:
                say(said)
                return
            results = run()
    except KeyboardInterrupt:
        raise Interrupted("interrupted; rows described so far are kept, the same command continues") from None
    echo(_json(results) if format_ == "json" else render(results), nl=False)
    if html is not None:
        with quiet_stdout():
            from artv_eval.cli.score_page import write_page

            write_page(html, results, fakes, excerpt)
    _end(results)


def _named(given: list[str]) -> dict[str, Path]:
    """Name → folder, of ``[NAME=]DIR``; a folder without a name has its own.

    Raises:
        UserError: two of one name, or one named like the real clips.
    """
    from artv.errors import UserError

    found: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir():
            name, folder = Path(text).resolve().name, text
        if name in found or not name or (name == "real" and len(given) > 1):
            why = "is given twice" if name in found else "stands for the real clips" if name else "has no name"
            raise UserError(f"--fake {text!r}: {name!r} {why}; give each folder a name of its own: --fake NAME=DIR")
        found[name] = Path(folder)
    return found


def _end(results: "Results") -> None:
    """Raises WorkFailed for a withheld or failed metric, and if no metric is left; one absent is told in the table."""
    from artv_eval.report.tables import absences
    from artv_eval.results.rows import OK

    lost = [row for row in results.rows if row.status != OK]
    if len(lost) == len(results.rows) or any(not row.status.startswith("absent") for row in lost):
        withheld = any(row.status.startswith("withheld") for row in lost)
        remedy = (
            "; mend or remove these files, lower --frames if they are short, or allow more of them with --bad-files"
            if withheld
            else ""
        )
        raise WorkFailed("; ".join(absences(lost)) + remedy)


def _json(results: "Results") -> str:
    """Rows, comparisons and findings, as the interface says, with curves over the frames and every file left out."""
    import json

    from artv_eval.report.findings import findings_of, plain

    found = results.to_dict()
    shown = {key: found[key] for key in ("rows", "comparisons", "curves", "notes", "bad_files")}
    shown["findings"] = plain(findings_of(results))
    return json.dumps(shown, indent=2, allow_nan=False) + "\n"


def _prepared(
    manager: PluginManager,
    real: str | None,
    fakes: dict[str, Path],
    metrics: tuple[str, ...],
    captions: str | None,
    protocol: str,
    changes: dict[str, Any],
    settings: dict[str, dict[str, Any]],
    device: str,
    reader: str,
    workers: int | None,
    timeout: float,
    cache: bool,
) -> tuple[str, "Excerpt", Callable[[], "Results"]]:
    """What would be done, how clips are cut, and what does it."""
    from dataclasses import replace

    from artv.data.captions import read_captions
    from artv.devices import chosen_device
    from artv.errors import UserError, counted
    from artv_eval.files.describe import WORKERS, default_cache, video_files
    from artv_eval.files.saved_reference import is_saved
    from artv_eval.files.score import score_folders
    from artv_eval.results.rows import OK
    from artv_eval.sweep.assignments import Assignments
    from artv_eval.sweep.plan import digest

    chosen_device(device)
    if not metrics:
        raise UserError(f"no metric given; choose with --metrics: {', '.join(manager.names('metrics'))}")
    _check_excerpt(changes, workers)
    check_above_zero(timeout=timeout)
    check_share(bad_files=changes["bad_files"])
    folders = (*fakes.values(), *([Path(real)] if real is not None and not is_saved(real) else []))
    counts = {folder: len(video_files(folder)) for folder in folders}
    tables = {name: Path(captions) if captions else folder / "captions.csv" for name, folder in fakes.items()}
    texts = {name: read_captions(table) for name, table in tables.items() if captions or table.is_file()}
    assignments = Assignments(settings)
    card, made, changed = _metrics(manager, protocol, metrics, changes, assignments, device)
    assignments.finish(manager)
    label, key = _label(card, changes)
    keys = {name: digest([key, settings])[:12] for name, settings in changed.items()}
    own = optional(card, ProtocolExtras, "bad_files")
    fields = optional(card, ProtocolExtras, "card")
    excerpt = _excerpt(card, changes, reader)
    run = partial(
        score_folders, real, fakes, [metric.evaluator for metric in made if metric.status == OK], excerpt,
        absent={metric.name: metric.status for metric in made if metric.status != OK}, captions=texts,
        bad_files=own if changes["bad_files"] is None else changes["bad_files"],
        same_length=changes["frames"] is None and protocol == DEFAULT_PROTOCOL, protocol=label,
        protocol_hash=key, hashes=keys,
        real_which=fields.reference.which if fields else None,
        real_transform=_own_transform(fields),
        cache=default_cache() if cache else None, workers=WORKERS if workers is None else workers, timeout=timeout,
        on_clip=lambda name, done, total: say(f"{name}: {done}/{total}") if done in (total,) else None,
    )  # fmt: skip
    conventions, given = optional(card, ProtocolExtras, "conventions")(), label.partition(" ")[2]
    if conventions and given:
        conventions += f"; here {', '.join(given.split())}"

    unused = dict.fromkeys(line for text in texts.values() if (line := text.unused()))

    def noted() -> "Results":
        results = run()
        return replace(results, notes=[*filter(None, [conventions, *unused]), *results.notes])

    by = ", ".join(f"{metric.title} ({metric.status})" if metric.status != OK else metric.title for metric in made)
    said = f"would score {counted(sum(counts.values()), 'file')} in {counted(len(counts), 'folder')} by {by}, {label}"
    return "\n".join([said, *unused]), excerpt, noted


def _check_excerpt(changes: dict[str, Any], workers: int | None) -> None:
    """Raises UserError for numbers by which no clip can be read."""
    from artv.requests import MOST_FRAMES, MOST_PIXELS

    check_least(1, MOST_FRAMES, stride=changes["stride"])
    check_least(1, MOST_PIXELS, size=changes["size"])
    check_least(0, 1_000, workers=workers)
    check_above_zero(MOST_FPS, fps=changes["fps"])


def reference_parts(
    manager: PluginManager,
    protocol: str,
    metrics: tuple[str, ...],
    changes: dict[str, Any],
    settings: dict[str, dict[str, Any]],
    device: str,
    workers: int | None,
) -> tuple[list[Any], "Excerpt", str]:
    """Evaluators that compare with real clips, how these are cut, and the protocol's label, as a scoring has them."""
    from artv.errors import UserError
    from artv_eval.files.score import real_excerpt
    from artv_eval.results.rows import OK
    from artv_eval.sweep.assignments import Assignments

    _check_excerpt(changes, workers)
    assignments = Assignments(settings)
    card, made, _ = _metrics(manager, protocol, metrics, changes, assignments, device)
    assignments.finish(manager)
    lacking = [metric.status for metric in made if metric.status != OK]
    evaluators = [metric.evaluator for metric in made if metric.status == OK]
    without = [evaluator.name for evaluator in evaluators if "reference" not in evaluator.needs]
    if lacking or without or not evaluators:
        raise UserError(
            lacking[0] if lacking else f"{without[0] if without else 'no metric'} compares with no reference"
        )
    fields = optional(card, ProtocolExtras, "card")
    excerpt = _excerpt(card, changes, "decord")
    whole = real_excerpt(excerpt, fields.reference.which if fields else None, _own_transform(fields))
    return evaluators, whole, card.name


def _metrics(
    manager: PluginManager,
    protocol: str,
    metrics: tuple[str, ...],
    given: dict[str, Any],
    assignments: Any,
    device: str,
) -> tuple[Any, list["Metric"], dict[str, Any]]:
    """The protocol card, the metrics, absent where weights are, and by their names what ``--set`` changed."""
    from artv.requests import MOST_FRAMES
    from artv_eval.plugins.recipe import build
    from artv_eval.sweep.metric_recipes import (
        Conventions,
        changed_convention,
        metric_of,
        metric_recipe,
        protocol_recipe,
    )

    card = build(manager, protocol_recipe(manager, protocol, assignments.take("protocol")))
    fixed, frames = Conventions.of(card, given["features"]), _excerpt(card, given, "decord").frames
    recipes = [metric_recipe(manager, name, fixed, assignments) for name in dict.fromkeys(metrics)]
    made = [metric_of(manager, item, {"device": device}, card, frames or MOST_FRAMES) for item in recipes]
    changes = [changed_convention(manager, item, fixed) for item in recipes]
    names = [metric.name if metric.evaluator is None else metric.evaluator.name for metric in made]
    return card, made, {name: change for name, change in zip(names, changes, strict=True) if change is not None}


def _excerpt(card: Any, changes: dict[str, Any], reader: str) -> Any:
    from artv_eval.files.decoding import Excerpt

    fields = optional(card, ProtocolExtras, "card")
    own = fields.frames if fields else None
    first = None if own is not None else card.requests(num=1)[0]
    number = own.number if own else first.num_frames if first else 16
    each = changes["frames"] == EACH or (changes["frames"] is None and own is not None and own.lengths == EACH)
    return Excerpt(
        frames=None if each else changes["frames"] or number,
        fps=changes["fps"] or (own.fps if own else first.fps if first else None),
        stride=changes["stride"] or (own.stride if own else 1),
        transform=(("size", changes["size"]),) if changes["size"] else (),
        reader=reader,
        own_rates=own is not None and own.fps is None,
    )


def _own_transform(fields: Any) -> dict[str, Any] | None:
    """That of a card's real clips alone."""
    own = fields.reference.transform if fields else None
    return own.model_dump(exclude_defaults=True) if own else None


def _label(card: Any, changes: dict[str, Any]) -> tuple[str, str]:
    """The protocol as shown, with what the command line changed of it, and its hash."""
    from artv_eval.sweep.plan import digest

    cut = _excerpt(card, dict.fromkeys(changes), "decord")
    own = {"frames": cut.frames or EACH, "fps": cut.fps, "stride": cut.stride}
    own["bad_files"] = optional(card, ProtocolExtras, "bad_files")
    given = {name: value for name, value in changes.items() if value not in (None, own.get(name))}
    label = " ".join([card.name, *(f"{name}={value}" for name, value in given.items())])
    return label, digest([card.hash, given])[:12] if given else card.hash

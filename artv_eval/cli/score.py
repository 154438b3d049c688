"""``artv-eval score``: metrics of folders of video files, of any model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artv_eval.cli.common import complete, quiet_stdout, read_settings, reporter, say, words
from artv_eval.errors import Interrupted, WorkFailed
from artv_eval.plugins import PluginManager

if TYPE_CHECKING:
    from artv_eval.results import Results

VIDEO_METRICS = ("fvd", "fvd_infinity", "kvd", "window_fvd", "window_fvd_drift")
DEFAULT_PROTOCOL = "shapes@1"


def score(
    context: typer.Context,
    fake: Annotated[str, typer.Option(metavar="DIR", help="Video files to score.")],
    metrics: Annotated[
        str, typer.Option(help="Comma-separated, for example fvd,clipsim.", autocompletion=complete("metrics"))
    ],
    real: Annotated[str | None, typer.Option(metavar="DIR", help="Real video files, for FVD and its like.")] = None,
    captions: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Lines file,caption. Default: captions.csv in the folder, if any."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Extractor of FVD and KVD. Default: the protocol's.", autocompletion=complete("features")),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Card whose conventions to score by.", autocompletion=complete("protocols"))
    ] = DEFAULT_PROTOCOL,
    frames: Annotated[int | None, typer.Option(help="Frames of a clip. Default: the protocol's.")] = None,
    fps: Annotated[float | None, typer.Option(help="Rate to compare at. Default: the protocol's.")] = None,
    stride: Annotated[int | None, typer.Option(help="Every k-th frame. Default: the protocol's.")] = None,
    size: Annotated[int | None, typer.Option(help="Scale all clips to this many pixels, square, first.")] = None,
    set_: Annotated[list[str], typer.Option("--set", metavar="COMPONENT.FIELD=VALUE", help="A setting.")] = [],  # noqa: B006
    settings: Annotated[str | None, typer.Option(help="YAML file of settings.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Decoding processes. Default: one a core, at most 16.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one file may take to decode.")] = 60.0,
    cache: Annotated[bool, typer.Option(help="Keep rows for the next time.")] = True,
    format_: Annotated[
        str, typer.Option("--format", help="table, json, csv, markdown, latex.", autocompletion=complete("reporters"))
    ] = "table",
) -> None:
    """Scores video files of any model: value, interval, n and protocol. A file that cannot be read is named."""
    manager = PluginManager(context.obj)
    render = reporter(manager, format_)
    changes = {"frames": frames, "fps": fps, "stride": stride, "size": size, "features": features}
    try:
        with quiet_stdout():
            results = _score(
                manager, real, fake, words(metrics) or (), captions, protocol, changes,
                read_settings(settings, set_), device, workers, timeout, cache,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted("interrupted; rows described so far are kept, the same command continues") from None
    typer.echo(_json(results) if format_ == "json" else render(results), nl=False)
    withheld: dict[str, list[str]] = {}
    for row in results.rows:
        if row.status.startswith("withheld"):
            withheld.setdefault(row.status, []).append(row.metric)
    if withheld:
        raise WorkFailed("; ".join(f"{', '.join(metrics)} {status}" for status, metrics in withheld.items()))


def _json(results: "Results") -> str:
    """``{"rows": […]}``, as the interface says, with curves over the frame index and notes about files left out."""
    import json

    found = results.to_dict()
    return json.dumps({key: found[key] for key in ("rows", "curves", "notes")}, indent=2, allow_nan=False) + "\n"


def _score(
    manager: PluginManager,
    real: str | None,
    fake: str,
    metrics: tuple[str, ...],
    captions: str | None,
    protocol: str,
    changes: dict[str, Any],
    settings: dict[str, dict[str, Any]],
    device: str,
    workers: int | None,
    timeout: float,
    cache: bool,
) -> "Results":
    from artv.errors import UserError
    from artv_eval.folders import WORKERS, default_cache, read_captions, score_folders, video_files
    from artv_eval.plan import Assignments, digest
    from artv_eval.sweep import check_device

    check_device(device)
    if not metrics:
        raise UserError(f"no metric given; choose with --metrics: {', '.join(manager.names('metrics'))}")
    for name in ("frames", "stride", "size"):
        if changes[name] is not None and changes[name] < 1:
            raise UserError(f"--{name} is {changes[name]}; it must be at least 1")
    if changes["fps"] is not None and changes["fps"] <= 0:
        raise UserError(f"--fps is {changes['fps']}; it must be above 0")
    video_files(fake)
    beside = Path(fake) / "captions.csv"
    file = Path(captions) if captions else beside if beside.is_file() else None
    texts = read_captions(file) if file else None
    assignments = Assignments(settings)
    card, evaluators, changed = _evaluators(manager, protocol, metrics, changes["features"], assignments, device)
    assignments.finish()
    label, key = _label(card, changes)
    keys = {name: digest([key, settings])[:12] for name, settings in changed.items()}
    return score_folders(
        real, fake, evaluators, _window(card, changes), captions=texts, bad_files=_field(card, "bad_files", 0.01),
        protocol=label, protocol_hash=key, hashes=keys,
        real_which=getattr(_field(card, "reference", None), "which", None),
        cache=default_cache() if cache else None, workers=WORKERS if workers is None else workers, timeout=timeout,
        on_clip=lambda name, done, total: say(f"{name}: {done}/{total}") if done in (total,) else None,
    )  # fmt: skip


def _evaluators(
    manager: PluginManager,
    protocol: str,
    metrics: tuple[str, ...],
    features: str | None,
    assignments: Any,
    device: str,
) -> tuple[Any, list[Any], dict[str, Any]]:
    """The protocol card, the evaluators, and by their names the settings that ``--set`` changed.

    A metric that cannot be made is an error here, for it was asked for.
    """
    from artv_eval.build import build
    from artv_eval.sweep import changed_convention, metric_recipe, protocol_recipe

    card = build(manager, protocol_recipe(manager, protocol, assignments.take("protocol")))
    fixed = {name: dict(values) for name, values in getattr(card, "metric_settings", {}).items()}
    if features is not None:
        for name in VIDEO_METRICS:
            fixed[name] = {**fixed.get(name, {}), "feature": features}
    made = [metric_recipe(manager, name, fixed, assignments) for name in dict.fromkeys(metrics)]
    evaluators = [build(manager, item, {"device": device}) for item in made]
    changes = [changed_convention(manager, item, fixed) for item in made]
    return card, evaluators, {e.name: c for e, c in zip(evaluators, changes, strict=True) if c is not None}


def _field(card: Any, name: str, default: Any) -> Any:
    return getattr(getattr(card, "card", None), name, default)


def _window(card: Any, changes: dict[str, Any]) -> Any:
    from artv_eval.decoding import Window

    own = _field(card, "frames", None)
    first = None if own is not None else card.requests(num=1)[0]
    return Window(
        frames=changes["frames"] or (own.number if own else first.num_frames if first else 16),
        fps=changes["fps"] or (own.fps if own else first.fps if first else None),
        stride=changes["stride"] or (own.stride if own else 1),
        transform=(("size", changes["size"]),) if changes["size"] else (),
    )


def _label(card: Any, changes: dict[str, Any]) -> tuple[str, str]:
    """The protocol as shown, with what the command line changed of it, and its hash."""
    from artv_eval.plan import digest

    given = {name: value for name, value in changes.items() if value is not None}
    label = " ".join([card.name, *(f"{name}={value}" for name, value in given.items())])
    return label, digest([card.hash, given])[:12] if given else card.hash

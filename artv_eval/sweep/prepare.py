"""A sweep's request, checked whole before the first expensive step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from artv.devices import chosen_device
from artv.errors import UserError
from artv.requests import MOST_FRAMES, MOST_STEPS, check_count, check_seed
from artv_eval.api import ClipRequest, ProtocolCard
from artv_eval.extras import AblationExtras, MethodExtras, ProtocolExtras, optional
from artv_eval.plugins.digests import digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe, bare, build, recipe
from artv_eval.protocols.sources import Lazy
from artv_eval.results.documents import read_json
from artv_eval.results.rows import reason
from artv_eval.sweep.assignments import Assignments
from artv_eval.sweep.devices import default_executor
from artv_eval.sweep.generate import Shard
from artv_eval.sweep.metric_recipes import Conventions, metric_of, metric_recipe, protocol_recipe
from artv_eval.sweep.plan import Cell, ProtocolRef, SweepRequest, plan_cells
from artv_eval.sweep.ran import check_distinct
from artv_eval.sweep.score_cells import Metric
from artv_eval.sweep.trainings import TrainOptions, check_untrained, trained_cells

PROTOCOLS = {"shapes": "shapes@1", "paper": "msrvtt@lavie"}
NUM_VIDEOS = {"shapes": 20}


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The command line of a sweep. None is the preset's or the protocol's own value.

    ``executor``: None for the one that the amount of work asks for.
    ``plan``: all of it as plain values, of which the same sweep can be prepared again.
    """

    request: SweepRequest
    protocol: str | None = None
    prompts: str | None = None
    seeds_per_prompt: int | None = None
    num_videos: int | None = None
    frames: int | None = None
    seed: int = 0
    metrics: tuple[str, ...] | None = None
    executor: str | None = "serial"
    shard: str | None = None
    batch_size: int | None = None
    device: str = "cpu"
    out: Path | None = None
    store: Path | None = None
    retry_failed: bool = False
    train: TrainOptions | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A planned sweep with everything that was loaded to plan it."""

    manager: PluginManager
    options: SweepOptions
    protocol: ProtocolRef
    card_recipe: Recipe
    card: ProtocolCard
    requests: Sequence[ClipRequest]
    indices: list[int]
    cells: list[Cell]
    metrics: list[Metric]
    metric_recipes: list[Recipe]
    shard: Shard
    executor: Any
    executor_recipe: Recipe
    run: Path

    @property
    def store(self) -> Path:
        """Where clips and rows are kept; beside the run folder, unless another place was asked for."""
        return self.options.store or self.run.parent / "store"

    def ids(self) -> set[str]:
        """Ids of all cells and trainings."""
        return {name for cell in self.cells for name in (cell.id, cell.training and cell.training.id) if name}

    @property
    def runtime(self) -> dict[str, Any]:
        """Where things run."""
        return {"device": self.options.device}


def prepare(manager: PluginManager, options: SweepOptions) -> Prepared:
    """Resolves names, checks settings, loads evaluators, digests checkpoints. Makes no clip and no file.

    Raises:
        UserError: whatever is wrong with the request.
    """
    _check_numbers(options)
    chosen_device(options.device)
    assignments = Assignments(options.request.settings, steps=options.request.steps, grid=options.request.grid)
    shard = Shard.parse(options.shard)
    runtime = {"device": options.device}
    check_preset(options.request.preset)
    name = options.protocol or _usual_protocol(manager, options)
    card_recipe = protocol_recipe(manager, name, _protocol_settings(options, assignments.take("protocol")))
    card = build(manager, card_recipe)
    num = options.num_videos or _default_number(options, card)
    frames = _frames(card, options, num)
    if frames is not None:
        card = optional(card, ProtocolExtras, "with_frames")(frames)
    protocol = ProtocolRef(name=card.name, hash=card.hash, frames=frames, seed=options.seed)
    cells = plan_cells(manager, options.request, protocol, assignments)
    if options.train is not None:
        cells = trained_cells(manager, cells, options.train, options.request.preset, assignments, options.device)
    else:
        check_untrained(cells, options.request)
    metric_recipes = _metric_recipes(manager, options, card, assignments)
    requests = card.requests(num=num, frames=frames, seed=options.seed)
    first = requests[0]  # once: it may be rendered when it is asked for
    usual = default_executor(options.device, len(cells) * len(requests) * first.num_frames)
    executor_name, its_settings = (options.executor, {}) if options.executor else usual
    executor_recipe = recipe(manager, "executors", executor_name, its_settings | assignments.take("executor"))
    assignments.finish(manager)
    executor = build(manager, executor_recipe)
    checked = (_checked(manager, cell, runtime, options.request.preset, first) for cell in cells)
    cells = [cell for cell in checked if cell.method is not None or not cell.sanity]
    check_distinct(cells)
    return Prepared(
        manager=manager,
        options=options,
        protocol=protocol,
        card_recipe=card_recipe,
        card=card,
        requests=requests,
        indices=_indices(requests),
        cells=cells,
        metrics=[metric_of(manager, item, runtime, card, first.num_frames) for item in metric_recipes],
        metric_recipes=metric_recipes,
        shard=shard,
        executor=executor,
        executor_recipe=executor_recipe,
        run=options.out or default_run(options.request, cells),
    )


def check_preset(name: str) -> None:
    """Raises UserError for a preset that does not exist."""
    if name not in PROTOCOLS:
        raise UserError(f"preset is {name!r}; it must be one of {', '.join(PROTOCOLS)}")


def _indices(requests: Sequence[ClipRequest]) -> list[int]:
    """The index of every request. Those of our cards are their positions, and none is rendered to be counted."""
    if isinstance(requests, Lazy) and requests.whole:
        return list(range(len(requests)))
    return [request.index for request in requests]


def _usual_protocol(manager: PluginManager, options: SweepOptions) -> str:
    """The preset's, or the one that the only ablation is made for, of models that come with the package.

    A run folder that was begun when such an ablation had the preset's goes on as it began.
    """
    request, usual = options.request, PROTOCOLS[options.request.preset]
    name = request.ablations[0] if len(set(request.ablations)) == 1 else ""
    chosen = request.train or request.checkpoint is not None or request.settings.get(bare(name))
    if not name or chosen or _begun(options).get("name") == usual:
        return usual
    target = manager.target(manager.find("ablations", name))
    return optional(target, AblationExtras, "protocols").get(request.preset, usual)


def _begun(options: SweepOptions) -> dict[str, Any]:
    """What the manifest of the run folder that was given says of its protocol; nothing where there is none."""
    manifest = options.out / "manifest.json" if options.out else None
    found = read_json(manifest).get("protocol") if manifest is not None and manifest.is_file() else None
    return found if isinstance(found, dict) else {}


def _protocol_settings(options: SweepOptions, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the file of ``--prompts`` and the number of ``--seeds-per-prompt``."""
    if options.seeds_per_prompt is not None:
        given = {**given, "seeds": options.seeds_per_prompt}
    if options.prompts is None:
        return given
    if options.protocol is None:
        raise UserError(
            f"--prompts {options.prompts}: give the card too that says the size of clips and the metrics, --protocol "
            "long@rolling-forcing or a YAML file of yours with prompts.dataset: file (docs/protocols.md)"
        )
    if given.get("prompts", options.prompts) != options.prompts:
        raise UserError(f"--prompts is {options.prompts} and protocol.prompts {given['prompts']}; give one of them")
    return {**given, "prompts": options.prompts}


def _default_number(options: SweepOptions, card: ProtocolCard) -> int | None:
    """Clips a cell: of the user's prompts all (None), else of as many as a CPU makes in minutes."""
    number = None if options.prompts else NUM_VIDEOS.get(options.request.preset)
    return number and number * optional(card, ProtocolExtras, "seeds_per_prompt")


def _frames(card: ProtocolCard, options: SweepOptions, num: int | None) -> int | None:
    """The asked length, or None where it is the card's own: that is the card itself, and has its hash.

    A run folder that was begun when this made a difference goes on as it began.
    """
    if options.frames is None or card.requests(num=num, seed=options.seed)[0].num_frames != options.frames:
        return options.frames
    return options.frames if _begun(options).get("frames") == options.frames else None


def _check_numbers(options: SweepOptions) -> None:
    check_count("--num-videos", options.num_videos, 2)
    check_count("--frames", options.frames, 2, MOST_FRAMES)
    check_count("--seeds-per-prompt", options.seeds_per_prompt, 1, 10_000)
    check_count("--steps", options.request.steps, 1, MOST_STEPS)
    check_count("--batch-size", options.batch_size, 1, MOST_FRAMES)
    check_seed(options.seed, "--seed")


def _metric_recipes(
    manager: PluginManager, options: SweepOptions, card: ProtocolCard, assignments: Assignments
) -> list[Recipe]:
    names = options.metrics if options.metrics is not None else optional(card, ProtocolExtras, "metrics")
    if not names:
        who = f"protocol {card.name!r}" if options.metrics is None else "--metrics"
        raise UserError(f"{who} names no metrics; choose with --metrics: {', '.join(manager.names('metrics'))}")
    fixed = Conventions.of(card)
    targets = [manager.target(manager.find("ablations", name)) for name in options.request.ablations]
    asked = [name for target in targets for name in optional(target, AblationExtras, "metrics")]
    return [metric_recipe(manager, name, fixed, assignments) for name in dict.fromkeys([*names, *asked])]


def _checked(manager: PluginManager, cell: Cell, runtime: dict[str, Any], preset: str, first: ClipRequest) -> Cell:
    """The cell with its checkpoint's digest, or with the reason why it cannot run: a sanity cell is then left out."""
    if cell.method is None or cell.training is not None:  # a twin need not be there yet
        return cell
    method = build(manager, cell.method, runtime)
    extra = partial(optional, method, MethodExtras)
    try:
        lacks = extra("unavailable")() or extra("unsuited")(first)
        own = None if lacks else extra("preset")()
        checkpoint = None if lacks else extra("digest")()
    except (UserError, OSError):
        raise
    except Exception as error:  # its author's fault, which costs this cell
        return replace(cell, status=reason(error), method=None)
    if lacks:
        return replace(cell, status=f"not available: {lacks}", method=None)
    if own is not None and own != preset:
        raise UserError(
            f"cell {cell.name}: the checkpoint is of preset {own!r} and the sweep of {preset!r}; give --preset "
            f"{own}, or another --checkpoint"
        )
    return replace(cell, checkpoint=checkpoint)


def default_run(request: SweepRequest, cells: Sequence[Cell]) -> Path:
    """``runs/<ablations>-<hash>``: the same command finds its own folder again."""
    names = "+".join(name.rpartition("/")[2].partition(":")[0] for name in dict.fromkeys(request.ablations))
    return Path("runs") / f"{names}-{digest(list(dict.fromkeys(cell.family for cell in cells)))[:8]}"

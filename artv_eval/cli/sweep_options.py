"""The options that say what is swept: the same for ``sweep`` and ``plan``."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from artv_eval.cli.common import check_least, complete, words
from artv_eval.plugins.manager import PluginManager

if TYPE_CHECKING:
    from artv_eval.sweep.plan_file import SweepPlan


@dataclass(frozen=True, kw_only=True)
class SweepArguments:
    """What a command line says of a sweep; ``set_`` is ``--set``."""

    plan: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A plan in YAML; options beside it come on top of it.")
    ] = None
    ablation: Annotated[
        list[str],
        typer.Option(help="What to compare; may be given several times.", autocompletion=complete("ablations")),
    ] = field(default_factory=list)
    preset: Annotated[str, typer.Option(help="shapes (a laptop's CPU) or paper (full size).")] = "shapes"
    checkpoint: Annotated[
        str | None, typer.Option(help="Packaged weights, a folder or a hub id. Default: the preset's.")
    ] = None
    protocol: Annotated[
        str | None,
        typer.Option(help="Card or YAML file. Default: the preset's.", autocompletion=complete("protocols")),
    ] = None
    prompts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Prompts of yours, for a card that takes them: .txt, .csv, .jsonl …"),
    ] = None
    seeds_per_prompt: Annotated[
        int | None,
        typer.Option(help="Clips of each prompt; intervals and tests then go by prompt. Default: the card's."),
    ] = None
    num_videos: Annotated[
        int | None, typer.Option(help="Clips a cell. Default: 20 for shapes, else the protocol's.")
    ] = None
    frames: Annotated[int | None, typer.Option(help="Frames a clip. Default: the protocol's.")] = None
    steps: Annotated[int | None, typer.Option(help="Sampling steps. Default: the preset's.")] = None
    seed: Annotated[int, typer.Option(help="Another seed is another set of noise.")] = 0
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated. Default: the protocol's.", autocompletion=complete("metrics")),
    ] = None
    train: Annotated[bool, typer.Option("--train", help="Train the cells' models, unless they are there.")] = False
    train_seeds: Annotated[int, typer.Option(help="Train each under the seeds 1 to this number.")] = 1
    train_steps: Annotated[
        str | None, typer.Option(metavar="N[,N…]", help="Lengths of training. Default: the preset's.")
    ] = None
    twins: Annotated[str, typer.Option(help="Folder of trained models, shared by sweeps.")] = "runs/twins"
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="COMPONENT.FIELD=A,B",
            help="A cell for every combination of these values; of training.FIELD with --train: a model for each.",
        ),
    ] = field(default_factory=list)
    sanity: Annotated[
        bool, typer.Option(help="Rows of the truth, a still and the wrong text, which show what each metric sees.")
    ] = True
    executor: Annotated[
        str | None,
        typer.Option(
            help="serial, gpus, ray, or a plugin's. Default: gpus if there are several or much to do on a CPU.",
            autocompletion=complete("executors"),
        ),
    ] = None
    out: Annotated[str | None, typer.Option(help="Run folder. Default: runs/<ablations>-<hash>.")] = None
    store: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where clips and rows are kept for all sweeps. Default: store/ beside --out."),
    ] = None
    set_: Annotated[
        list[str],
        typer.Option("--set", metavar="COMPONENT.FIELD=VALUE", help="A setting, for example sampler.eta=0.5."),
    ] = field(default_factory=list)
    settings: Annotated[str | None, typer.Option(help="YAML file of settings: component: {field: value}.")] = None
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu"
    batch_size: Annotated[int | None, typer.Option(help="Clips made at once. Default: 10 on a CPU, 24 on a GPU.")] = (
        None
    )

    def read(self, context: typer.Context, manager: PluginManager, **more: Any) -> "SweepPlan":
        """The plan of the file and, over it, of what was typed.

        Args:
            more: further fields of the plan, of options that only one command has.

        Raises:
            UserError: the file, or an option of another form.
        """
        from artv.errors import UserError
        from artv_eval.cli.training import trained
        from artv_eval.sweep.grid import grid_texts
        from artv_eval.sweep.plan_file import read_plan

        check_least(1, 1_000, train_seeds=self.train_seeds)
        typed = {f.name: getattr(self, f.name) for f in fields(self) if _typed(context, f.name)} | more
        for name in ("plan", "train", "train_seeds", "train_steps", "settings"):
            typed.pop(name, None)
        for name, other, read in (
            ("ablation", "ablations", list),
            ("grid", "grid", grid_texts),
            ("metrics", "metrics", _names),
            ("set_", "set", list),
        ):
            if name in typed:
                typed[other] = read(typed.pop(name))
        if self.settings is not None:
            typed["settings"] = _settings_file(self.settings)
        plan = read_plan(manager, self.plan, typed)
        asked = [name for name in ("train_seeds", "train_steps") if _typed(context, name)]
        if asked and not self.train and plan.train is None:
            option = f"--{asked[0].replace('_', '-')}"
            raise UserError(
                f"{option} is {getattr(self, asked[0])} and nothing is trained; add --train, or leave it out"
            )
        if not self.train and not asked:
            return plan
        return plan.model_copy(update={"train": trained(plan.train, **{name: getattr(self, name) for name in asked})})


def _names(text: str | None) -> list[str] | None:
    found = words(text)
    return None if found is None else list(found)


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _settings_file(path: str) -> dict[str, dict[str, Any]]:
    from artv_eval.cli.common import read_settings

    return read_settings(path, [])


def with_sweep_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the fields of :class:`SweepArguments` for options, which it gets as its argument ``asked``."""
    hints = get_type_hints(SweepArguments, include_extras=True)
    options = [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=f.default if f.default_factory is MISSING else f.default_factory(),
            annotation=hints[f.name],
        )
        for f in fields(SweepArguments)
    ]

    @wraps(command)
    def call(**values: Any) -> Any:
        asked = SweepArguments(**{f.name: values.pop(f.name) for f in fields(SweepArguments)})
        return command(asked=asked, **values)

    own = inspect.signature(command)
    kept = [p.replace(kind=p.KEYWORD_ONLY) for p in own.parameters.values() if p.name != "asked"]
    call.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in (*kept, *options)}
    return call

"""A model card for the Hugging Face hub, of one cell of a run: its values as ``model-index``, in the hub's own form."""

from collections.abc import Iterator, Mapping
from typing import Any

from artv.errors import UserError, closest
from artv_eval.report.markdown import markdown
from artv_eval.results.rows import OK, Results, Row

TASK = "text-to-video"


def model_card(
    results: Results, manifest: Mapping[str, Any], cell: str | None = None, license: str | None = None
) -> str:
    """The text of a ``README.md`` with its metadata.

    Args:
        cell: whose values; None: the first that is no sanity cell.
        license: of the weights, by the hub's name for it; None leaves it out.

    Raises:
        UserError: no such cell, or none of its values is there.
    """
    from huggingface_hub import ModelCard, ModelCardData

    cells = list(dict.fromkeys(row.cell for row in results.rows if not row.sanity))
    name = cell if cell is not None else next(iter(cells), "")
    if name not in cells:
        raise UserError(f"--cell is {name!r}; {closest(name, cells)}")
    rows = [row for row in results.rows if row.cell == name and row.status == OK and not row.sanity]
    if not rows:
        raise UserError(f"--cell {name}: none of its values is there, so there is nothing for a card")
    data = ModelCardData(
        model_name=name,
        license=license,
        library_name="artv",
        pipeline_tag=TASK,
        tags=["artv", TASK],
        metrics=list(dict.fromkeys(row.metric for row in rows)),
        eval_results=list(_evaluations(rows)),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(name, results, manifest)}"))


def _evaluations(rows: list[Row]) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for row in rows:
        arguments: dict[str, Any] = {"n": row.n, "seeds": row.seeds, "features": row.features}
        if row.ci_low is not None and row.ci_high is not None:
            arguments |= {"low": row.ci_low, "high": row.ci_high, "level": 0.95}
        yield EvalResult(
            task_type=TASK,
            dataset_type="artv-eval-protocol",
            dataset_name=row.protocol,
            dataset_revision=row.protocol_hash or None,
            metric_type=row.metric,
            metric_name=row.metric,
            metric_value=row.value,
            metric_args={key: value for key, value in arguments.items() if value is not None},
        )


def _text(name: str, results: Results, manifest: Mapping[str, Any]) -> str:
    return f"""# {name}

{markdown()(results)}
Made by `artv-eval` ({manifest.get("started", "")}):

    {" ".join(manifest.get("command", []))}

Values of other protocols, or of another n, do not compare with these.
"""

"""The efficiency rows as people read them, measured, paper and ratio side by side, in the tables of all reports."""

from collections.abc import Callable, Sequence
from typing import Any

from artv_eval.efficiency.cuda import in_gb
from artv_eval.efficiency.formats import Look, Row


def _cell(value: Any, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def _paper(name: str) -> Callable[[Row], Any]:
    return lambda row: (row["paper"] or {}).get(name)


def _training(name: str) -> Callable[[Row], Any]:
    return lambda row: (row["paper_training"] or {}).get(name)


_COLUMNS: dict[str, tuple[Callable[[Row], Any], int]] = {
    "method": (lambda row: row["method"], 0),
    "res": (lambda row: row["resolution"], 0),
    "setting": (lambda row: f"{row['setting']} {row['dtype']}", 0),
    "params M": (lambda row: row["params_m"], 2),
    "FLOPs G": (lambda row: row["flops_g"], 2),
    "paper FLOPs": (_paper("flops_g"), 2),
    "ratio FLOPs": (lambda row: row["flops_g_ratio"], 4),
    "with attention": (lambda row: row["flops_full_g"], 2),
    "batch/s": (lambda row: row["throughput_batch_s"], 2),
    "paper batch/s": (_paper("throughput_batch_s"), 2),
    "ratio batch/s": (lambda row: row["throughput_batch_s_ratio"], 2),
    "GB/forward": (lambda row: in_gb(row["memory_gb"]), 2),
    "GB held": (lambda row: in_gb(row["memory_reserved_gb"]), 2),
    "simulated GB": (lambda row: row["memory_simulated_gb"], 2),
    "paper GB": (_paper("memory_gb"), 2),
    "ratio GB": (lambda row: row["memory_gb_ratio"], 2),
    "ms/evaluation": (lambda row: row["evaluation_ms"], 1),
    "s/clip": (lambda row: row["clip_s"], 1),
    "PFLOP/clip": (lambda row: row["clip_pflop"], 2),
    "train batch": (_training("batch"), 0),
    "iterations K": (_training("iterations_k"), 0),
    "GPUs": (_training("gpus"), 0),
    "train samples/s": (lambda row: row["train_samples_s"], 1),
    "status": (lambda row: row["status"], 0),
}


def grid(rows: Sequence[Row]) -> list[list[str]]:
    """Header and cells; columns that are empty in every row are left out."""
    texts = {title: [_cell(get(row), digits) for row in rows] for title, (get, digits) in _COLUMNS.items()}
    shown = {title: cells for title, cells in texts.items() if any(cell != "–" for cell in cells)}
    return [list(shown), *[list(line) for line in zip(*shown.values(), strict=True)]]


def notes(rows: Sequence[Row]) -> list[str]:
    """How to read the table, from what is in it."""
    first = rows[0]
    lines = [
        f"FLOPs: 10⁹ multiply–accumulates of Linear and Conv for {first['frames']} frames (Table 2's convention).",
        *(
            f"{method}: a clip is {row['sampler_runs']} sampler run(s) × {row['evaluations']} evaluations × "
            f"{row['branches']} branches; PFLOP counts 2 operations a multiply–accumulate, attention included."
            for method, row in {row["method"]: row for row in rows}.items()
        ),
        f"Taken on {first['hardware']}, torch {first['torch']}, diffusers {first['diffusers']}.",
    ]
    if first["device"] != "cuda":
        lines.insert(1, "Speed and memory need a GPU: run with --device cuda.")
    return lines


TABLE = Look(title="efficiency, beside the paper's Table 2", left=3, grid=grid, notes=notes)

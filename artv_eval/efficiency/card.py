"""The speed card as people read it: a row a method, the conditions beside the figures."""

from collections.abc import Sequence

from artv_eval.efficiency.formats import Look, Row
from artv_eval.results.rows import OK

TITLES = {
    "method": "method",
    "size": "size",
    "frames": "frames",
    "precision": "precision",
    "steps": "steps",
    "batch": "batch",
    "chunks": "chunks",
    "first_frame_s": "first frame s",
    "gap_median_s": "gap s",
    "gap_p95_s": "p95",
    "gap_p99_s": "p99",
    "steady_frames_s": "frames/s",
    "steady_frames_s_undecoded": "without decoding",
    "real_time_factor": "× real time",
    "stalls": "stalls",
    "stalled_s": "stalled s",
    "total_s": "total s",
    "memory_gib": "GiB",
    "memory_growth_mib_frame": "MiB/frame",
    "energy_j_frame": "J/frame",
    "status": "status",
}


def grid(rows: Sequence[Row]) -> list[list[str]]:
    """Header and cells."""
    return [list(TITLES.values()), *([_cell(row, name) for name in TITLES] for row in rows)]


def _cell(row: Row, name: str) -> str:
    value = f"{row['width']}×{row['height']}" if name == "size" and "width" in row else row.get(name)
    value = str(value).partition(":")[0] if name == "status" else value  # why is a note
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def notes(rows: Sequence[Row]) -> list[str]:
    """Under which conditions, in a line, and why a row has no figures."""
    cards = dict.fromkeys(str(row["hardware"]) for row in rows if "hardware" in row)
    rates = dict.fromkeys(f"{row['fps']:g}" for row in rows if "fps" in row)
    return [
        f"On {', '.join(cards)}; real time is {', '.join(rates)} frames a second; gaps between chunks, frames/s over "
        "the second half of them, frames decoded unless it says without.",
        *(f"{row['method']}: {row['status']}" for row in rows if row["status"] != OK),
    ]


CARD = Look(title="how fast frames come", left=2, grid=grid, notes=notes)

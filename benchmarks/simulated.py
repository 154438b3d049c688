"""The frame of a simulation: a line a row while it runs, a record of how it was made, and a page of it."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]


def simulate(
    script: str,
    head: str,
    theme: str,
    run: Callable[..., Row],
    places: Iterable[tuple[Any, ...]],
    report: Callable[[dict[str, Any]], str],
    repetitions: int,
) -> None:
    """The command line of a simulation.

    Args:
        script: its file, whose name the results have.
        head: its docstring.
        theme: what it asks, for the record.
        run: what one row is of, and the repetitions of its experiment → the row.
        places: what each row is of.
        report: record → page.
        repetitions: unless the user says how many.
    """
    name = Path(script).stem
    parser = argparse.ArgumentParser(description=head.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="rows at once")
    parser.add_argument("--out", type=Path, help=f"folder for {name}.md and .json")
    args = parser.parse_args()
    started, found = time.monotonic(), []
    with ProcessPoolExecutor(args.processes) as pool:
        for future in [pool.submit(run, *place, args.repetitions) for place in places]:
            found.append(future.result())
            print(" ".join(_short(value) for value in found[-1].values()), flush=True)
    record = {
        "theme": theme,
        "command": f"python benchmarks/{name}.py --repetitions {args.repetitions}",
        "monte_carlo_error": round(float(np.sqrt(0.05 * 0.95 / args.repetitions)), 4),
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "numpy": np.__version__,
        "seconds": round(time.monotonic() - started),
        "results": found,
    }
    if args.out:
        (args.out / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (args.out / f"{name}.md").write_text(report(record), encoding="utf-8")
    print(json.dumps({key: value for key, value in record.items() if key != "results"}))


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def begun(record: Mapping[str, Any], title: str) -> list[str]:
    """The first lines of a page: how the numbers were made, and how exact they are."""
    made = f"`{record['command']}`, {record['hardware']}, numpy {record['numpy']}, {record['seconds']} s."
    exact = f"One Monte-Carlo standard error at 0.05: {record['monte_carlo_error']}."
    return [f"# {title}", "", f"{made} {exact} What the columns mean: the head of the script."]


def table(rows: list[Row]) -> list[str]:
    """Every row, in Markdown."""
    head = list(rows[0])
    lines = ["| " + " | ".join(name.replace("_", " ") for name in head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(_short(row[name]) for name in head) + " |" for row in rows]

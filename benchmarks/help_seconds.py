"""Does ``--help`` of every command take less than half a second? Wall clock and seconds of a processor, in a table.

    python benchmarks/help_seconds.py --times 5

Medians over so many processes; on a busy machine the processor's seconds are the ones to look at.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import typer

from artv.cli import app as artv
from artv_eval.cli import app as artv_eval

LIMIT = 0.5


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


def measured(words: tuple[str, ...]) -> tuple[float, float]:
    """Seconds by the clock and of a processor."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", *words, "--help"], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """The command line above; exit code 1 where one takes longer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    found = {}
    for program, app in (("artv", artv), ("artv_eval", artv_eval)):
        for words in commands(typer.main.get_command(app), (program,)):
            wall, cpu = (median(seconds) for seconds in zip(*(measured(words) for _ in range(times)), strict=True))
            found[" ".join(words)] = {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
            print(f"{' '.join(words):32} {wall:6.3f} s {cpu:6.3f} s of a processor", flush=True)
    slow = [name for name, seconds in found.items() if seconds["cpu_s"] >= LIMIT]
    print(json.dumps({"python": platform.python_version(), "times": times, "slow": slow, "results": found}))
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()

"""Faults with new seeds: damaged run folders, and every option of every command with what nobody should give.

    python benchmarks/faults.py damage --faults 200 --seed 7     # a run folder, damaged and read by the commands
    python benchmarks/faults.py options                          # each command line in a process of its own
    python benchmarks/faults.py options --tries 100 --seed 7     # some of them
    python benchmarks/faults.py options --part 3/10              # every tenth of all, from the third on

Processes are forked from one that has imported everything, so that a try takes what its command does. The tests do a
part of it with fixed seeds. Prints what went wrong, then one JSON line.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import takewhile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "artv_eval"
sys.path[:0] = [str(ROOT), str(TESTS)]

SWEEP = ["artv-eval", "sweep", "--plugins-dir", str(TESTS / "toy"), "--protocol", "toy@1", "--num-videos", "6"]
SWEEP += ["--ablation", "noise", "--out", "run", "--format", "json"]


def run(words: list[str], folder: Path, seconds: float = 60) -> tuple[object, str, str]:
    """Exit code (or ``late``), stdout and stderr of a command of ours."""
    from tests.warm import start

    done = start(words[0].replace("-", "_"), *words[1:], cwd=folder).wait(seconds)
    return "late" if done.returncode == -signal.SIGKILL else done.returncode, done.stdout, done.stderr


def damage(found: Counter, faults: int, seed: int, until: float) -> None:
    """After each fault the same command and ``report`` give the same rows, or one line."""
    from damage import damaged

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = json.loads(run(SWEEP, folder)[1])["rows"]
        shutil.copytree(folder / "run", folder / "whole")
        for k in takewhile(lambda _: time.monotonic() < until, range(faults)):
            shutil.rmtree(folder / "run")
            shutil.copytree(folder / "whole", folder / "run")
            with damaged(folder / "run", np.random.default_rng([seed, k])) as (fault, path):
                for words in (["artv-eval", "report", "run", "--format", "json"], SWEEP):
                    code, out, err = run(words, folder)
                    end = judged(code, err) if code else ("same" if json.loads(out)["rows"] == rows else "OTHER VALUES")
                    found[end] += 1
                    if end.isupper():
                        print(end, words[1], fault, path, err[-300:], file=sys.stderr)


def options(found: Counter, tries: int | None, seed: int, part: str, until: float) -> None:
    """Every option of every command, or some of them; what is accepted does its work, for at most ten seconds."""
    from command_matrix import BASES, options, saved_reference, training, values

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        assert run(SWEEP, folder)[0] == 0
        assert run(["artv", "data", "shapes", "--out", "clips", "--num", "4"], folder)[0] == 0
        shutil.copytree(folder / "run", folder / "other")
        places = {"other": folder / "other", "run": folder / "run", "clips": folder / "clips"}
        places |= {"training": training(folder), "reference": saved_reference(folder, folder / "clips")}
        tried = values(folder)
        every = [(option, kind) for option in options() for kind in tried]
        first, step = map(int, part.split("/"))
        chosen = np.random.default_rng(seed).permutation(len(every))[:tries] if tries else range(len(every))
        chosen = chosen[first - 1 :: step]
        for option, kind in (every[i] for i in takewhile(lambda _: time.monotonic() < until, chosen)):
            base = BASES[option.command].format(**places).split()
            words = [*option.command.split(), *option.tried(tried[kind], base)]
            code, _, err = run(words, folder, 10)
            end = "accepted" if code in (0, "late") else judged(code, err)
            found[end] += 1
            if end.isupper():
                print(end, option.command, option.name, kind, err[-300:], file=sys.stderr)


def judged(code: object, err: str) -> str:
    """What an exit code and stderr come to; in capitals what must not be."""
    last = (err.strip().splitlines() or [""])[-1]
    if code == "late" or "Traceback" in err or not last.startswith("artv"):
        return "LATE" if code == "late" else "TRACEBACK"
    return f"one line, exit {code}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["damage", "options"])
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--tries", type=int, help="of options; all by default")
    parser.add_argument("--part", default="1/1", help="of options: K/N, every Nth from the Kth on")
    parser.add_argument("--seed", type=int, default=int(np.random.default_rng().integers(2**31)))
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing new after so many")
    given = parser.parse_args()
    begun = time.monotonic()
    until, ends = begun + given.seconds, Counter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it early sees what was found so far
    try:
        if given.what == "damage":
            damage(ends, given.faults, given.seed, until)
        else:
            options(ends, given.tries, given.seed, given.part, until)
    finally:
        seconds = round(time.monotonic() - begun)
        print(json.dumps({"what": given.what, "seed": given.seed, "part": given.part, "seconds": seconds, **ends}))

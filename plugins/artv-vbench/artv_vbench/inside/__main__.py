"""Answers for a process that has no VBench: an object of JSON a line, each way.

    PYTHON inside/__main__.py DEVICE
    {"call": "score", "arguments": ["color", [...], "/tmp/x"]}   → {"result": [["00000_000.mp4", 0.5]]}

Of what VBench lacks ``lacking`` says the line, of other faults ``error``.
"""

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Until stdin ends."""
    del sys.path[0]  # what VBench imports is not looked for in this folder …
    sys.path.append(str(Path(__file__).parents[1]))  # … and this package after all others
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # VBench prints a lot
    bench = importlib.import_module("inside.bench")
    its = bench.Bench(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": getattr(its, asked["call"])(*asked["arguments"])}
        except bench.Lacking as error:
            answer = {"lacking": str(error)}
        except Exception as error:
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

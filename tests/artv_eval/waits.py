"""Commands that are given what never ends, one after another in this process, which the system ends after two minutes.

python waits.py        # in an empty folder; a line of JSON for each: [command, exit code, seconds, last line]
"""

import contextlib
import io
import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

LIMIT = 120  # seconds, of the clock and of the processor
TOY = Path(__file__).parent / "toy"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
SWEEP = f"artv-eval sweep --plugins-dir {TOY} --protocol toy@1 --num-videos 2 --out run"
SCORE = "artv-eval score --metrics flicker --frames 2 --workers 0 --fake"


def commands() -> list[str]:
    """Each waits for ever if nothing ends it: for pipes, devices, programs and addresses in silence."""
    for folder in ("piped", "endless", "table"):
        Path(folder).mkdir()
    for pipe in ("pipe.png", "pipe.yaml", "piped/0.mp4", "piped/1.mp4", "table/captions.csv"):
        os.mkfifo(pipe)
    for k in range(2):
        Path(f"endless/{k}.mp4").symlink_to("/dev/zero")
    Path("endless.yaml").symlink_to("/dev/zero")
    Path("bomb.yaml").write_text(BOMB, encoding="utf-8")
    Path("silent.yaml").write_text("program: [sleep, '1000']\nstart_seconds: 1\n", encoding="utf-8")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return [
        "artv sample --prompt x --out x.mp4 --image pipe.png",
        "artv sample --prompt x --out x.mp4 --anchor image:pipe.png",
        "artv train --preset shapes --out trained --config pipe.yaml",
        "artv train --preset shapes --out trained --data table",
        *(f"{SWEEP} --ablation noise --settings {name}.yaml" for name in ("pipe", "endless", "bomb")),
        f'{SWEEP} --ablation baselines --set baselines.names=["command:silent.yaml"] --metrics brightness',
        f"{SWEEP} --ablation noise --executor ray --set executor.address=127.0.0.1:{port}",
        f"{SCORE} piped",
        f"{SCORE} endless",
    ]


def ended(line: str) -> tuple[object, float, str]:
    """Exit code, seconds and the last line of stderr."""
    from importlib import import_module

    words, err, begin = line.split(), io.StringIO(), time.monotonic()
    code: object = 0
    sys.argv = words
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            import_module(f"{words[0].replace('-', '_')}.cli").main()
    except SystemExit as end:
        code = end.code or 0
    return code, time.monotonic() - begin, (err.getvalue().strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    signal.alarm(LIMIT)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    for command in commands():
        print(json.dumps([command, *ended(command)]), flush=True)

"""A program for the method ``command`` that does what each prompt says, right or wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def say(value):
    os.write(1, (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n")


def clip(request, frames=0, side=0):
    """Every frame of the grey level that the seed says."""
    shape = (request["num_frames"] + frames, request["height"] + side, request["width"], 3)
    return np.full(shape, request["seed"] % 256, np.uint8)


def broken(request):
    Path(request["out"]).with_suffix(".mp4").write_bytes(b"no video at all")
    say({"index": request["index"], "file": str(Path(request["out"]).with_suffix(".mp4"))})


def saved(array):
    def work(request):
        np.save(request["out"], array(request))
        say({"index": request["index"], "file": request["out"]})

    return work


def crash(request):
    print("a line", "CUDA error: an illegal memory access", sep="\n", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def answer(index=0, file=None):
    """Writes its clip, and answers with another index or file than its own."""

    def work(request):
        out = str(file or request["out"])
        np.save(out, clip(request))
        say({"index": request["index"] + index, "file": out})

    return work


DEEDS = {
    "good": saved(clip),
    "size": saved(lambda request: clip(request, side=8)),
    "few": saved(lambda request: clip(request, frames=-1)),
    "float": saved(lambda request: clip(request) / 255),
    "broken": broken,
    "crash": crash,
    "exit": lambda request: sys.exit(3),
    "hang": lambda request: time.sleep(1000),
    "text": lambda request: say("Loading checkpoint shards: 100%"),
    "stranger": lambda request: say({"index": 999, "file": request["out"]}),
    "for the next": answer(index=1),
    "for the last": answer(index=-1),
    "one place": answer(file=Path("one.npy").absolute()),
    "old": lambda request: say({"index": request["index"], "file": str(Path("one.npy").absolute())}),
    "surrogate": lambda request: say({"index": request["index"], "error": "\ud800 is no text"}),
    "no path": lambda request: say({"index": request["index"], "file": "\ud800\0"}),
    "error": lambda request: say({"index": request["index"], "error": "the prompt is not allowed"}),
    "nothing": lambda request: say({"index": request["index"]}),
    "absent": lambda request: say({"index": request["index"], "file": request["out"]}),
}

if __name__ == "__main__":
    start, log = sys.argv[1:]
    child = subprocess.Popen(["sleep", "1000"])
    with Path(log).open("a", encoding="utf-8") as file:
        print(os.getpid(), child.pid, file=file)
    if start != "ready":
        DEEDS[start]({"index": 0})
    say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        DEEDS[asked["prompt"]](asked)
    time.sleep(1000)  # it does not end by itself

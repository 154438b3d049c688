"""A program for the method ``command`` that announces its frames two at a time, 30 ms each."""

import json
import sys
import time
from pathlib import Path

from PIL import Image


def say(**answer):
    print(json.dumps(answer), flush=True)


say(ready=True)
for line in sys.stdin:
    request = json.loads(line)
    Path(request["out"]).mkdir()
    for t in range(request["num_frames"]):
        time.sleep(0.03)
        picture = Image.new("RGB", (request["width"], request["height"]), (request["seed"] % 256, t, 0))
        picture.save(Path(request["out"], f"{t:05d}.png"))
        if t % 2:
            say(index=request["index"], ready=t + 1)
    say(index=request["index"], file=request["out"])

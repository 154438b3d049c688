"""A program for the method ``command``: it shakes the first frame. It needs Pillow, and nothing of artv."""

import json
import os
import random
import sys
from pathlib import Path

from PIL import Image, ImageChops

answers = os.fdopen(os.dup(1), "w", 1, encoding="utf-8")
os.dup2(2, 1)  # what libraries print goes to stderr: stdout is for answers alone


def make(seed, num_frames, height, width, first_frame, out, **others):
    """Writes a clip as a folder of pictures; a model would use ``prompt`` and ``fps`` too."""
    chance = random.Random(seed)
    picture = Image.open(first_frame) if first_frame else Image.new("RGB", (width, height), "grey")
    Path(out).mkdir()
    for t in range(num_frames):
        moved = ImageChops.offset(picture, chance.randint(-2, 2), chance.randint(-2, 2))
        moved.save(Path(out, f"{t:05d}.png"))


print(json.dumps({"ready": True}), file=answers)  # a model is loaded before this line
for line in sys.stdin:
    request = json.loads(line)
    try:
        make(**request)
        answer = {"file": request["out"]}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"index": request["index"], **answer}), file=answers)

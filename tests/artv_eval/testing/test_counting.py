"""The files that count: what is written is what FFmpeg shows."""

import shutil
import subprocess

import numpy as np
import pytest

from artv_eval.testing.counting import FILES, HEIGHT, WIDTH, Recipe, counting_clip, number, write_counting


def test_numbers_are_read_back_in_every_direction():
    clip = counting_clip(256)
    assert [number(frame) for frame in clip] == list(range(256))
    assert number(np.rot90(clip[200])) == number(np.fliplr(clip[200])) == -1
    assert number(Recipe(turns=1).upright(np.rot90(clip[200], -1))) == 200


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("name", [name for name, recipe in FILES.items() if recipe.cut == 1])
def test_ffmpeg_shows_in_order_what_was_written(tmp_path, name):
    recipe = FILES[name]
    for suffix in recipe.containers:
        path = write_counting(tmp_path / f"clip{suffix}", recipe)
        to_raw = f"ffmpeg -v error -i {path} -fps_mode passthrough -f rawvideo -pix_fmt rgb24 -".split()
        raw = subprocess.run(to_raw, capture_output=True, check=True).stdout
        height, width = (WIDTH, HEIGHT) if recipe.turns % 2 else (HEIGHT, WIDTH)
        frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        assert [number(recipe.upright(frame)) for frame in frames] == recipe.numbers, suffix

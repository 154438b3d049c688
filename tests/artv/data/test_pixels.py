"""Pixels of every format are those that ffmpeg gives, by either reader."""

import shutil
import subprocess

import numpy as np
import pytest

from artv.data.pixels import PLAIN
from artv.data.readers import open_video

FORMATS = {
    "libx264": ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le"],
    "libx265": ["yuv420p10le", "yuv420p12le", "yuv444p10le"],
    "libvpx-vp9": ["yuv420p10le"],
    "ffv1": ["yuv411p", "yuva420p", "bgr0", "yuv420p16le", "gray10le"],
    "libx264rgb": ["gbrp"],
}
FFMPEG = ["ffmpeg", "-v", "error", "-y"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")
@pytest.mark.parametrize(("codec", "kind"), [(codec, kind) for codec, kinds in FORMATS.items() for kind in kinds])
def test_both_readers_give_the_pixels_that_ffmpeg_gives(tmp_path, codec, kind):
    file = tmp_path / ("x.mkv" if codec == "ffv1" else "x.mp4")
    quiet = ["-x265-params", "log-level=none:open-gop=0"] if codec == "libx265" else []
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8:duration=1", "-pix_fmt", kind, "-c:v", codec]
    if subprocess.run([*FFMPEG, *source, *quiet, file], capture_output=True, check=False).returncode:
        pytest.skip(f"ffmpeg has no {codec} of {kind} here")
    rgb = [*FFMPEG, "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(rgb, capture_output=True, check=True).stdout
    truth = np.frombuffer(raw, np.uint8).reshape(-1, 64, 96, 3)
    for reader in ("pyav", "decord"):
        video = open_video(file, reader)
        assert (video.frames([0, 3, 7]) == truth[[0, 3, 7]]).all(), reader
    assert video.used == ("decord" if stored(file) in PLAIN else "pyav")


def stored(file):
    """The format that the file has, for encoders choose another where they lack one."""
    ask = ["ffprobe", "-v", "error", "-show_entries", "stream=pix_fmt", "-of", "csv=p=0", file]
    return subprocess.run(ask, capture_output=True, check=True, text=True, encoding="utf-8").stdout.strip()

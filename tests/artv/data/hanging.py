"""A reader of video files that hangs on some, as decord does."""

import time
from pathlib import Path

from artv.data.readers import PyAvReader


class Hanging(PyAvReader):
    """Hangs on a file with ``hang`` in its name."""

    def __init__(self, path: str | Path) -> None:
        if "hang" in Path(path).name:
            time.sleep(1e6)
        super().__init__(path)

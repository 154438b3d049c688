"""The page of a scoring: its tables, and the first clips of all folders side by side."""

import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from artv.data.captions import CAPTIONS, read_captions
from artv.errors import UserError
from artv.files import write_text_atomically
from artv_eval.api import GeneratedClip
from artv_eval.cli.common import say
from artv_eval.files.decoding import Excerpt, read_excerpt
from artv_eval.files.describe import video_files
from artv_eval.report.html import page
from artv_eval.results.documents import write_json
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore

SHOWN = 12  # clips of each folder


def write_page(html: str, results: Results, folders: Mapping[str, Path], excerpt: Excerpt) -> None:
    """Writes the page with its clips in it. A clip that cannot be read is not shown.

    Raises:
        UserError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as place:
        store = RunStore(Path(place))
        _fill(store, folders, excerpt)
        text = page(results, store)
    try:
        write_text_atomically(Path(html), text)
    except OSError as error:
        raise UserError(f"--html is {html!r}, which cannot be written to ({error.strerror}); give another") from None
    say(f"wrote {html}")


def _fill(store: RunStore, folders: Mapping[str, Path], excerpt: Excerpt) -> None:
    """Keeps the first clips as a run keeps its own, in the order of their captions, or of their names."""
    requests: dict[int, dict[str, Any]] = {}
    cells = {f"folder-{k}": name for k, name in enumerate(folders)}
    for cell, folder in zip(cells, folders.values(), strict=True):
        files = video_files(folder)
        texts = read_captions(folder).of(files, folder) if (folder / CAPTIONS).is_file() else {}
        ordered = sorted(files, key=lambda file: (texts.get(file, ""), file))[:SHOWN]
        for index, file in enumerate(ordered):
            with suppress(UserError):
                clip = read_excerpt(file, excerpt)
                assert clip.frames is not None  # else it raises
                store.save_clip(cell, index, GeneratedClip(clip.frames))
                prompt = texts.get(file, file.stem)
                requests.setdefault(index, {"index": index, "prompt": prompt, "seed": 0, "fps": clip.fps})
    write_json(store.root / "gallery.json", {"requests": [requests[index] for index in sorted(requests)]})
    write_json(
        store.root / "manifest.json",
        {
            "command": ["artv-eval", *sys.argv[1:]], "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "num_videos": len(requests), "versions": {}, "machine": {"system": sys.platform, "device": "–"},
            "cells": [{"id": cell, "cell": name, "status": "ok"} for cell, name in cells.items()],
            "components": [], "metrics": [],
        },
    )  # fmt: skip

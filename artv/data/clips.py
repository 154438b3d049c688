"""Clips as files: ``captions.csv`` (file,caption) beside mp4 files, as ``artv data shapes`` writes them.

Shape suffixes: B batch, T frames, H W pixels.
"""

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset

from artv.data.captions import CAPTIONS, CaptionedFile, captioned_clips, read_captions
from artv.data.loading import TimedOut, read_ahead, readers
from artv.data.readers import frames_at, open_video, read_frames
from artv.data.shapes import LABELS
from artv.data.shapes_long import WORLDS
from artv.data.tables import COLUMNS
from artv.data.tars import TarMember
from artv.errors import UserError
from artv.files import read_object, read_text, write_text_atomically
from artv.progress import progress_bar
from artv.requests import check_count
from artv.video import write_video

WORLD = "world.json"

LEFT_OUT = 0.05
"""The share of a folder's files that may be unreadable."""


class ClipFiles(Dataset):
    """A folder's clips as (uint8 frames (T, 3, H, W), caption), at the asked frame rate, size and length.

    Args:
        folder: with ``captions.csv``.
        num_frames: frames of a clip; a longer file gives its first ones, a shorter one repeats its last.
        size: side in pixels; other sizes are centre-cropped to a square and resized (bicubic, antialiased).
        fps: frame rate of the clips; None keeps the files'.
        reader: ``decord`` or ``pyav``; see :mod:`artv.data.readers`.
        crop: the square of a frame, ``centre`` or ``random``; a clip's is drawn from its name and ``seed``.
    """

    def __init__(
        self,
        folder: str | Path,
        num_frames: int = 16,
        size: int = 64,
        fps: float | None = 8.0,
        reader: str = "decord",
        crop: str = "centre",
        seed: int = 0,
    ) -> None:
        self.folder, self.rows = Path(folder), captioned_clips(folder)
        self.num_frames, self.size, self.fps, self.reader = num_frames, size, fps, reader
        self.crop, self.seed = crop, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, str]:
        row = self.rows[i]
        with row.file() as path:
            try:
                video = open_video(path, self.reader)
                indices = frames_at(video, self.fps)[: self.num_frames]
                indices += [indices[-1]] * (self.num_frames - len(indices))
                frames = read_frames(path, video, indices)
            except UserError as error:
                what = str(error).replace(str(path), row.shown)
                raise UserError(f"{what}; copy or make it again, or take it out of {CAPTIONS}") from None
        return fit_square(torch.from_numpy(frames).permute(0, 3, 1, 2), self.size, self._place(row)), row.caption

    def _place(self, row: CaptionedFile | TarMember) -> tuple[float, float]:
        if self.crop == "centre":
            return 0.5, 0.5
        down, along = np.random.default_rng([self.seed, *row.name.encode(errors="surrogateescape")]).random(2)
        return float(down), float(along)

    def opened(self, chosen: Sequence[int], *, shown: bool = True, patience: float = 60.0) -> dict[int, int | str]:
        """Number of a clip → how many frames its file has at the asked rate; or why it cannot be read, or that its
        reader hangs (says nothing for ``patience`` seconds). Decodes only files that prove no order of their frames.
        """
        found: list[int | str] = []
        with progress_bar("files opened", total=len(chosen), shown=shown) as bar:
            while len(found) < len(chosen):
                rest = Subset(_Opened(self), chosen[len(found) :])
                opened = read_ahead(
                    rest, batch_size=None, num_workers=readers(), patience=patience, worker_init_fn=_hush
                )
                try:
                    for each in opened:
                        found.append(each)
                        bar.update(len(found))
                except TimedOut:
                    file = self.rows[chosen[len(found)]].shown
                    found.append(f"video {file} keeps its reader waiting for more than {patience:.0f} seconds")
        return dict(zip(chosen, found, strict=True))

    def leave_out(self, faults: Mapping[int, str]) -> None:
        """Goes on without these clips. Raises :class:`UserError` if they are more than 5 % of all."""
        total = len(self.rows)
        if len(faults) > LEFT_OUT * total:
            raise UserError(
                f"{len(faults)} of {total} clips in {self.folder} cannot be read, more than the {LEFT_OUT:.0%} that "
                f"may be left out: {next(iter(faults.values()))}; mend them, or take their lines out of {CAPTIONS}"
            )
        self.rows = [row for i, row in enumerate(self.rows) if i not in faults]


class WholeClips(Dataset):
    """The clips of files, in the place of one that breaks off while it is decoded the next one that does not: what is
    drawn does not hang on who decodes it, or when.

    Items: frames, caption, and number → fault of the clips that broke off.
    """

    def __init__(self, files: ClipFiles) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, str, dict[int, str]]:
        faults: dict[int, str] = {}
        while True:
            place = (i + len(faults)) % len(self)
            try:
                return *self.files[place], faults
            except UserError as error:
                faults[place] = str(error)
                if len(faults) > LEFT_OUT * len(self):
                    raise


class _Opened(Dataset):
    """For each clip how many frames it has, or why its file cannot be opened."""

    def __init__(self, files: ClipFiles) -> None:
        self.rows, self.reader, self.fps = files.rows, files.reader, files.fps

    def __getitem__(self, i: int) -> int | str:
        with self.rows[i].file() as path:
            try:
                return len(frames_at(open_video(path, self.reader), self.fps))
            except UserError as error:
                return str(error).replace(str(path), self.rows[i].shown)


def _hush(worker: int) -> None:
    # decord writes a line of its own about a file that it cannot open
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def fit_square(frames_T3HW: Tensor, size: int, place: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """Crop to a square, then resize; uint8 stays uint8. ``place``: 0 top or left, 1 bottom or right."""
    H, W = frames_T3HW.shape[-2:]
    side = min(H, W)
    top, left = int((H - side) * place[0]), int((W - side) * place[1])
    frames = frames_T3HW[..., top : top + side, left : left + side]
    if side == size:
        return frames.contiguous()
    layout = torch.channels_last if frames.stride(1) == 1 else torch.contiguous_format  # what the resizing keeps to
    result = torch.empty(*frames.shape[:2], size, size, dtype=torch.uint8, memory_format=layout)
    for frame, fitted in zip(frames.split(1), result.split(1), strict=True):  # one at a time stays in a CPU's cache
        resized = torch.nn.functional.interpolate(frame.float(), (size, size), mode="bicubic", antialias=True)
        fitted.copy_(resized.round_().clamp_(0, 255))
    return result


def collate(samples: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Batches clips: uint8 (B, T, 3, H, W), captions, and what else they have."""
    frames, *rest = zip(*samples, strict=True)
    return torch.stack(frames), *(list(each) for each in rest)


def write_shapes(
    out: str | Path, num: int, split: str = "train", seed: int = 0, num_frames: int = 16, world: int = 1
) -> None:
    """Writes clips of a shapes world: ``000000.mp4``, its motion region ``000000.motion.png``, and two tables.

    ``world.json`` says which world, split, seed and length they are of. The tables are ``captions.csv``, and
    ``labels.csv``: whether the camera pans, a post stands before the objects, an object is hidden by something, and one
    leaves and returns (1 or 0).

    The motion region is lossless: 1-bit png, the frames one below the other. Files that exist are kept, so an
    interrupted run continues; what it has made until then can be used. Lines are added to ``captions.csv``,
    none is lost.

    Raises:
        UserError: the folder holds clips of another world, split or seed, or a ``captions.csv`` with other columns.
    """
    check_count("num", num)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out / WORLD, {"world": f"shapes@{world}", "split": split, "seed": seed, "num_frames": num_frames})
    drawn, few = WORLDS[world](split, seed, num_frames), max(1, 1024 // num_frames)
    kept = _kept_captions(out / CAPTIONS)
    labels: list[list[int]] = []
    # a line goes to disk behind its clip: on a full one, every clip that is whole has its caption
    with (
        progress_bar(f"shapes {split}", total=num) as bar,
        (out / CAPTIONS).open("a", 1, newline="", encoding="utf-8") as table,
    ):
        writer = csv.writer(table, lineterminator="\n")
        for start in range(0, num, few):
            indices = range(start, min(start + few, num))
            batch = drawn.batch(indices)
            for i, frames, motion, caption in zip(indices, batch.frames, batch.motion, batch.captions, strict=True):
                clip = out / f"{i:06d}.mp4"
                if kept.get(clip.name, caption) != caption:
                    raise UserError(
                        f"{out} holds clips of another world: {clip.name} is captioned {kept[clip.name]!r} there and "
                        f"{caption!r} with --world {world} --split {split} --seed {seed}; give another --out"
                    )
                _write_one(clip, frames.permute(0, 2, 3, 1).numpy(), motion.numpy(), drawn.fps)
                if clip.name not in kept:
                    writer.writerow([clip.name, caption])
            labels += torch.stack([getattr(batch, name) for name in LABELS], 1).int().tolist()
            bar.update(indices.stop)
    if len(kept) <= num:
        lines = [",".join(("file", *LABELS))] + [",".join(map(str, (f"{i:06d}.mp4", *x))) for i, x in enumerate(labels)]
        write_text_atomically(out / "labels.csv", "\n".join(lines) + "\n")


def _claim(file: Path, ours: dict[str, str | int]) -> None:
    """Says which world the folder is of; refuses one of another. Folders of older versions do not say it."""
    there = read_object(file) if file.exists() else ours
    for key, value in ours.items():
        if there.get(key) != value:
            raise UserError(
                f"{file.parent} holds clips of another world: {key} is {there.get(key)} there, not {value}; give "
                "another --out"
            )
    write_text_atomically(file, json.dumps(ours, indent=1) + "\n")


def _kept_captions(table: Path) -> dict[str, str]:
    """file → caption of the table, which can then be appended to: one is begun, or a line cut short taken out."""
    header = ",".join(COLUMNS)
    text = read_text(table, "utf-8-sig") if table.is_file() else ""
    lines = text.removesuffix("\n").split("\n") if text else [header]
    if lines[0] != header:
        raise UserError(f"{table} begins with {lines[0][:80]!r}, not {header!r}; give another folder with --out")
    if not text.endswith("\n") and re.match(r"\d{6}\.mp4", lines[-1]):  # the disk was full; its line comes again
        del lines[-1]
    if (whole := "\n".join(lines) + "\n") != text:
        write_text_atomically(table, whole)
    return dict(read_captions(table).lines) if len(lines) > 1 else {}


def read_motion(path: str | Path, num_frames: int) -> np.ndarray:
    """The motion region written beside a clip: bool (T, H, W)."""
    strip = np.asarray(Image.open(path), dtype=bool)
    return strip.reshape(num_frames, -1, strip.shape[1])


def _write_one(path: Path, frames: np.ndarray, motion: np.ndarray, fps: float) -> None:
    mask = path.with_suffix(".motion.png")
    if path.exists() and mask.exists():
        return
    Image.fromarray(motion.reshape(-1, motion.shape[-1])).save(mask)
    write_video(path, frames, fps)


def batches(clips: ClipFiles | WholeClips, parts: Sequence[Sequence[int]], device: torch.device) -> Iterator[Any]:
    """A batch for each part, in their order, read ahead by worker processes; for a GPU in page-locked memory."""
    files = clips if isinstance(clips, ClipFiles) else clips.files
    return read_ahead(
        clips,
        batch_sampler=parts,
        num_workers=readers(),
        batch_bytes=max(map(len, parts), default=0) * files.num_frames * 3 * files.size**2,
        pin_memory=device.type == "cuda",
        collate_fn=collate,
    )

"""Where a training's clips come from: the built-in world, a folder of video files, or shards of latents."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artv.data.captions import listing_digest, unused_columns
from artv.data.clips import LEFT_OUT, ClipFiles, WholeClips, batches
from artv.data.loading import readers
from artv.data.shapes_long import WORLDS
from artv.data.shard_index import identity, is_shards, read_index
from artv.errors import UserError, WorkFailed
from artv.files import read_text
from artv.training import processes
from artv.training.config import TrainConfig
from artv.training.rows import RowFile

CHUNK = 256
FRAMES_AT_ONCE = 1024  # of 64 × 64 pixels, fewer of larger ones: what an autoencoder is given


class Clips:
    """The run's clips, in batches of uint8 frames on the device; all of them at once where a stage asks.

    Attributes:
        broken: number → why, of the files' clips that broke off while this process decoded them, and of those that were
            noted before.

    Args:
        split: of the built-in world.
    """

    def __init__(self, config: TrainConfig, device: torch.device, split: str = "train") -> None:
        self.config, self.device, self.split = config, device, split
        self.files, self.encoded = None, is_shards(config.data)
        self.broken: dict[int, str] = {}
        self._notes: Path | None = None
        if self.encoded:
            self.count = read_index(config.data).clips
        elif config.data != "builtin":
            self.files = ClipFiles(
                config.data, config.num_frames, config.size, config.fps, config.reader, config.crop, config.seed
            )
            _look_at(self.files)
            self.count = len(self.files)
        else:
            self.count = config.clips or (65_536 if device.type == "cuda" else 2_048)
        if self.count < processes.world():
            raise UserError(f"{self.count} clips for {processes.world()} processes; give at least one clip for each")

    @property
    def source(self) -> str:
        """What they are, however their folder is called; "" of latents, whose own index says it."""
        if self.files is not None:
            return f"files {listing_digest(self.files.rows)}"
        return "" if self.encoded else f"shapes@{self.config.world}, {self.split}, seed {self.config.seed}"

    @cached_property
    def contents(self) -> str:
        """Digest of how the files begin and end, in their order; "" where there are none. Every process calls it."""
        if self.files is None:
            return ""
        rows, rank, world = self.files.rows, processes.rank(), processes.world()
        with ThreadPoolExecutor(readers()) as pool:
            own = list(pool.map(lambda row: row.ends()[:8], rows[rank::world]))
        parts = processes.gather(own)
        return sha256(b"".join(parts[i % world][i // world] for i in range(len(rows)))).hexdigest()[:16]

    @property
    def said(self) -> str:
        """Their number and what they are, latents' too."""
        if not self.encoded:
            return f"{self.count} of {self.source}"
        index = json.dumps(identity(read_index(self.config.data)), sort_keys=True)
        return f"{self.count} of latents {sha256(index.encode()).hexdigest()[:16]}"

    def batches(self, *groups: Sequence[int]) -> Iterator[tuple[Tensor, list[str]]]:
        """The clips of the groups, in their order, or each clip of this process once; no batch is of two groups."""
        device, config = self.device, self.config
        groups = groups or (range(processes.rank(), self.count, processes.world()),)
        if self.encoded:
            raise UserError(f"{config.data} holds latents, which only the stage model can use; give --data with clips")
        if self.files is not None:
            few = max(1, FRAMES_AT_ONCE * 64**2 // (config.num_frames * config.size**2))
            for frames, captions, faults in batches(WholeClips(self.files), _parts(groups, few), device):
                for each in faults:
                    self._note(each)
                if len(self.broken) > LEFT_OUT * self.count:
                    raise WorkFailed(next(iter(self.broken.values())))
                yield frames.to(device, non_blocking=True), captions
            return
        world = WORLDS[config.world](self.split, config.seed, config.num_frames, config.size, config.fps)
        for some in _parts(groups, CHUNK):
            start = world.starts(np.array(some, np.uint64), config.horizon)
            batch = world.batch(some, device=device, start=start)
            yield batch.frames, batch.captions

    def note_broken(self, folder: Path) -> None:
        """Notes clips that break off in ``folder`` from now on, and counts those that earlier starts noted there: what
        these encoded is not decoded again.
        """
        self._notes = folder / f"broken-{processes.rank()}.jsonl"
        for file in sorted(folder.glob("broken-*.jsonl")):
            for line in read_text(file).splitlines():
                with suppress(ValueError):  # another process may be writing it
                    row = json.loads(line)
                    self.broken[row["clip"]] = row["fault"]

    def _note(self, faults: Mapping[int, str]) -> None:
        new = {i: fault for i, fault in faults.items() if i not in self.broken}
        self.broken |= new
        if self._notes is not None and new:
            with RowFile(self._notes) as notes:
                for i, fault in new.items():
                    notes.write({"clip": i, "fault": fault})

    def tell_broken(self) -> None:
        """Names the clips that broke off in any process; every process calls it when all were decoded."""
        found = {i: fault for part in processes.gather(self.broken) for i, fault in part.items()}
        for i in sorted(found) if processes.is_main() else ():
            print(
                f"artv: skipped ({len(found)} of {self.count} clips broke off while decoding; the next one is in the "
                f"place of each): {found[i]}",
                file=sys.stderr,
            )

    def load(self, limit: int) -> tuple[Tensor, list[str]]:
        """The first ``limit`` clips: uint8 (N, T, 3, H, W) on the device, and captions."""
        frames, captions = [], []
        for some, texts in self.batches():
            frames.append(some)
            captions += texts
            if len(captions) >= limit:
                break
        return torch.cat(frames)[:limit], captions[:limit]


def _parts(groups: Sequence[Sequence[int]], most: int) -> list[Sequence[int]]:
    return [group[k : k + most] for group in groups for k in range(0, len(group), most)]


def _look_at(files: ClipFiles) -> None:
    """Each process opens its part of the files; all of them go on without those that cannot be read.

    Raises:
        UserError: too many of them, or not one clip as long as it is to be.
    """
    total, main = len(files), processes.is_main()
    parts = processes.gather(files.opened(range(processes.rank(), total, processes.world()), shown=main))
    found = {i: each for part in parts for i, each in part.items()}
    faults = {i: each for i, each in found.items() if isinstance(each, str)}
    lengths = [each for each in found.values() if isinstance(each, int)]
    files.leave_out(faults)
    if main and (said := unused_columns(files.folder)):
        print(f"artv: {said}", file=sys.stderr)
    for i in sorted(faults) if main else ():
        print(f"artv: left out ({len(faults)} of {total} clips cannot be read): {faults[i]}", file=sys.stderr)
    wanted = f"{files.num_frames} frames" + (f" at {files.fps:g} fps" if files.fps else "")
    short = sum(length < files.num_frames for length in lengths)
    if short == len(lengths):
        raise UserError(
            f"every clip in {files.folder} is shorter than {wanted}; the longest has {max(lengths)}: give num_frames "
            "or fps that suit them (--config), or longer clips"
        )
    blank = sum(not row.caption.strip() for row in files.rows)
    if blank and main:
        print(f"artv: {blank} of {len(files)} clips have a blank caption, and train without text", file=sys.stderr)
    if short and main:
        print(
            f"artv: {short} of {total} clips are shorter than {wanted}: their last frame is repeated", file=sys.stderr
        )

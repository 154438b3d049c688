"""A training set of any size as webdataset shards of latents and text embeddings: encoded once, then streamed.

    000000.tar  000001.tar  …     <clip>.latents.npy (T, C, h, w), <clip>.text.npy (L, D), <clip>.txt; half precision;
                                  <clip>.sha256 of all three and of where they belong
    index.json                    how they were made; training compares it with its own settings

Every shard is a random sample of the set, so a shuffled order of shards, shuffled inside, mixes well while only one
shard a reader is in memory. The order is a function of the seed and the position: a resumed run goes on where it was.

Shape suffixes: B batch, T frames, C latent channels, h w latent size, L text tokens, D text width.
"""

import io
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset, get_worker_info

from artv.data.latents import Batch
from artv.data.loading import read_ahead
from artv.data.shard_index import ShardIndex, read_index, shard_name
from artv.devices import sent
from artv.errors import UserError
from artv.files import open_regular, remove_leftovers, writing
from artv.progress import progress_bar

_ARRAYS = ("latents.npy", "text.npy")
SUM = "sha256"
_TEXTS = 64
"""Clips whose captions are encoded at once: of few the launches take longer than the work."""

T = TypeVar("T")
_Arriving = Callable[[], np.ndarray]


class Read(Protocol):
    """Gives batches (uint8 frames (B, T, 3, H, W), captions) of the clips asked for, in order, none of two groups."""

    def __call__(self, *groups: Sequence[int]) -> Iterable[tuple[Tensor, list[str]]]: ...


def digest(*modules: nn.Module) -> str:
    """Digest of all weights, whatever device they are on."""
    total = sha256()
    for module in modules:
        for key, value in module.state_dict().items():
            total.update(key.encode())
            total.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return total.hexdigest()[:16]


def settings_digest(autoencoder: Any, text_encoder: Any) -> str:
    """Digest of what encoding depends on beside the weights."""
    names = ("scaling_factor", "norm_num_groups", "act_fn"), ("heads", "vocabulary", "quick_gelu")
    values = [
        [getattr(module.config, name) for name in some]
        for module, some in zip((autoencoder, text_encoder), names, strict=True)
    ]
    return sha256(json.dumps(values).encode()).hexdigest()[:16]


@torch.no_grad()
def write_shards(
    folder: Path,
    index: ShardIndex,
    read: Read,
    encode_frames: Callable[[Tensor], Tensor],
    encode_text: Callable[[list[str]], Tensor],
    *,
    rank: int = 0,
    world: int = 1,
) -> None:
    """Writes the shards that are not there yet, every ``world``-th of them in this process."""
    from webdataset import TarWriter

    if rank == 0:
        remove_leftovers(folder)
    order = _permutation(index.clips, 0)
    mine = [k for k in range(rank, index.shards, world) if not (folder / shard_name(k)).is_file()]
    groups = [order[k * index.clips_a_shard :][: index.clips_a_shard].tolist() for k in mine]
    samples = _encoded(read(*groups), encode_frames, encode_text) if groups else iter(())
    total, done = sum(map(len, groups)), 0
    with progress_bar("latents", total=total, shown=rank == 0 and total > 0) as bar:
        for k, clips in zip(mine, groups, strict=True):
            with writing(folder / shard_name(k)) as part, part.open("wb") as file, TarWriter(file) as tar:
                for key in (f"{clip:09d}" for clip in clips):
                    z, text, caption = next(samples)
                    arrays = {"latents.npy": _bytes(z), "text.npy": _bytes(text)}
                    checksum = _checksum(shard_name(k), key, *arrays.values(), caption)
                    tar.write({"__key__": key, "txt": caption, **arrays, SUM: checksum})
                    done += 1
                    bar.update(done)


def _encoded(
    batches: Iterable[tuple[Tensor, list[str]]],
    encode_frames: Callable[[Tensor], Tensor],
    encode_text: Callable[[list[str]], Tensor],
) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Clip by clip what is written, in step with what a GPU is given to do: it has a group of clips ahead of the one
    that is waited for, and is given the next batch before more clips are written than it was given last.
    """
    begun: deque[Iterator[tuple[np.ndarray, np.ndarray, str]]] = deque()
    waited_for: deque[Iterator[tuple[np.ndarray, np.ndarray, str]]] = deque()
    for clips, group in _begun(batches, encode_frames, encode_text):
        if group is not None:
            waited_for += begun
            begun = deque([group])
        yield from _next_of(waited_for, clips)
    for group in (*waited_for, *begun):
        yield from group


def _begun(
    batches: Iterable[tuple[Tensor, list[str]]],
    encode_frames: Callable[[Tensor], Tensor],
    encode_text: Callable[[list[str]], Tensor],
) -> Iterator[tuple[int, Iterator[tuple[np.ndarray, np.ndarray, str]] | None]]:
    """Batch by batch: how many clips it has, and with the last one of a group all clips of that."""
    latents: list[_Arriving] = []
    captions: list[str] = []
    for frames, texts in batches:
        latents.append(_half(encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])))
        captions += texts
        if len(captions) < _TEXTS:
            yield len(texts), None
            continue
        yield len(texts), _arrived(latents, _half(_each_once(encode_text, captions)), captions)
        latents, captions = [], []
    if captions:
        yield 0, _arrived(latents, _half(_each_once(encode_text, captions)), captions)


def _arrived(
    latents: Sequence[_Arriving], text: _Arriving, captions: Sequence[str]
) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    whole = itertools.chain.from_iterable(each() for each in latents)
    checked = map(partial(_finite, "autoencoder's latents"), whole, captions)
    yield from zip(checked, map(partial(_finite, "text encoder's embeddings"), text(), captions), captions, strict=True)


def _next_of(groups: deque[Iterator[T]], count: int) -> Iterator[T]:
    """The next items, across groups; fewer where no more are there."""
    while groups and count:
        for item in itertools.islice(groups[0], count):
            count -= 1
            yield item
        if count:
            groups.popleft()


def _each_once(encode_text: Callable[[list[str]], Tensor], captions: list[str]) -> Tensor:
    """Every caption's text, of which equal ones are encoded once."""
    place = {caption: k for k, caption in enumerate(dict.fromkeys(captions))}
    text = encode_text(list(place))
    return text[sent(torch.tensor([place[caption] for caption in captions]), text.device)]


def _finite(what: str, values: np.ndarray, caption: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise UserError(
            f"the {what} of the clip {caption[:80]!r} are no numbers: its weights are broken, or its values outgrow "
            "half precision (then give --precision fp32, and another --out)"
        )
    return values


def _half(x: Tensor) -> _Arriving:
    """Begins to copy to host memory, in half precision; called, waits for it."""
    half = x.detach().half()
    if not half.is_cuda:
        return half.numpy
    held, copied = torch.empty(half.shape, dtype=half.dtype, pin_memory=True), torch.cuda.Event()
    held.copy_(half, non_blocking=True)
    copied.record()

    def arrived() -> np.ndarray:
        copied.synchronize()
        return held.numpy()

    return arrived


class ShardStream(IterableDataset):
    """An endless stream of (latents (T, C, h, w), text (L, D)), from batch number ``first_batch`` on.

    The epochs lie one behind the other; reader r of R takes every R-th shard of that row, and batch b is reader b mod
    R's. A reader is a worker of this process; without workers, for which there may be no room, it is all of them.
    """

    def __init__(
        self, folder: Path, index: ShardIndex, seed: int, batch_size: int, rank: int, world: int, readers: int = 1
    ) -> None:
        self.folder, self.index, self.seed, self.batch_size = folder, index, seed, batch_size
        self.rank, self.world, self.readers, self.first_batch = rank, world, max(readers, 1), 0

    def batch_bytes(self) -> float:
        """About what a batch takes."""
        return self.batch_size * (self.folder / shard_name(0)).stat().st_size / self.index.clips_in(0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        info = get_worker_info()
        if info:
            # the loader asks its workers in turn, from number 0 on; after a resumption that turn is another's
            yield from self._read((info.id + self.first_batch) % self.readers)
        rows = [self._read(reader) for reader in range(self.readers)]
        for batch in itertools.count(self.first_batch):
            yield from itertools.islice(rows[batch % self.readers], self.batch_size)

    def _read(self, reader: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        skip = len(range(reader, self.first_batch, self.readers)) * self.batch_size
        for place in itertools.count(self.rank * self.readers + reader, self.world * self.readers):
            epoch, position = divmod(place, self.index.shards)
            shard = int(_permutation(self.index.shards, self.seed, epoch)[position])
            clips = self.index.clips_in(shard)
            if skip >= clips:
                skip -= clips
                continue
            samples = _read_shard(self.folder / shard_name(shard), clips)
            for i in _permutation(clips, self.seed, epoch, shard + 1)[skip:]:
                yield samples[i]
            skip = 0


class LatentStream:
    """What :class:`~artv.data.latents.LatentCache` is for a small set: draws batches, here from disk by workers."""

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        device: torch.device,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 2,
    ) -> None:
        self.index, self.device, self.workers = read_index(folder), device, workers
        self._stream = ShardStream(folder, self.index, seed, batch_size, rank, world, workers)
        self._batches: Iterator[list[Tensor]] | None = None
        self._held: Batch | None = None
        self._next = 0

    def fetch(self, step: int) -> None:
        """Puts batch number ``step`` into the tensors that :meth:`sample` reads, always the same ones. Batches are read
        ahead in order; another one than the next is a new start.
        """
        if self._batches is None or step != self._next:
            self._stream.first_batch = step
            self._batches = read_ahead(
                self._stream,
                batch_size=self._stream.batch_size,
                num_workers=self.workers,
                batch_bytes=self._stream.batch_bytes(),
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator(),  # or starting the workers would draw from the training's own numbers
            )
        batch, self._next = next(self._batches), step + 1
        if self._held is None:
            self._held = Batch(*(x.to(self.device) for x in batch))
        for held, new in zip(self._held, batch, strict=True):
            held.copy_(new, non_blocking=True)

    def sample(self, batch_size: int) -> Batch:
        """The fetched clips, on the device, in float32."""
        if self._held is None:
            raise ValueError("fetch a batch first")
        return Batch(*(x.float() for x in self._held))


class MicroStreams:
    """The streams of this process, one for each micro-batch of a step that it draws, by their place in the step."""

    def __init__(self, streams: Mapping[int, LatentStream]) -> None:
        self._streams, self._current = streams, next(iter(streams.values()))

    def fetch(self, step: int, place: int) -> None:
        """The batch that :meth:`sample` gives from now on."""
        self._current = self._streams[place]
        self._current.fetch(step)

    def sample(self, batch_size: int) -> Batch:
        """The same as :meth:`LatentStream.sample`."""
        return self._current.sample(batch_size)


def read_clips(folder: Path, count: int) -> tuple[Batch, list[str]]:
    """The first ``count`` clips of the shards, on the CPU, and their captions."""
    index = read_index(folder)
    samples: list[Any] = []
    for k in range(index.shards):
        samples += _rows(folder / shard_name(k), index.clips_in(k))
        if len(samples) >= count:
            break
    latents, texts = ([torch.from_numpy(row[name]) for row in samples[:count]] for name in _ARRAYS)
    return Batch(torch.stack(latents), torch.stack(texts)), [row["txt"].decode() for row in samples[:count]]


def _permutation(n: int, *key: int) -> np.ndarray:
    return np.random.default_rng(key).permutation(n)


def _array(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _checksum(*parts: str | bytes) -> bytes:
    total = sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode())
    return total.hexdigest().encode()


def _check(shard: str, row: Mapping[str, Any]) -> None:
    """Raises ValueError for a clip that is not what was written; those of older versions have no checksum."""
    key = Path(row["__key__"]).name
    if SUM in row and row[SUM] != _checksum(shard, key, *(row[name] for name in _ARRAYS), row["txt"]):
        raise ValueError(f"clip {key} is not what was written there")


def _read_shard(path: Path, clips: int) -> list[tuple[np.ndarray, np.ndarray]]:
    latents, text = _ARRAYS
    return [(row[latents], row[text]) for row in _rows(path, clips)]


def _rows(path: Path, clips: int) -> list[dict[str, Any]]:
    """The clips of a shard, checked: their two arrays and, as bytes, their caption."""
    from webdataset.tariterators import group_by_keys, tar_file_expander

    suffixes = ("npy", "txt", SUM)
    try:
        with open_regular(path) as file:  # webdataset, given a name, runs it where it begins with "pipe:"
            opened = [{"url": str(path), "stream": file}]
            rows = list(group_by_keys(tar_file_expander(opened, select_files=lambda name: name.endswith(suffixes))))
        if len(rows) != clips:
            raise ValueError(f"it holds {len(rows)} clips and should hold {clips}")
        for row in rows:
            _check(path.name, row)
            row.update({name: _array(row[name]) for name in _ARRAYS})
        return rows
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"shard {path} cannot be read: {reason}; delete it and run the command that makes it") from None

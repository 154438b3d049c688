"""A clip on disk, exactly: an npz file. A long one lies there in parts of a few frames, to be written and read by them.

    frames                      uint8 (T, H, W, 3), up to 64 frames
    frames.0000, frames.0001 …  of more frames: so many each, the first as it is, of the others the difference to the
                                one before, modulo 256; ``parts``: int64 (T, H, W, 3, frames of a part)
    mask                        float32 (T − 1, h, w), or mask.0000, mask.0001 …, of the same frames as the part of that
                                number (frame 0 has none); ``mask_shape``: int64 (T − 1, h, w)
    mask_steps                  uint8 (s, T − 1, h, w), the mask at some sampling steps, to be looked at: of the first
                                clips of a run, if they are not long
    seconds, of                 what making it took, and of which cell and index it is

Why npz: ``benchmarks/results/clip_formats.md``. Whatever is read of a file is read to the end of its array and checked.

Shape legend: T frames, t some of them, H W pixels, h w mask cells.
"""

import zipfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from artv.files import writing
from artv_eval.api import GeneratedClip
from artv_eval.results.arrays import OF, Damaged, checked_of, cleared, opened, read_array, write_arrays

WHOLE, PART_BYTES = 64, 1 << 24  # frames of a clip that is one array; bytes of a part
LEVEL = 1  # of deflate: see the benchmark
STEPS = "mask_steps"


def in_parts(frames: int) -> bool:
    """Whether a clip of so many frames is kept in parts, and so made, described and shown without being held whole."""
    return frames > WHOLE


def part_length(shape: Sequence[int]) -> int:
    """Frames of a part of a clip of this shape."""
    return max(1, min(WHOLE, PART_BYTES // int(np.prod(shape[1:]))))


Read = Callable[[int, tuple[int, ...]], np.ndarray]


class StoredArray:
    """An array in parts, each read when it is asked for: shape, dtype, slices along the first axis, ``np.asarray``.

    Args:
        read: number of a part and its shape → the part.
        starts: index at which each part begins.
        shape, dtype: of the whole.
    """

    def __init__(self, read: Read, starts: Sequence[int], shape: Sequence[int], dtype: Any):
        self._read, self._starts, self._ends = read, list(starts), [*starts[1:], int(shape[0])]
        self.shape, self.dtype, self.ndim = tuple(int(side) for side in shape), np.dtype(dtype), len(shape)
        self._last: tuple[int, np.ndarray] | None = None  # readers go through the frames in order

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        first, *rest = at if isinstance(at, tuple) else (at,)
        if isinstance(first, slice):
            found = self._some(range(len(self))[first])
            return found[(slice(None), *rest)] if rest else found
        index = range(len(self))[first]
        found = self._some(range(index, index + 1))[0]
        return found[tuple(rest)] if rest else found

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def read_through(self) -> None:
        """Reads every part once and keeps none."""
        for number, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
            if start < end:
                self._part(number)
        self._last = None

    def _some(self, indices: range) -> np.ndarray:
        pieces, done = [], 0
        while done < len(indices):
            number = bisect_right(self._starts, indices[done]) - 1
            part, start = self._part(number), self._starts[number]
            inside = [i - start for i in indices[done:] if start <= i < start + len(part)]
            pieces.append(part[inside[0] : inside[-1] + 1] if indices.step == 1 else part[inside])
            done += len(inside)
        if not pieces:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _part(self, number: int) -> np.ndarray:
        if self._last is None or self._last[0] != number:
            self._last = None  # the old one goes before the new one comes
            length = self._ends[number] - self._starts[number]
            self._last = number, self._read(number, (length, *self.shape[1:]))
        return self._last[1]


class ClipWriter:
    """Writes a long clip a few frames at a time; the file is there when :meth:`finish` has been called.

    Args:
        path, of: the file, and of which cell and index it is.
        shape: of all frames, (T, H, W, 3).
    """

    def __init__(self, path: Path, of: str, shape: Sequence[int]) -> None:
        self.of, self.shape, self.each, self.done = of, tuple(shape), part_length(shape), 0
        self._masks: list[np.ndarray] = []
        self._masks_done = 0
        self._mask_shape: tuple[int, ...] | None = None
        self._member: IO[bytes] | None = None
        self._before: np.ndarray | None = None  # the last frame of the part that is being written
        self._stack = ExitStack()
        part = self._stack.enter_context(writing(cleared(path)))
        archive = zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
        self._archive = self._stack.enter_context(archive)

    def add(self, frames_tHWC: np.ndarray, mask_thw: np.ndarray | None = None) -> None:
        """The next frames, with the masks of those of them that have one (all but frame 0).

        Raises:
            ValueError: they are not what the clip should have.
        """
        frames = np.ascontiguousarray(frames_tHWC)
        if frames.dtype != np.uint8 or frames.shape[1:] != self.shape[1:] or self.done + len(frames) > self.shape[0]:
            raise ValueError(f"frames {frames.dtype} {frames.shape} after {self.done} of a clip of {self.shape}")
        self._masks += [] if mask_thw is None else list(np.asarray(mask_thw, np.float32))
        while len(frames):
            fits = self.each - self.done % self.each
            self._frames(frames[:fits])
            frames = frames[fits:]

    def _frames(self, frames: np.ndarray) -> None:
        number = self.done // self.each
        if self._member is None:
            self._member = self._archive.open(f"frames.{number:04d}.npy", "w")
            length = min(self.each, self.shape[0] - self.done)
            header = {"descr": "|u1", "fortran_order": False, "shape": (length, *self.shape[1:])}
            np.lib.format.write_array_header_1_0(self._member, header)
        before = np.zeros_like(frames[:1]) if self._before is None else self._before
        self._member.write(np.diff(frames, axis=0, prepend=before).data)
        self._before = frames[-1:].copy()
        self.done += len(frames)
        if self.done % self.each == 0 or self.done == self.shape[0]:
            self._member.close()
            self._member = self._before = None
            self._write_masks(number)

    def _write_masks(self, number: int) -> None:
        """Those of a part's frames."""
        due = self.done - 1 - self._masks_done
        if self._masks and due:
            masks, self._masks = np.stack(self._masks[:due]), self._masks[due:]
            self._mask_shape = (self.shape[0] - 1, *masks.shape[1:])
            self._masks_done += len(masks)
            self._array(f"mask.{number:04d}", masks)

    def _array(self, name: str, array: np.ndarray) -> None:
        with self._archive.open(f"{name}.npy", "w") as member:
            np.lib.format.write_array(member, array, allow_pickle=False)

    def finish(self, seconds: float | None = None) -> None:
        """Puts the file in its place.

        Raises:
            ValueError: frames are missing. The file is not kept then.
        """
        if self.done != self.shape[0] or self._masks or self._masks_done not in (0, self.shape[0] - 1):
            self.drop()
            raise ValueError(f"{self.done} of {self.shape[0]} frames came, and masks of {self._masks_done} of them")
        self._array("parts", np.array([*self.shape, self.each]))
        if self._mask_shape is not None:
            self._array("mask_shape", np.array(self._mask_shape))
        if seconds is not None:
            self._array("seconds", np.array(seconds))
        self._array(OF, np.array(self.of))
        self._stack.close()

    def drop(self) -> None:
        """Leaves nothing behind."""
        if self._member is not None:
            self._member.close()
        dropped = RuntimeError("dropped")
        self._stack.__exit__(RuntimeError, dropped, None)


def write_clip(path: Path, of: str, clip: GeneratedClip) -> None:
    """Keeps a clip exactly; frames that can only be read in slices are never held as a whole."""
    shape = clip.frames.shape
    if in_parts(shape[0]):
        writer, each = ClipWriter(path, of, shape), part_length(shape)
        try:
            for start in range(0, shape[0], each):
                masks = None if clip.mask is None else clip.mask[max(start - 1, 0) : start + each - 1]
                writer.add(np.asarray(clip.frames[start : start + each]), masks)
        except BaseException:
            writer.drop()
            raise
        writer.finish(clip.seconds)
        return
    arrays = {"frames": np.asarray(clip.frames)}
    if clip.mask is not None:
        arrays["mask"] = np.asarray(clip.mask, np.float32)
    if clip.mask_steps is not None:
        arrays[STEPS] = clip.mask_steps
    if clip.seconds is not None:
        arrays["seconds"] = np.array(clip.seconds)
    write_arrays(path, of, arrays, compress=True)


def read_clip(path: Path, of: str, damaged: Callable[[str], Exception]) -> GeneratedClip:
    """Inverse of :func:`write_clip`; of a long clip the frames and the mask are :class:`StoredArray`.

    Args:
        damaged: why a file is damaged → what to raise when a part turns out to be so later.

    Raises:
        FileNotFoundError: there is none. Damaged: it is another one, or not what was written.
    """
    with opened(path) as archive:
        long = "parts.npy" in archive.namelist()
        wanted = [name for name in archive.namelist() if not (long and name.startswith(("frames.", "mask.")))]
        arrays = checked_of({name.removesuffix(".npy"): read_array(archive, name) for name in wanted}, of)
        return _checked(_long(path, arrays, damaged) if long else arrays)


def _long(path: Path, arrays: Mapping[str, np.ndarray], damaged: Callable[[str], Exception]) -> dict[str, Any]:
    """The arrays of a clip in parts."""
    *shape, each = arrays["parts"].tolist()
    starts = list(range(0, shape[0], each))
    frames = _stored(path, "frames", damaged, starts, shape, np.uint8)
    found = {name: arrays[name] for name in ("seconds",) if name in arrays}
    if "mask_shape" not in arrays:
        return {**found, "frames": frames}
    mask_starts = [0, *(start - 1 for start in starts[1:])]  # frame 0 has none
    mask = _stored(path, "mask", damaged, mask_starts, arrays["mask_shape"].tolist(), np.float32)
    return {**found, "frames": frames, "mask": mask}


def _stored(
    path: Path, name: str, damaged: Callable[[str], Exception], starts: list[int], shape: list[int], dtype: Any
) -> StoredArray:
    def read(number: int, wanted: tuple[int, ...]) -> np.ndarray:
        try:
            with opened(path) as archive:
                part = read_array(archive, f"{name}.{number:04d}.npy")
            if part.dtype != dtype or part.shape != wanted:
                raise Damaged(f"{name} {number} are {part.dtype} {part.shape}, not {wanted}")
        except (Damaged, FileNotFoundError) as error:
            raise damaged(str(error)) from None
        for before, frame in pairwise(part if name == "frames" else ()):
            frame += before  # of differences, modulo 256
        return part

    return StoredArray(read, starts, shape, dtype)


def _checked(arrays: Mapping[str, Any]) -> GeneratedClip:
    """Raises Damaged when these are not a clip's."""
    frames, mask, seconds = (arrays.get(name) for name in ("frames", "mask", "seconds"))
    if frames is None or frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise Damaged("it holds no frames")
    if mask is not None and (mask.dtype != np.float32 or mask.ndim != 3 or len(mask) != len(frames) - 1):
        raise Damaged("its mask is of another clip")
    steps = arrays.get(STEPS)
    if steps is not None and (steps.dtype != np.uint8 or steps.ndim != 4 or steps.shape[1] != len(frames) - 1):
        raise Damaged("its mask over the steps is of another clip")
    return GeneratedClip(frames, mask, None if seconds is None else float(seconds), steps)


def read_through(clip: GeneratedClip) -> None:
    """Reads all of a clip, so that damage shows now."""
    for array in (clip.frames, clip.mask):
        if isinstance(array, StoredArray):
            array.read_through()

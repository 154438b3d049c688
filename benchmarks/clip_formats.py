"""In which lossless format should long clips lie on disk? Size, and seconds to write and to read, of each.

    python benchmarks/clip_formats.py                 # two minutes on one core
    python benchmarks/clip_formats.py --frames 16     # to try it

Clips of the second shapes world at 480 × 480: clean as they are drawn, and with the grain of a decoder (normal, one
grey level). ``parts`` are npz members of 14 frames; those of differences at level 1 are what
:mod:`artv_eval.results.clips` has: FFV1 and H.264 are smaller or faster, but a run folder must be readable without PyAV
(H.264 also without x264), and zarr would be another dependency. Every format gives the frames back to the bit, or the
table says so.
"""

import argparse
import json
import platform
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from artv.data.shapes_long import LongShapesWorld

SIZE, PART = 480, 14

Write = Callable[[Path, np.ndarray], None]
Read = Callable[[Path], np.ndarray]


def npz(level: int | None) -> tuple[Write, Read]:
    """A zip of arrays, deflated at a level; None: stored."""

    def write(path: Path, frames: np.ndarray) -> None:
        kind = zipfile.ZIP_STORED if level is None else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", kind, compresslevel=level) as archive:
            for start in range(0, len(frames), PART):
                with archive.open(f"frames.{start // PART:04d}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, frames[start : start + PART])

    def read(path: Path) -> np.ndarray:
        with zipfile.ZipFile(path) as archive:
            parts = [np.lib.format.read_array(archive.open(name)) for name in archive.namelist()]
        return np.concatenate(parts)

    return write, read


def differences(level: int) -> tuple[Write, Read]:
    """Differences of each frame of a part to the one before it, modulo 256, deflated."""
    write, read = npz(level)

    def write_them(path: Path, frames: np.ndarray) -> None:
        changes = np.diff(frames, axis=0, prepend=np.zeros_like(frames[:1]))
        changes[::PART] = frames[::PART]
        write(path, changes)

    def read_them(path: Path) -> np.ndarray:
        changes = read(path)
        for i in range(len(changes)):
            if i % PART:
                changes[i] += changes[i - 1]
        return changes

    return write_them, read_them


def video(codec: str, pix_fmt: str, options: dict[str, str], container: str = "matroska") -> tuple[Write, Read]:
    """A codec of FFmpeg's through PyAV."""
    import av

    def write(path: Path, frames: np.ndarray) -> None:
        with av.open(str(path), "w", format=container) as out:
            stream = out.add_stream(codec, rate=16)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
            stream.options, stream.thread_count = options, 1
            for frame in frames:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(stream.encode())

    def read(path: Path) -> np.ndarray:
        with av.open(str(path), format=container) as file:
            file.streams.video[0].thread_count = 1
            return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])

    return write, read


def zarr_blosc() -> tuple[Write, Read]:
    """Zarr's default codec (Zstandard) in chunks of a part."""
    import zarr

    def write(path: Path, frames: np.ndarray) -> None:
        made = zarr.create_array(str(path), shape=frames.shape, chunks=(PART, *frames.shape[1:]), dtype=frames.dtype)
        made[:] = frames

    return write, lambda path: np.asarray(zarr.open_array(str(path), mode="r")[:])


FORMATS: dict[str, Callable[[], tuple[Write, Read]]] = {
    "npz parts, stored": lambda: npz(None),
    "npz parts, deflate 1": lambda: npz(1),
    "npz parts, deflate 6": lambda: npz(6),
    "npz parts of differences, deflate 1": lambda: differences(1),
    "FFV1 (version 3, bgr0)": lambda: video("ffv1", "bgr0", {"level": "3", "slices": "4"}),
    "H.264 lossless (libx264rgb)": lambda: video("libx264rgb", "rgb24", {"qp": "0", "preset": "ultrafast"}),
    "zarr": zarr_blosc,
}


def size_of(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def measured(name: str, frames: np.ndarray) -> dict[str, object] | None:
    """Share of the raw size, and frames a second written and read; None where it cannot be or is not exact."""
    try:
        write, read = FORMATS[name]()
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        started = time.perf_counter()
        write(path, frames)
        written = time.perf_counter()
        again = read(path)
        done = time.perf_counter()
        if not np.array_equal(again, frames):
            return {"format": name, "exact": False}
        return {
            "format": name,
            "exact": True,
            "size": round(size_of(path) / frames.nbytes, 3),
            "write_fps": round(len(frames) / (written - started), 1),
            "read_fps": round(len(frames) / (done - written), 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=56)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "clip_formats.md")
    args = parser.parse_args()
    world = LongShapesWorld("test", num_frames=args.frames, size=SIZE)
    clean = world.batch([3]).frames[0].permute(0, 2, 3, 1).contiguous().numpy()
    noise = np.random.default_rng(0).normal(0, 1, clean.shape)
    clips = {"clean": clean, "with grain": np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)}
    lines = ["| clip | format | size, of raw | written, frames/s | read, frames/s |", "|---|---|---|---|---|"]
    rows = []
    for kind, frames in clips.items():
        for name in FORMATS:
            row = measured(name, frames)
            if row is not None:
                rows.append({"clip": kind, **row})
                shown = [f"{row['size']:.3f}", f"{row['write_fps']:.0f}", f"{row['read_fps']:.0f}"]
                lines.append(f"| {kind} | {name} | {' | '.join(shown) if row['exact'] else 'not exact | – | –'} |")
                print(lines[-1], flush=True)
    machine = platform.processor() or platform.machine()
    title = f"# Lossless formats of long clips\n\n`python benchmarks/clip_formats.py --frames {args.frames}`: {SIZE} × "
    title += f"{SIZE} pixels, {machine} CPU, one thread, {time.strftime('%Y-%m-%d')}.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "clip_formats", "rows": rows}))


if __name__ == "__main__":
    main()

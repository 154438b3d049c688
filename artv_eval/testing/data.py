"""Contracts of readers and protocols."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from artv_eval.api import ClipRequest
from artv_eval.testing.counting import FILES, number, write_counting
from artv_eval.testing.settings import check_settings, refuses_unknown_settings, same


def check_reader(reader: Any, *, video: Path | None = None, lossless: bool = False) -> None:
    """A ``readers`` target: ``reader(path)`` with ``len()``, ``fps`` and ``frames(indices)``.

    Args:
        video: a file in the reader's format, of at least 6 frames; None writes an mp4 of known content.
        lossless: the frames must be exactly those written (only without ``video``).
    """
    check_settings(reader, "readers")
    with tempfile.TemporaryDirectory() as folder:
        known = None
        if video is None:
            video, known = _write(Path(folder) / "clip.mp4")
        refuses_unknown_settings(reader, {"path": video})
        opened = reader(video)
        total = len(opened)
        assert total >= 6 and float(opened.fps) > 0, f"len() is {total} and fps {opened.fps}"
        every = opened.frames(list(range(total)))
        assert isinstance(every, np.ndarray) and every.dtype == np.uint8, "frames() must give a uint8 numpy array"
        assert every.ndim == 4 and every.shape[3] == 3, f"frames() gives {every.shape}; it must be (n, H, W, 3)"
        asked = [4, 1, 1, total - 1]
        same(opened.frames(asked), every[asked], f"frames({asked}) and those frames of the whole")
        same(reader(video).frames([2]), every[2:3], "a frame read by a second reader")
        if known is not None:
            error = np.abs(every.astype(float) - known).mean()
            assert len(every) == len(known) and error <= (0 if lossless else 8), (
                f"the frames are off by {error:.1f} grey levels; is the order of the colours RGB?"
            )
            _counts(reader, Path(folder))
        _refuses_rubbish(reader, Path(folder) / "rubbish.mp4")


def _counts(reader: Any, folder: Path) -> None:
    """A file in which jumping to frames goes wrong unless care is taken; it must give what it is asked for."""
    path = write_counting(folder / "counting.mp4", FILES["MPEG-4, B-frames"])
    for asked in ([0, 4, 8, 12, 16, 20], [32], [59, 7]):
        shown = [number(frame) for frame in reader(path).frames(asked)]
        assert shown == asked, f"asked for the frames {asked} of a file with B-frames, it gives {shown}"


def _write(path: Path) -> tuple[Path, np.ndarray]:
    from artv.video import write_video

    ramp = np.linspace(0, 200, 32)[None, :].repeat(32, 0)
    frames = np.stack([np.stack([ramp + 5 * t, ramp.T, 0 * ramp + 60], -1) for t in range(8)]).astype(np.uint8)
    write_video(path, frames, fps=8.0)
    return path, frames


def _refuses_rubbish(reader: Any, path: Path) -> None:
    path.write_bytes(b"this is no video" * 64)
    try:
        opened = reader(path)
        frames = opened.frames([0]) if len(opened) else []
    except Exception:
        return
    assert not len(frames), "a file that is no video gives frames; it must raise an error"


def check_protocol(protocol: Any, *, settings: Mapping[str, Any] | None = None, num: int = 4) -> None:
    """A ``protocols`` target: factory of a card with ``name``, ``hash``, ``requests()`` and ``reference()``.

    Checks that the requests are the same every time, that fewer are the first of more, that indices are unique, that
    ``frames`` and ``seed`` change what they should and nothing else, and that no reference clip is a ground truth.
    """
    settings = dict(settings or {})
    check_settings(protocol, "protocols")
    refuses_unknown_settings(protocol, settings)
    card, again = protocol(**settings), protocol(**settings)
    assert isinstance(card.name, str) and card.name, "the card has no name"
    assert isinstance(card.hash, str) and len(card.hash) >= 8, "hash must be a text of at least 8 hex digits"
    assert card.hash == again.hash, "two cards with the same settings have different hashes"
    requests = list(card.requests(num=num))
    assert len(requests) == num, f"requests(num={num}) gives {len(requests)}"
    for request in requests:
        _check_request(request)
    assert len({request.index for request in requests}) == num, "two requests have one index"
    _same_requests(requests, list(again.requests(num=num)), "of a second card")
    _same_requests(requests[: num - 1], list(card.requests(num=num - 1)), f"of {num - 1} and the first of {num}")
    reseeded = list(card.requests(num=num, seed=1))
    assert [r.prompt for r in reseeded] == [r.prompt for r in requests], "another seed asks for other prompts"
    assert all(a.seed != b.seed for a, b in zip(requests, reseeded, strict=True)), "another seed has the same seeds"
    shorter = requests[0].num_frames - 1
    assert {r.num_frames for r in card.requests(num=2, frames=shorter)} == {shorter}, "frames= does not set num_frames"
    _check_reference(card, requests)


def _check_request(request: Any) -> None:
    assert isinstance(request, ClipRequest), f"a request is a {type(request).__name__}; it must be a ClipRequest"
    size = (request.height, request.width, 3)
    assert request.num_frames >= 1 and min(size) > 0 and request.fps > 0, f"request {request.index} has no size"
    if request.first_frame is not None:
        right = request.first_frame.dtype == np.uint8 and request.first_frame.shape == size
        assert right, f"request {request.index}: first_frame must be uint8 {size}"
    if request.real is not None:
        wanted = (request.num_frames, *size)
        right = request.real.dtype == np.uint8 and request.real.shape == wanted
        assert right, f"request {request.index}: real must be uint8 {wanted}"


def _same_requests(a: list[ClipRequest], b: list[ClipRequest], what: str) -> None:
    for x, y in zip(a, b, strict=True):
        key = (x.index, x.prompt, x.seed, x.num_frames, x.height, x.width, x.fps)
        assert key == (y.index, y.prompt, y.seed, y.num_frames, y.height, y.width, y.fps), (
            f"requests {what} differ at index {x.index}"
        )
        if x.first_frame is not None and y.first_frame is not None:
            same(x.first_frame, y.first_frame, f"first frames {what} at index {x.index}")


def _check_reference(card: Any, requests: list[ClipRequest]) -> None:
    reference = card.reference()
    if reference is None or not len(reference):
        return
    truths = {request.real.tobytes() for request in requests if request.real is not None}
    for i in range(min(len(reference), 32)):
        assert reference[i][1].frames.tobytes() not in truths, f"reference clip {i} is the ground truth of a request"

"""Methods without a model, which show what each metric sees: the truth, a still, the truth under other captions."""

from collections.abc import Iterator, Sequence

import numpy as np

from artv.errors import UserError
from artv_eval.api import ClipRequest, GeneratedClip


class _OfReal:
    """What is made of ground truth, where there is any."""

    def unsuited(self, request: ClipRequest) -> str | None:
        """Without ground truth there is nothing to give."""
        return "the protocol has no ground truth" if request.real is None else None


class Real(_OfReal):
    """The ground-truth clips: perfect in every respect. Its FVD is the floor at this number of clips."""

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The real clip of each request."""
        return (GeneratedClip(_real(request)) for request in requests)


class CopyFirst:
    """The first frame, still: perfect appearance, no motion."""

    def unsuited(self, request: ClipRequest) -> str | None:
        """A protocol with neither first frames nor ground truth."""
        return "the protocol has no first frames" if request.first_frame is None and request.real is None else None

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The first frame repeated."""
        for request in requests:
            first = request.first_frame if request.first_frame is not None else _real(request)[0]
            yield GeneratedClip(np.repeat(first[None], request.num_frames, axis=0))


class WrongPrompt(_OfReal):
    """Real clips dealt to other captions by a derangement: perfect video, wrong text.

    Neighbours change places, so that a clip does not depend on how many there are; the last of an odd number gets the
    first clip.
    """

    def __init__(self) -> None:
        self._requests: Sequence[ClipRequest] = ()
        self._dealt: dict[int, int] = {}

    def prepare(self, requests: Sequence[ClipRequest]) -> None:
        """Learns all requests of the run."""
        if len(requests) < 2:
            raise UserError("method 'wrong-prompt' needs at least 2 videos to exchange; raise --num-videos")
        self._requests = requests
        others = [i ^ 1 if i ^ 1 < len(requests) else 0 for i in range(len(requests))]
        self._dealt = {request.index: other for request, other in zip(requests, others, strict=True)}

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The real clip of another request."""
        return (GeneratedClip(_real(self._requests[self._dealt[request.index]])) for request in requests)


def _real(request: ClipRequest) -> np.ndarray:
    if request.real is None:
        raise UserError(f"the protocol has no real clip for request {request.index}; leave the real methods out")
    return request.real

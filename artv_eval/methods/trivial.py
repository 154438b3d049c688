"""Methods without a model, which show what each metric sees: the truth, a still, the truth under other captions."""

from collections.abc import Iterator, Sequence
from itertools import groupby

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
    """Real clips dealt to other captions: perfect video, wrong text.

    Neighbouring prompts exchange their clips, so that a clip does not depend on how many there are; the last of an odd
    number of prompts gets clips of the first that is another.
    """

    def __init__(self) -> None:
        self._requests: Sequence[ClipRequest] = ()
        self._dealt: dict[int, int] = {}

    def prepare(self, requests: Sequence[ClipRequest]) -> None:
        """Learns all requests of the run. Raises UserError for those of a single prompt."""
        asked = [(request.caption, request.index) for request in requests]
        # clips of one prompt under several seeds stand together, and none of them is another text's
        prompts = [list(places) for _, places in groupby(range(len(asked)), key=lambda i: asked[i][0])]
        if len(prompts) < 2:
            raise UserError(
                "method 'wrong-prompt' needs videos of at least 2 prompts to exchange; raise --num-videos, or leave it "
                "out with --no-sanity"
            )
        self._requests, self._dealt = requests, {}
        for k, places in enumerate(prompts):
            text = asked[places[0]][0]
            others = prompts[k ^ 1] if k ^ 1 < len(prompts) else next(o for o in prompts if asked[o[0]][0] != text)
            self._dealt |= {asked[i][1]: others[seed % len(others)] for seed, i in enumerate(places)}

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        """The real clip of another request."""
        return (GeneratedClip(_real(self._requests[self._dealt[request.index]])) for request in requests)


def _real(request: ClipRequest) -> np.ndarray:
    if request.real is None:
        raise UserError(f"the protocol has no real clip for request {request.index}; leave the real methods out")
    return request.real

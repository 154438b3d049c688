"""Real clips, their first frame held, and clips of another prompt."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval import testing
from artv_eval.methods.trivial import CopyFirst, Real, WrongPrompt


def test_real_and_copy_first(requests):
    for request, real, still in zip(requests, Real().generate(requests), CopyFirst().generate(requests), strict=True):
        assert np.array_equal(real.frames, request.real)
        assert all(np.array_equal(frame, request.real[0]) for frame in still.frames)


def test_wrong_prompt_deals_every_clip_to_another_caption(requests):
    method = WrongPrompt()
    method.prepare(requests)
    dealt = [clip.frames for clip in method.generate(requests)]
    owners = [next(i for i, r in enumerate(requests) if np.array_equal(r.real, frames)) for frames in dealt]
    assert all(owner != i for i, owner in enumerate(owners)) and set(owners[:4]) == {0, 1, 2, 3}
    more = WrongPrompt()
    more.prepare(testing.toy_requests(8, frames=4))
    assert np.array_equal(next(more.generate(requests[2:3])).frames, dealt[2])  # the number of videos changes nothing
    with pytest.raises(UserError, match="at least 2 videos"):
        WrongPrompt().prepare(requests[:1])

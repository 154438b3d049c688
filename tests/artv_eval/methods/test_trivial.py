"""Real clips, their first frame held, and clips of another prompt."""

from dataclasses import replace

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval import testing
from artv_eval.api import ClipRequest
from artv_eval.methods.trivial import CopyFirst, Real, WrongPrompt
from artv_eval.protocols.cards import load


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


def asked(*prompts):
    """A request a prompt, whose real clip shows its place."""
    return [
        ClipRequest(
            index=10 + i, prompt=prompt, seed=i, num_frames=2, height=4, width=4, fps=8.0,
            real=np.full((2, 4, 4, 3), i, np.uint8),
        )
        for i, prompt in enumerate(prompts)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompts", "owners"),
    [
        ("abcd", [1, 0, 3, 2]),
        ("abc", [1, 0, 0]),
        ("aabbcc", [2, 3, 0, 1, 0, 1]),  # two seeds of each
        ("aaabbb", [3, 4, 5, 0, 1, 2]),
        ("aab", [2, 2, 0]),
        ("aba", [1, 0, 1]),  # the first prompt is the last one's own text
    ],
)
def test_no_clip_is_dealt_to_its_own_text(prompts, owners):
    requests, method = asked(*prompts), WrongPrompt()
    method.prepare(requests)
    found = [int(clip.frames.max()) for clip in method.generate(requests)]
    assert found == owners and all(prompts[owner] != prompt for owner, prompt in zip(found, prompts, strict=True))


def test_of_several_seeds_of_a_prompt_none_is_judged_by_its_own_text():
    requests, method = load("shapes@1", seeds=2).requests(num=5, frames=2), WrongPrompt()
    method.prepare(requests)
    for request, clip in zip(requests, method.generate(requests), strict=True):
        assert not np.array_equal(clip.frames, request.real)


@pytest.mark.parametrize("prompts", ["a", "aa"])
def test_one_prompt_has_no_other(prompts):
    with pytest.raises(UserError, match="at least 2 prompts to exchange; raise --num-videos, or leave it"):
        WrongPrompt().prepare(asked(*prompts))


def test_without_ground_truth_the_trivial_methods_say_so_before_any_work():
    (request,) = asked("a")
    bare = replace(request, real=None)
    assert [method().unsuited(request) for method in (Real, CopyFirst, WrongPrompt)] == [None] * 3
    assert Real().unsuited(bare) == WrongPrompt().unsuited(bare) == "the protocol has no ground truth"
    assert CopyFirst().unsuited(bare) == "the protocol has no first frames"
    assert CopyFirst().unsuited(replace(bare, first_frame=request.real[0])) is None
    with pytest.raises(UserError, match="no real clip for request 10"):
        list(Real().generate([bare]))

"""VBench-Long's rule, against what its code gives for the same numbers of frames."""

import pytest
from artv_vbench.segments import is_long, segment_seconds, segments


def theirs(frames, fps, duration):
    """First and last frame of each piece by ``split_video_into_clips`` of vbench2_beta_long/utils.py, in its steps."""
    count, video = fps * duration, list(range(frames))
    if len(video) < count:
        return [(video[0], video[-1])]
    total, remaining = len(video) // count, len(video) % count
    pieces = [video[i * count : (i + 1) * count] for i in range(total)]
    if remaining > 0:
        pieces.append(video[max(0, total * count - (count - remaining)) :])
    return [(piece[0], piece[-1]) for piece in pieces]


@pytest.mark.parametrize("frames", [15, 16, 17, 31, 32, 45, 81, 129])
@pytest.mark.parametrize(("fps", "seconds"), [(8, 2), (16, 2), (8, 10)])
def test_clips_are_cut_where_vbench_long_cuts_them(frames, fps, seconds):
    found = [(piece.start, piece.stop - 1) for piece in segments(frames, fps, seconds)]
    assert found == theirs(frames, fps, seconds)


def test_five_seconds_are_long_and_less_is_not():
    assert is_long(40, 8.0) and is_long(120, 24.0) and not is_long(39, 8.0) and not is_long(81, 16.3)


def test_a_prompt_of_several_dimensions_is_cut_for_the_longest():
    assert segment_seconds(["overall_consistency", "aesthetic_quality"]) == 10
    assert segment_seconds(["color"]) == segment_seconds([]) == 2

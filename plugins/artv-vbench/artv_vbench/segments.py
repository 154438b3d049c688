"""VBench-Long: a clip of 5 s or more is scored in segments, and its score is their mean.

As ``vbench2_beta_long`` cuts (``utils.split_video_into_clips``, ``configs/clip_length_mix.yaml``) and joins
(``reorganize_clips_results``) with its default flags, by which the similarity between segments has no weight. Segments
are not encoded again with loss.

Shape legend: T frames.
"""

from collections.abc import Sequence

FROM = 5.0  # seconds: its README, "Evaluation Criterion"
SECONDS = {"human_action": 10, "temporal_style": 10, "overall_consistency": 10}
"""Length of a segment by dimension; 2 s of the others, and of all where the prompt is not of the list."""


def is_long(frames: int, fps: float) -> bool:
    """Whether VBench scores such a clip by segments."""
    return frames / fps >= FROM


def segment_seconds(dimensions: Sequence[str]) -> int:
    """Length of the segments of a clip whose prompt is for these dimensions: the longest that one of them asks for."""
    return max((SECONDS.get(name, 2) for name in dimensions), default=2)


def segments(frames: int, rate: int, seconds: int) -> list[slice]:
    """Where a clip of T frames is cut: whole segments and, where frames are left, one more that ends with the clip.

    A clip shorter than a segment is one of its own. ``rate``: frames a second, a whole number as VBench takes it.
    """
    size = rate * seconds
    if frames < size:
        return [slice(0, frames)]
    cut = [slice(start, start + size) for start in range(0, frames - size + 1, size)]
    return cut if frames % size == 0 else [*cut, slice(frames - size, frames)]

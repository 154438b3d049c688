"""VBench's dimensions and totals as metrics of artv-eval."""

from artv_eval import Component, hookimpl

DIMENSIONS = {
    "subject_consistency": "does the subject stay the same",
    "background_consistency": "does the background stay the same",
    "temporal_flickering": "steadiness of still regions",
    "motion_smoothness": "smoothness of motion",
    "dynamic_degree": "share of clips that move",
    "aesthetic_quality": "aesthetic score of frames",
    "imaging_quality": "technical quality of frames",
    "overall_consistency": "agreement with the caption, by ViCLIP",
    "temporal_style": "agreement with a caption that names a camera's movement or a style, by ViCLIP",
}
"""What VBench computes for clips of any prompt (its mode ``custom_input``)."""

LISTED = {
    "object_class": "is the object there",
    "multiple_objects": "are both objects there",
    "human_action": "is the action recognised",
    "color": "has the object its colour",
    "spatial_relationship": "are the objects where they should be",
    "scene": "is the scene recognised",
    "appearance_style": "agreement with a style, by CLIP",
}
"""What it computes for the prompts of its own list alone, which says what to look for."""

ALL = (*DIMENSIONS, *LISTED)
TOTALS = ("total", "quality", "semantic")


@hookimpl
def register_metrics():
    """One metric a dimension, and those of the suite's own prompts, totals included, which share their rows."""
    suite = Component(
        "vbench-suite",
        "artv_vbench.suite_metric:suite",
        "VBench's list: NAME is total, quality, semantic or a dimension of it",
        argument="of",
    )
    return [suite] + [
        Component(f"vbench-{name.replace('_', '-')}", f"artv_vbench.metric:{name}", f"VBench: {summary}")
        for name, summary in (DIMENSIONS | LISTED).items()
    ]

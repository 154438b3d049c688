"""VBench's dimensions as metrics of artv-eval."""

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


@hookimpl
def register_metrics():
    """One metric a dimension that VBench computes for clips of any prompt."""
    return [
        Component(f"vbench-{name.replace('_', '-')}", f"artv_vbench.metric:{name}", f"VBench: {summary}")
        for name, summary in DIMENSIONS.items()
    ]

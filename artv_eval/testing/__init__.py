"""Contract tests for authors of components, one a kind. Each takes what the component's target is, and raises
AssertionError in words an author can act on.

    from artv_eval.testing import check_sampler

    def test_sampler():
        check_sampler(sample_mine)

Names are imported when first used.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "check_method": "runs",
    "check_sampler": "model",
    "check_guidance": "model",
    "check_mask": "model",
    "check_anchor": "model",
    "check_ref_noise": "model",
    "check_acceleration": "accelerations",
    "check_first_frame": "model",
    "check_reader": "data",
    "check_protocol": "data",
    "check_feature": "scoring",
    "check_metric": "scoring",
    "check_ablation": "runs",
    "check_executor": "runs",
    "check_trainer": "trainers",
    "check_reporter": "scoring",
    "check_plugin": "plugin",
    "toy_clips": "clips",
    "toy_requests": "clips",
}

__all__ = [
    "check_ablation",
    "check_acceleration",
    "check_anchor",
    "check_executor",
    "check_feature",
    "check_first_frame",
    "check_guidance",
    "check_mask",
    "check_method",
    "check_metric",
    "check_plugin",
    "check_protocol",
    "check_reader",
    "check_ref_noise",
    "check_reporter",
    "check_sampler",
    "check_trainer",
    "toy_clips",
    "toy_requests",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"artv_eval.testing.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'artv_eval.testing' has no attribute {name!r}")

"""Only this module is imported when plugins load; what it names is imported when used."""

from artv_eval import Component, hookimpl


@hookimpl
def register_samplers():
    return [Component("midpoint", "artv_example.sampler:sample_midpoint", "the midpoint method, second order")]


@hookimpl
def register_metrics():
    return [Component("liveliness", "artv_example.metric:Liveliness", "mean change from frame to frame")]

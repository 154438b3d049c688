"""Any diffusers video pipeline as a method of artv-eval."""

from artv_eval import Component, hookimpl


@hookimpl
def register_methods():
    """ModelScope, I2VGen-XL, and any pipeline by its id or folder."""
    return [
        Component("modelscope", "artv_diffusers.method:modelscope", "ModelScope text-to-video, 256×256"),
        Component("i2vgen-xl", "artv_diffusers.method:i2vgen_xl", "I2VGen-XL, from a first frame"),
        Component("diffusers", "artv_diffusers.method:DiffusersVideo", "any video pipeline: diffusers:ID", "source"),
    ]


@hookimpl
def register_first_frames():
    """Text-to-image pipelines."""
    return [
        Component("sd", "artv_diffusers.first_frame:stable_diffusion", "Stable Diffusion 2.1 base", "source"),
        Component("sdxl", "artv_diffusers.first_frame:stable_diffusion_xl", "Stable Diffusion XL", "source"),
    ]

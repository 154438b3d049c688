"""The built-in components, registered through the hooks that anyone's are."""

from artv_eval.components import Component
from artv_eval.hookspecs import hookimpl


@hookimpl
def register_samplers() -> list[Component]:
    return [
        Component(
            "dpmpp_2s_ancestral", "artv.samplers:sample_dpmpp_2s_ancestral", "the paper's: second order, 2n-1 calls"
        ),
        Component("dpmpp_2m", "artv.samplers:sample_dpmpp_2m", "deterministic, second order by the last call's memory"),
        Component("dpmpp_sde", "artv.samplers:sample_dpmpp_sde", "second order on the SDE"),
        Component("euler", "artv.samplers:sample_euler", "deterministic, first order"),
        Component("euler_ancestral", "artv.samplers:sample_euler_ancestral", "first order, noise put back every step"),
        Component("heun", "artv.samplers:sample_heun", "deterministic, second order by two calls a step"),
        Component("ddim", "artv.samplers:sample_ddim", "DDIM with eta from 0 to 1"),
        Component("unipc", "artv.samplers:sample_unipc", "diffusers' UniPC multistep"),
    ]


@hookimpl
def register_methods() -> list[Component]:
    return [
        Component("artv", "artv_eval.methods:ArtV", "ART-V, frame by frame", argument="checkpoint"),
        Component("real", "artv_eval.methods:Real", "the ground truth: the floor of every metric"),
        Component("copy-first", "artv_eval.methods:CopyFirst", "a still of the first frame: no motion"),
        Component("wrong-prompt", "artv_eval.methods:WrongPrompt", "real clips under other captions: wrong text"),
        Component("folder", "artv_eval.methods:Folder", "video files made elsewhere: folder:PATH", argument="path"),
    ]


@hookimpl
def register_guidance() -> list[Component]:
    return [
        Component("three_term", "artv.guidance:ThreeTerm", "equation 1: ref, anchor and text, each on its own"),
        Component("joint", "artv.guidance:Joint", "one branch without any condition"),
        Component("nested", "artv.guidance:Nested", "conditions added one inside the other"),
        Component("interval", "artv.guidance:_interval", "three terms, at some noise levels only"),
        Component("rescaled", "artv.guidance:_rescaled", "three terms, pulled back to the prediction's deviation"),
        Component("none", "artv.guidance:_none", "the plain conditional model"),
    ]


@hookimpl
def register_readers() -> list[Component]:
    return [
        Component("decord", "artv.data.readers:DecordReader", "fast seeking; the default"),
        Component("pyav", "artv.data.readers:PyAvReader", "reads everything ffmpeg reads"),
    ]


@hookimpl
def register_ablations() -> list[Component]:
    return [
        Component("mask", "artv_eval.ablations:mask", "mask on against a twin trained without it"),
        Component("anchor", "artv_eval.ablations:anchor", "anchor on against a twin trained without it"),
        Component("mask-switched", "artv_eval.ablations:mask_switched", "mask off in the model trained with it"),
        Component("sampler", "artv_eval.ablations:sampler", "all samplers, those of plugins included"),
        Component("steps", "artv_eval.ablations:steps", "number of sampling steps"),
        Component("guidance", "artv_eval.ablations:guidance", "equation 1 without each of its terms"),
        Component("baselines", "artv_eval.ablations:baselines", "ART-V beside ModelScope and I2VGen-XL"),
    ]


@hookimpl
def register_executors() -> list[Component]:
    return [
        Component("serial", "artv_eval.executors.serial:SerialExecutor", "one task after the other, here"),
        Component("ray", "artv_eval.executors.ray:RayExecutor", "Ray tasks, on one machine or many"),
    ]


@hookimpl
def register_reporters() -> list[Component]:
    return [
        Component("table", "artv_eval.report.tables:table", "for a terminal"),
        Component("json", "artv_eval.report.tables:as_json", "one document"),
        Component("csv", "artv_eval.report.tables:as_csv", "the rows"),
        Component("markdown", "artv_eval.report.tables:markdown", "for a README"),
        Component("latex", "artv_eval.report.tables:latex", "for a paper, with booktabs"),
    ]


@hookimpl
def register_anchors() -> list[Component]:
    return [
        Component("first", "artv.anchors:FirstFrame", "the first frame, for every frame"),
        Component("last-of-prompt", "artv.anchors:LastOfPrompt", "the paper's: the last frame of the prompt before"),
        Component("sliding", "artv.anchors:Sliding", "the newest frame, taken anew every few frames"),
        Component("blend", "artv.anchors:Blend", "a running mixture with the newest frame"),
        Component("none", "artv.anchors:NoAnchor", "the condition is dropped"),
    ]

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

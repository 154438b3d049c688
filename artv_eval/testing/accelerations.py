"""The contract of accelerations: frames sampled with the packaged small model, exactly and faster.

Shape suffixes: B samples, C channels, H W size.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from artv.denoiser import Denoiser
from artv.guidance import ThreeTerm
from artv.networks import Conditions
from artv_eval.testing.settings import function_of, same

SETTINGS: Mapping[str, Any] = {}
EVERYONE = slice(0, 3)


@torch.no_grad()
def check_acceleration(
    acceleration: Any,
    *,
    settings: Mapping[str, Any] = SETTINGS,
    exact: Mapping[str, Any] | None = None,
    tolerance: float = 0.5,
) -> None:
    """An ``accelerations`` target: factory of ``function(denoiser) -> denoise(x, sigma) -> x0``, called once a frame.

    Checks shape and finiteness, that a frame takes no more work and comes out within ``tolerance`` (of the exact
    result's norm), determinism, that nothing is kept between frames, batch independence, that ``x`` is left alone, and
    settings: with those of ``exact`` nothing is reused, so nothing may change. Where there is a setting ``every``, that
    is ``every=1``, and 0 must be refused.
    """
    accelerate = function_of(acceleration, "accelerations", settings)
    plain, row = [_Frame(k) for k in (0, 1)], slice(1, 2)
    whole = [frame.sampled(frame.denoiser) for frame in plain]
    torch.manual_seed(1)
    faster, made = [_Frame(k) for k in (0, 1)], []
    for frame, wanted, slow in zip(faster, whole, plain, strict=True):
        made.append(frame.sampled(accelerate(frame.denoiser)))
        rows, limit = frame.denoiser.rows, slow.denoiser.rows
        assert rows <= limit, f"a frame takes {rows:g} rows of the networks; without the acceleration {limit:g}"
        error = float((made[-1] - wanted).norm() / wanted.norm())
        assert error <= tolerance, f"the result is {error:.2f} of the norm away from the exact one; {tolerance} is far"
    torch.manual_seed(2)
    pair = [_Frame(k) for k in (0, 1)]
    turns = zip(*(frame.steps(accelerate(frame.denoiser)) for frame in pair), strict=True)
    for result, before in zip(list(turns)[-1], made, strict=True):
        same(result, before, "a frame again, now in turns with another (keep nothing between frames, draw nothing)")
    alone = _Frame(0, row)
    same(alone.sampled(accelerate(alone.denoiser)), made[0][row], "a sample alone and in a batch", 1e-3)
    _check_exact(acceleration, settings, exact, whole[0])


class _Frame:
    """One frame to sample, by its number: three samples with conditions of their own, or some rows of them."""

    def __init__(self, number: int, rows: slice = EVERYONE) -> None:
        from artv_eval.methods.artv import load_pipeline

        model = load_pipeline("shapes", "cpu").sampled_model()
        sizes, stream = model.sizes, torch.Generator().manual_seed(number)
        C, D, ones = sizes.dynamic.in_channels, sizes.dynamic.text_dim, torch.ones(3)
        refs = torch.randn((3, sizes.num_refs, C, 8, 8), generator=stream)
        text, null = torch.randn((3, 9, D), generator=stream), torch.randn((1, 9, D), generator=stream)
        given = (refs, refs[:, -1], refs[:, 0], ones, ones, text)
        conditions = Conditions(*(tensor[rows] for tensor in given))
        self.denoiser = Denoiser(model, model.encode(conditions), conditions.text_BLD, null, guidance=ThreeTerm())
        self.sigmas = model.schedule.sigmas(8)
        self.x = torch.randn((3, C, 8, 8), generator=stream)[rows] * float(self.sigmas[0])

    def steps(self, denoise: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Tensor]:
        """Euler's method, first order; gives x after each step."""
        x = self.x
        for sigma, target in pairwise(self.sigmas):
            before = x.clone()
            x0 = denoise(x, sigma)
            assert x0.shape == x.shape, f"denoise gives the shape {tuple(x0.shape)}; it must be x's {tuple(x.shape)}"
            assert bool(torch.isfinite(x0).all()), f"x0 is not finite at sigma {float(sigma):.3g}"
            same(x, before, "x before and after denoise: it must not be written to")
            x = x0 + (x - x0) * (target / sigma).to(x)
            yield x

    def sampled(self, denoise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The last x."""
        return list(self.steps(denoise))[-1]


def _check_exact(
    acceleration: Any, settings: Mapping[str, Any], exact: Mapping[str, Any] | None, wanted: Tensor
) -> None:
    from artv.errors import UserError
    from artv_eval.plugins.components import KINDS
    from artv_eval.plugins.recipe import settings_of

    known, _ = settings_of(acceleration, KINDS["accelerations"])
    if "every" in known:
        try:
            acceleration(**{**settings, "every": 0})
        except UserError:
            pass
        else:
            raise AssertionError("every=0 is accepted; raise artv.errors.UserError for what cannot be")
        exact = {"every": 1} if exact is None else exact
    if exact is not None:
        frame = _Frame(0)
        result = frame.sampled(acceleration(**{**settings, **exact})(frame.denoiser))
        same(result, wanted, f"with {dict(exact)} nothing is reused, but exact sampling", 1e-3)

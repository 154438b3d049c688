"""The forward process of Table 4 and the two ways to name a noise level: a timestep t, or sigma = sqrt(1−ᾱ)/sqrt(ᾱ).

The paper's "linear" is latent-diffusion's: linear in sqrt(beta), which diffusers calls ``scaled_linear``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from artv.requests import check_count, check_name


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """A discrete variance-preserving schedule.

    Args:
        beta_start, beta_end: first and last beta (Table 4: 0.00085, 0.0120).
        num_timesteps: length of the schedule (Table 4: 1000).
    """

    beta_start: float = 0.00085
    beta_end: float = 0.0120
    num_timesteps: int = 1000

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """ᾱ_t for t = 0 … num_timesteps − 1, float64 on the CPU."""
        roots = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.num_timesteps, dtype=torch.float64)
        return torch.cumprod(1 - roots**2, dim=0)

    @cached_property
    def all_sigmas(self) -> Tensor:
        """sigma of every timestep, ascending, float64."""
        return ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()

    def sigmas(self, n: int, spacing: str = "legacy_ddpm") -> Tensor:
        """Noise levels for ``n`` sampling steps: (n + 1,) float64, descending, the last 0.

        ``spacing``: ``legacy_ddpm`` (the reference sampler's, which the paper uses), ``karras`` (Karras et al. 2022,
        eq. 5, rho 7), ``exponential`` (uniform in log sigma) or ``uniform`` (uniform in sigma).
        """
        check_count("steps", n)
        check_name("spacing", spacing, SPACINGS)
        return torch.cat([SPACINGS[spacing](self, n), torch.zeros(1, dtype=torch.float64)])

    def sigma_to_t(self, sigma: Tensor, quantize: bool = True) -> Tensor:
        """Timestep of a noise level, any shape: the nearest one in log sigma, or (not ``quantize``) interpolated."""
        table = self.all_sigmas.log().to(sigma.device)
        log_sigma = sigma.to(torch.float64).clamp_min(1e-10).log().reshape(-1)
        if quantize:
            t = (log_sigma[:, None] - table).abs().argmin(dim=1)
        else:
            high = torch.searchsorted(table, log_sigma.contiguous()).clamp(1, len(table) - 1)
            weight = (log_sigma - table[high - 1]) / (table[high] - table[high - 1])
            t = high - 1 + weight.clamp(0, 1)
        return t.reshape(sigma.shape)

    def a_s(self, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """a = sqrt(ᾱ_t) and s = sqrt(1−ᾱ_t), each (B, 1, 1, 1) float32 on the device of ``t_B`` (integers)."""
        alphas = self._alphas_on(t_B.device)[t_B]
        return alphas.sqrt().float().view(-1, 1, 1, 1), (1 - alphas).sqrt().float().view(-1, 1, 1, 1)

    def _alphas_on(self, device: torch.device) -> Tensor:
        cache: dict[torch.device, Tensor] = self.__dict__.setdefault("_device_cache", {})
        if device not in cache:
            cache[device] = self.alphas_cumprod.to(device)
        return cache[device]


def _legacy_ddpm(schedule: NoiseSchedule, n: int) -> Tensor:
    # generative-models' LegacyDDPM: n timesteps from the last one down, 0 itself left out
    last = schedule.num_timesteps - 1
    timesteps = np.linspace(last, 0, n, endpoint=False).astype(int)
    return schedule.all_sigmas[torch.from_numpy(timesteps)]


def _between(schedule: NoiseSchedule, n: int, warp: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]):
    high, low = warp(schedule.all_sigmas[-1]), warp(schedule.all_sigmas[0])
    return back(high + torch.linspace(0, 1, n, dtype=torch.float64) * (low - high))


SPACINGS: dict[str, Callable[[NoiseSchedule, int], Tensor]] = {
    "legacy_ddpm": _legacy_ddpm,
    "karras": lambda schedule, n: _between(schedule, n, lambda s: s ** (1 / 7), lambda u: u**7),
    "exponential": lambda schedule, n: _between(schedule, n, torch.log, torch.exp),
    "uniform": lambda schedule, n: _between(schedule, n, lambda s: s, lambda u: u),
}

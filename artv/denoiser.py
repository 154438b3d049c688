"""From the networks' noise at a discrete timestep to ``denoise(x, sigma) -> x0``, which is all that samplers know.

Samplers work on x = z / a = z_0 + sigma · eps; the networks on z = x / sqrt(1 + sigma²) at a timestep t. In between,
guidance asks for branches with conditions dropped, and all of them go through the networks in one batch.

Shape suffixes: B samples, N = branches · B rows of one batched call, C latent channels, H W latent size, L text
tokens, D text width.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from artv.composition import compose, copied_noise
from artv.guidance import Branch, Guidance
from artv.mask_rules import MaskRule
from artv.networks import ArtVModel, Encoded, InferenceModel, Prediction
from artv.networks.deep_features import DeepPair
from artv.schedule import NoiseSchedule

Predict = Callable[[Tensor, int, Tensor, Encoded], Prediction]
"""``predict(z_NCHW, t, text_NLD, encoded_N)``, as :meth:`Denoiser.predict`."""


class Denoiser:
    """``denoise(x, sigma) -> x0`` for one frame: model, conditions and guidance behind a plain function.

    Noise levels are rounded to the schedule's table, and the rounded level is used for everything (the timestep, the
    input scale and x0 = x - sigma · eps), as the reference sampler's ``DiscreteDenoiser`` does: nearest in sigma.
    So a frame that the mask copies entirely comes back as exactly the reference.

    Args:
        model: in evaluation mode; or the :class:`~artv.networks.InferenceModel` that stands for it.
        encoded: ``model.encode(conditions)`` of the B samples.
        text_BLD, null_text_BLD: embeddings of the prompts and of the empty prompt (batch B or 1).
        guidance: which branches, and how they combine (:mod:`artv.guidance`).
        schedule: default the model's.
        use_mask: ``False`` switches the mask network off: the dynamic network alone.
        mask: rule that makes the mask that is used of the predicted one (:mod:`artv.mask_rules`); None: as predicted.

    Attributes:
        mask_B1HW: mask of the full branch at the latest evaluation, in [0, 1], 1 = copied; None without one.
        evaluations: calls so far.
        rows: rows that the networks have seen so far (samples × branches, summed over the calls); of a row of which
            the dynamic network saw only a part, that share.
    """

    def __init__(
        self,
        model: ArtVModel | InferenceModel,
        encoded: Encoded,
        text_BLD: Tensor,
        null_text_BLD: Tensor,
        *,
        guidance: Guidance,
        schedule: NoiseSchedule | None = None,
        use_mask: bool = True,
        mask: MaskRule | None = None,
    ) -> None:
        self.model = model
        self.encoded = encoded
        self.text_BLD = text_BLD
        self.null_text_BLD = null_text_BLD.expand_as(text_BLD)
        self.guidance = guidance
        self.schedule = schedule or model.schedule
        self.use_mask = use_mask
        self.mask = mask
        self.mask_B1HW: Tensor | None = None
        self.evaluations = 0
        self.rows = 0.0
        self._batches: dict[tuple[Branch, ...], tuple[Encoded, Tensor]] = {}

    @torch.no_grad()
    def __call__(self, x_BCHW: Tensor, sigma: Tensor, predict: Predict | None = None) -> Tensor:
        """x0 with guidance, like ``x_BCHW``, at the noise level ``sigma`` (a scalar tensor, > 0)."""
        _, level = self.quantise(sigma)
        noises = self.noises(x_BCHW, sigma, self.guidance.branches(level), predict)
        return x_BCHW - level * self.guidance.combine(noises, level)

    @torch.no_grad()
    def noises(
        self, x_BCHW: Tensor, sigma: Tensor, branches: Sequence[Branch], predict: Predict | None = None
    ) -> list[Tensor]:
        """The noise that each branch predicts, like ``x_BCHW``, in one batch; the first branch drops nothing.

        ``predict`` takes the place of :meth:`predict`: this is where an acceleration comes between guidance and model.
        """
        t, level = self.quantise(sigma)
        B = x_BCHW.shape[0]
        # rows without an anchor come last, so that a network can leave them out of its anchor blocks
        order = sorted(range(len(branches)), key=lambda i: "anchor" in branches[i])
        encoded_N, text_NLD = self._batch(tuple(branches[i] for i in order), B)
        z_NCHW = (x_BCHW / (1 + level**2) ** 0.5).repeat(len(branches), 1, 1, 1)
        prediction = (predict or self.predict)(z_NCHW, t, text_NLD, encoded_N)
        if self.mask is not None and prediction.mask_B1HW is not None:
            prediction = self._ruled(prediction, z_NCHW, t, encoded_N)

        self.evaluations += 1
        self.rows += len(z_NCHW) if prediction.rows is None else prediction.rows
        if prediction.mask_B1HW is not None:
            self.mask_B1HW = prediction.mask_B1HW[:B]
        by_branch = dict(zip(order, prediction.eps_BCHW.split(B), strict=True))
        return [by_branch[i] for i in range(len(branches))]

    def predict(
        self, z_NCHW: Tensor, t: int, text_NLD: Tensor, encoded_N: Encoded, deep: DeepPair | None = None
    ) -> Prediction:
        """The model's prediction for the rows of all branches, branch by branch, each the same B latents.

        ``deep``: where the networks keep deep features or take them from (:func:`artv.networks.deep_features`);
        one for each set of branches.
        """
        more: dict[str, Any] = {} if deep is None else {"deep": deep}  # a stand-in for the model need not know it
        if isinstance(self.model, InferenceModel):
            more["copies"] = len(z_NCHW) // len(self.text_BLD)
        return self.model.predict_at(z_NCHW, t, text_NLD, encoded_N, use_mask=self.use_mask, **more)

    def used_mask(self, mask_N1HW: Tensor, t: int, encoded_N: Encoded) -> Tensor:
        """The mask that composes the noise, in [0, 1], of the predicted one: as the mask rule makes it."""
        if self.mask is None:
            return mask_N1HW
        ruled_N1HW = self.mask(mask_N1HW, float(self.schedule.all_sigmas[t]))
        return ruled_N1HW * encoded_N.keep_ref_B.view(-1, 1, 1, 1)

    def copied(self, z_NCHW: Tensor, t: int, encoded_N: Encoded) -> Tensor:
        """The noise that copies the newest frame, float32, like ``z_NCHW``."""
        a, s = self.schedule.a_s(torch.tensor([t], device=z_NCHW.device))
        return copied_noise(z_NCHW.float(), encoded_N.copy_BCHW.float(), a, s)

    def quantise(self, sigma: Tensor) -> tuple[int, float]:
        """Timestep whose noise level is nearest to ``sigma``, and that level."""
        table = self.schedule.all_sigmas
        t = int((table - sigma.detach().to(table)).abs().argmin())
        return t, float(table[t])

    def _ruled(self, p: Prediction, z_NCHW: Tensor, t: int, encoded_N: Encoded) -> Prediction:
        """The prediction composed anew, with the mask that the rule makes."""
        assert p.mask_B1HW is not None
        assert p.dynamic_BCHW is not None, "a prediction with a mask lacks the dynamic noise, which a rule needs"
        mask_N1HW = self.used_mask(p.mask_B1HW, t, encoded_N)
        eps_NCHW = compose(mask_N1HW, self.copied(z_NCHW, t, encoded_N), p.dynamic_BCHW.float())
        return p._replace(eps_BCHW=eps_NCHW.to(z_NCHW.dtype), mask_B1HW=mask_N1HW)

    def _batch(self, branches: tuple[Branch, ...], B: int) -> tuple[Encoded, Tensor]:
        """Conditions of all branches, branch by branch; the same for every evaluation of a frame, so made once."""
        if branches not in self._batches:
            device = self.text_BLD.device

            def keep_N(name: str) -> Tensor:
                kept = torch.tensor([float(name not in dropped) for dropped in branches], device=device)
                return kept.repeat_interleave(B)

            index_N = torch.arange(B, device=device).repeat(len(branches))
            encoded_N = self.encoded.select(index_N, keep_N("ref"), keep_N("anchor"))
            text_NLD = torch.cat([self.null_text_BLD if "text" in b else self.text_BLD for b in branches])
            self._batches[branches] = encoded_N, text_NLD
        return self._batches[branches]

"""The training objective: mean squared error of the composed noise prediction (Table 4), mask and all, end to end.

Shape suffixes: B batch, T frames, C latent channels, h w latent size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from artv.conditioning import ConditionDropout, Levels, add_noise, reference_frames
from artv.data.latents import Batch
from artv.networks import ArtVModel, Conditions
from artv.training.strata import Strata, shuffled


def draw_conditions(
    batch: Batch,
    i_B: Tensor,
    null_text_LD: Tensor,
    dropout: ConditionDropout,
    levels: Levels,
    num_refs: int,
    copy_noised: bool = False,
    start_share: float = 0.0,
    has: Sequence[Tensor] | None = None,
) -> Conditions:
    """Conditions for predicting frame ``i_B`` of each clip; frame 0 has neither references nor anchor.

    ``has``: which samples have references and which an anchor, (B,) each, where that is drawn already.
    """
    latents = batch.latents_BTChw
    B, device = len(i_B), latents.device
    refs = reference_frames(latents, i_B, num_refs)
    starts = (torch.rand(B, device=device) < start_share).view(B, 1, 1, 1, 1)
    refs = torch.where(starts, refs[:, -1:], refs)

    def kept(chance: float) -> Tensor:
        return (torch.rand(B, device=device) >= chance).float()

    has_past = (i_B > 0).float()
    text_kept = kept(dropout.text).view(B, 1, 1)
    noised = add_noise(refs, levels(torch.rand(B, device=device)), torch.randn_like(refs))
    has_refs, has_anchor = (kept(dropout.ref), kept(dropout.anchor)) if has is None else has
    return Conditions(
        refs_BKCHW=noised,
        copy_BCHW=(noised if copy_noised else refs)[:, -1],
        anchor_BCHW=latents[:, 0],
        keep_ref_B=has_refs * has_past,
        keep_anchor_B=has_anchor * has_past,
        text_BLD=text_kept * batch.text_BLD + (1 - text_kept) * null_text_LD,
    )


def noise_prediction_loss(
    model: ArtVModel,
    batch: Batch,
    *,
    null_text_LD: Tensor,
    dropout: ConditionDropout,
    levels: Levels,
    first_frame_share: float,
    copy_noised: bool = False,
    start_share: float = 0.0,
    weight_cap: float = 1.0,
    stratified: bool = False,
    predict: nn.Module | None = None,
) -> Tensor:
    """Scalar loss of one batch: each clip gives one target frame, timestep and noise.

    ``first_frame_share``: share of the targets that are a first frame, made from text alone. ``copy_noised``: copy from
    the noised reference instead of the clean one (an ablation). ``start_share``: share of the samples whose references
    all repeat the newest frame, as when a clip starts: what moves is then known from the text alone. ``weight_cap``:
    the squared error counts min(1 + sigma², cap) times; 1 is the paper's plain error. ``stratified``: first frames,
    dropped references and anchors are even shares of the batch (:mod:`artv.training.strata`). ``predict``: called in
    the model's place.
    """
    batch = shuffled(batch) if stratified else batch
    latents = batch.latents_BTChw
    B, T = latents.shape[:2]
    device = latents.device
    later = torch.randint(1, max(T, 2), (B,), device=device).clamp_max(T - 1)
    strata = Strata(B, first_frame_share, dropout) if stratified else None
    if strata is None:
        first, has = torch.rand(B, device=device) < first_frame_share, None
    else:
        first, *has = strata.draw(device)
    i = torch.where(first, torch.zeros_like(later), later)
    target = latents[torch.arange(B, device=device), i]
    t = torch.randint(model.schedule.num_timesteps, (B,), device=device)
    noise = torch.randn_like(target)
    a, s = model.schedule.a_s(t)
    conditions = draw_conditions(
        batch, i, null_text_LD, dropout, levels, model.sizes.num_refs, copy_noised, start_share, has
    )
    present = () if strata is None else (strata.present,)
    prediction = (predict or model)(a * target + s * noise, t, conditions, *present)
    weight = (1 / (a * a)).clamp_max(weight_cap)  # 1 + sigma² = 1 / a²
    return (weight * (prediction.eps_BCHW.float() - noise).square()).mean()

"""The training objective: v-prediction on the cosine schedule, weighted by level and by place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from torch import Tensor

STEPS = 1000
GAMMA = 5.0  # min-SNR's clip: Hang et al. 2023, section 3.4
LEAST = 1e-5  # mean square error that counts as none, in [-1, 1]
OUTSIDE = 0.1  # weight of known pixels, which the sampler overwrites anyway


def training_scheduler() -> DDPMScheduler:
    """Return the cosine schedule (Nichol & Dhariwal 2021, eq. 17) that the UNet is trained on."""
    return DDPMScheduler(
        num_train_timesteps=STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
    )


def random_timesteps(batch: int, noisiest: float = 1.0) -> Tensor:
    """One random t per sample, (B,) int64: uniform, but spread over the batch for less variance.

    `noisiest` is the part of the schedule to draw from, (0, 1].

    Kingma et al. 2021, appendix I.1: t_i = (u + i/B) mod 1 with one u for the batch.
    """
    u = (torch.rand(()) + torch.arange(batch) / batch) % 1
    return (u * noisiest * STEPS).long().clamp(max=STEPS - 1)


def noised(x0: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """Return x_t = √ᾱ·x0 + √(1−ᾱ)·ε (Ho et al. 2020, eq. 4), ᾱ the *product* of the 1−β."""
    return abar.sqrt() * x0 + (1 - abar).sqrt() * eps


def v_target(x0: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """Return v = √ᾱ·ε − √(1−ᾱ)·x0 (Salimans & Ho 2022, appendix D)."""
    return abar.sqrt() * eps - (1 - abar).sqrt() * x0


def level_weight(abar: Tensor) -> Tensor:
    """Return (min(SNR, γ) + 1)/(SNR + 1), the weight of an error in v.

    In x0 that is min(SNR, γ) + 1: min-SNR (Hang et al. 2023, eq. 8) with a floor. Without the
    floor the noisiest levels, where the colours of a large hole are decided, hardly count.
    """
    snr = abar / (1 - abar)
    return (snr.clamp(max=GAMMA) + 1) / (snr + 1)


def inpaint_loss(
    predict: Callable[[Tensor, Tensor], Tensor],
    x0: Tensor,
    mask: Tensor,
    eps: Tensor,
    t: Tensor,
    alphas_cumprod: Tensor,
) -> Tensor:
    """Return the batch's mean of w(ᾱ) · Σ m·(v̂ − v)² / (3·Σ m), m = 1 in the hole, 0.1 outside.

    Parameters
    ----------
    predict
        (input (B, 7, H, W), t) -> v̂ (B, 3, H, W).
    x0, eps
        (B, 3, H, W): pictures in [-1, 1] and standard normal noise.
    mask
        (B, 1, H, W), 1 = repaint.
    t
        (B,) int64 timesteps, indices into alphas_cumprod.
    """
    abar = alphas_cumprod[t].reshape(-1, 1, 1, 1)
    x = noised(x0, eps, abar)
    v_hat = predict(torch.cat([x, x0 * (1 - mask), mask], dim=1), t)
    m = OUTSIDE + (1 - OUTSIDE) * mask
    error = (m * (v_hat.float() - v_target(x0, eps, abar)) ** 2).sum(dim=(1, 2, 3))
    per_value = error / (x0.shape[1] * m.sum(dim=(1, 2, 3)))
    return (level_weight(abar).flatten() * per_value).mean()


def narrow_loss(predict: Callable[[Tensor, Tensor], Tensor], x0: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over crops of ln(mean square error in the hole), of x0 told by no noise.

    At the last level x tells nothing, and v̂ = −x̂0. The network sees zeros in its place, and each
    crop counts by the decibels that it gains, so that busy ones do not outvote the rest.

    Parameters
    ----------
    predict, x0, mask
        As in `inpaint_loss`.
    """
    t = torch.full((len(x0),), STEPS - 1, device=x0.device)
    v_hat = predict(torch.cat([torch.zeros_like(x0), x0 * (1 - mask), mask], dim=1), t)
    error = (mask * (v_hat.float() + x0) ** 2).sum(dim=(1, 2, 3))
    return (error / (x0.shape[1] * mask.sum(dim=(1, 2, 3))) + LEAST).log().mean()

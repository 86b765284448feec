"""Denoisers: functions from a noisy picture and its level to an estimate of the clean picture.

Samplers see nothing else, so a network's parametrisation, its conditioning, previews, progress
and Stop are all compositions made here.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.operators import Operator

REACH = 100
"""Timesteps, of 1000, within which features of the deep layers are used again."""
Denoiser = Callable[[Tensor, float], Tensor]
"""(x: (B, C, H, W) at a level, level: ᾱ in [0, 1)) -> the estimate of x0, same shape."""

Noise = Callable[[Tensor], Tensor]
"""x -> standard normal values of x's shape, dtype and device."""


def seeded_noise(seeds: Sequence[int]) -> Noise:
    """Noise from one CPU generator per image, so image i ignores batch size and device.

    The batch given to the noise must have len(seeds) images.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def noise(x: Tensor) -> Tensor:
        if len(x) != len(generators):
            raise ValueError(f"noise has {len(generators)} seeds but the batch has {len(x)} images")
        # Always float32, or the stream of random numbers would depend on the dtype.
        return torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators]).to(x)

    return noise


def project(denoise: Denoiser, operator: Operator) -> Denoiser:
    """Hold every estimate to what is known (DDNM, Wang et al. 2023)."""
    return lambda x, level: operator.project(denoise(x, level))


def watched(denoise: Denoiser, on_evaluation: Callable[[Tensor, float], None]) -> Denoiser:
    """Report every estimate and its level; an exception raised by the report stops the sampler."""

    def denoise_and_report(x: Tensor, level: float) -> Tensor:
        x0 = denoise(x, level)
        on_evaluation(x0, level)
        return x0

    return denoise_and_report


def timesteps_of(alphas_cumprod: Tensor) -> Callable[[float], float]:
    """Return ᾱ -> its fractional training timestep, clamped to the trained range.

    Interpolates the angle arctan(√(1−ᾱ)/√ᾱ): unlike log-SNR it is finite at both ends, and on the
    cosine schedule it is linear in the timestep.
    """
    ratios = (1 - alphas_cumprod).sqrt(), alphas_cumprod.sqrt()
    angles: list[float] = torch.atan2(*ratios).tolist()

    def timestep_of(level: float) -> float:
        angle = math.atan2(math.sqrt(1 - level), math.sqrt(level))
        i = bisect(angles, angle)
        if i in (0, len(angles)):
            return float(max(i - 1, 0))
        return i - 1 + (angle - angles[i - 1]) / (angles[i] - angles[i - 1])

    return timestep_of


def unet_denoiser(
    unet: Any, scheduler: Any, known: Tensor, mask: Tensor, *, guidance: float = 1.0
) -> Denoiser:
    """Turn a diffusers UNet into a denoiser.

    Parameters
    ----------
    unet : ModelMixin
        `unet(x, timestep).sample`. With 3 input channels it sees the noisy picture alone, with 7
        also the known pixels and the mask. Of 6 output channels the last 3, a learned variance,
        are dropped.
    scheduler : SchedulerMixin
        Read for `alphas_cumprod` and `config.prediction_type` (epsilon, v_prediction or sample).
    known : Tensor
        (1 or B, 3, H, W) in [-1, 1].
    mask : Tensor
        (1 or B, 1, H, W), 1 = repaint.
    guidance : float
        w in D_u + w·(D_c − D_u), D_u being the network told that nothing is known. 1 costs one
        network call per evaluation, anything else two. 7-channel networks only.

    Returns
    -------
    Denoiser
        Its estimates are float32, on x's device and in [-1, 1].

    Raises
    ------
    ValueError
        If the network or the scheduler is of a kind it cannot adapt.
    """
    if getattr(scheduler, "alphas_cumprod", None) is None:
        raise ValueError(f"{type(scheduler).__name__} has no alphas_cumprod, so no noise levels")
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction", "sample"):
        raise ValueError(f"prediction type {kind!r} is not epsilon, v_prediction or sample")
    if unet.config.in_channels not in (3, 7):
        raise ValueError(f"the network takes {unet.config.in_channels} channels, not 3 or 7")
    conditional = unet.config.in_channels == 7
    if guidance != 1 and not conditional:
        raise ValueError("guidance needs a network that sees the known pixels (7 channels)")

    height, width = known.shape[-2:]
    config = unet.config
    halvings = len(config["channels"] if "channels" in config else config["block_out_channels"][1:])
    pad = padder(height, width, max(16, 2**halvings))
    alphas_cumprod = scheduler.alphas_cumprod.detach().double().cpu()
    least = float(alphas_cumprod[alphas_cumprod > 0].min())
    timestep_of = timesteps_of(alphas_cumprod)
    whole_timesteps = unet.config.get("time_embedding_type") == "learned"
    seen = known * (1 - mask)
    conditioning = torch.cat([seen, mask.expand(len(seen), -1, -1, -1)], dim=1)
    device, dtype = unet.device, unet.dtype  # diffusers walks through all weights to tell
    conditioning = pad(conditioning).to(device, dtype)
    nothing_known = torch.zeros_like(conditioning)
    nothing_known[:, -1] = 1

    ask, ask_blind = (_Deep(unet) if hasattr(unet, "rerun") else unet for _ in range(2))

    def predict(ask: Any, x: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        if conditional:
            x = torch.cat([x, conditioning.expand(len(x), -1, -1, -1)], dim=1)
        out: Tensor = ask(x, t).sample
        return out[:, :3]

    def denoise(x: Tensor, level: float) -> Tensor:
        # The network knows nothing noisier than its last timestep, and a = √ᾱ must stay above 0.
        level = max(level, least)
        t = timestep_of(level)
        with torch.inference_mode():
            padded = pad(x).to(device, dtype)
            timestep = torch.tensor(round(t) if whole_timesteps else t, device=device)
            out = predict(ask, padded, timestep, conditioning)
            if guidance != 1:
                blind = predict(ask_blind, padded, timestep, nothing_known)
                out = blind + guidance * (out - blind)
        out = out[..., :height, :width].to(x.device, torch.float32)
        # Pictures lie in [-1, 1], and inverting an ε of a noisy level multiplies its error by s/a.
        return clean(kind, x.float(), out, level).clamp(-1, 1)

    return denoise


@dataclass(slots=True)
class _Deep:
    """A network of ours that is asked step after step about one picture, and once for each batch.

    Its deep layers see the coarse structure, which changes little from step to step: what they say
    is used again for timesteps within `REACH` (DeepCache, Ma et al. 2024).
    """

    unet: Any
    features: Tensor | None = None
    timestep: float = math.inf

    def __call__(self, x: Tensor, t: Tensor) -> Any:
        now = float(t)
        if abs(now - self.timestep) <= REACH:
            return self.unet(x, t, deep=self.features)
        out = self.unet(x, t)
        # A copy: a compiled network on a GPU writes its next answer to the same place.
        self.features, self.timestep = out.deep.clone(), now
        return out


def clean(kind: str, x: Tensor, out: Tensor, level: float) -> Tensor:
    """Solve for x0, given x = a·x0 + s·ε and out = ε, out = v = a·ε − s·x0, or out = x0."""
    a, s = math.sqrt(level), math.sqrt(1 - level)
    if kind == "epsilon":
        return (x - s * out) / a
    if kind == "v_prediction":
        return a * x - s * out
    return out


def padder(height: int, width: int, multiple: int) -> Callable[[Tensor], Tensor]:
    """Extend pictures to the right and below to multiples, sides that a network can halve."""
    right, below = -width % multiple, -height % multiple
    mode = "reflect" if right < width and below < height else "replicate"
    return lambda x: F.pad(x, (0, right, 0, below), mode=mode)

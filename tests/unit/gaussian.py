"""Data whose exact denoiser, posterior and probability flow are known: Gaussian signals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import ConfigMixin, DDPMScheduler, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor

D = 64


@dataclass(frozen=True)
class Gaussian:
    """N(mean, cov), both in float64, over signals of D values carried as (B, 1, 1, D) pictures."""

    mean: Tensor  # (D,)
    cov: Tensor  # (D, D), positive semidefinite

    def denoise(self, x: Tensor, level: float) -> Tensor:
        """The posterior mean E[x0 | x], Bayes' rule for Gaussians."""
        a, (values, axes) = math.sqrt(level), self._spectrum
        gain = (axes * (a * values / (level * values + 1 - level))) @ axes.T
        mean = self.mean.to(x)
        return mean + (x - a * mean) @ gain.to(x)

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        values, axes = torch.linalg.eigh(self.cov)
        return values, axes

    def flow(self, x: Tensor, level: float, after: float) -> Tensor:
        """Where the probability flow takes x from `level` to `after`: principal axes scale."""
        values, axes = self._spectrum
        scale = torch.sqrt((after * values + 1 - after) / (level * values + 1 - level))
        centred = (x - math.sqrt(level) * self.mean) @ (axes * scale) @ axes.T
        return math.sqrt(after) * self.mean + centred

    def given(self, pixels: Tensor, mask: Tensor) -> Gaussian:
        """The posterior given the values of `pixels` (D,) where `mask` (D,) is 0."""
        hole, known = mask == 1, mask == 0
        gain = torch.linalg.solve(self.cov[known][:, known], self.cov[known][:, hole]).T
        mean, cov = pixels.clone(), torch.zeros_like(self.cov)
        mean[hole] = self.mean[hole] + gain @ (pixels - self.mean)[known]
        inner = self.cov[hole][:, hole] - gain @ self.cov[known][:, hole]
        cov[hole.nonzero(), hole.nonzero().T] = (inner + inner.T) / 2
        return Gaussian(mean, cov)

    def distance(self, samples: Tensor, mask: Tensor) -> float:
        """Wasserstein-2 distance in the hole from the samples' Gaussian to this one.

        Relative to the root of this one's total variance: 1 is as far as its mean alone would be.
        samples: (B, 1, 1, D).
        """
        hole = mask == 1
        seen = samples.reshape(-1, D)[:, hole].to(self.mean)
        mean, cov = self.mean[hole], self.cov[hole][:, hole]
        root = _root(cov)
        cross = _root(root @ torch.cov(seen.T) @ root)
        squared = (seen.mean(0) - mean).square().sum() + torch.trace(
            cov + torch.cov(seen.T) - 2 * cross
        )
        return math.sqrt(max(float(squared / torch.trace(cov)), 0))

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """(count, 1, 1, D) independent draws."""
        z = torch.randn(count, 1, 1, D, generator=rng, dtype=self.mean.dtype)
        return self.mean + z @ _root(self.cov)


def smooth_signals() -> Gaussian:
    """Stationary signals of mean .2 and deviation .5, correlated over about 8 values."""
    apart = (torch.arange(D)[:, None] - torch.arange(D)[None]).abs().double()
    return Gaussian(torch.full((D,), 0.2).double(), 0.25 * torch.exp(-apart / 8))


class GaussianNetwork(ModelMixin, ConfigMixin):
    """The exact network for independent values N(0, .25), in any parametrisation.

    kind: epsilon, v_prediction, sample, or difference (x0 - x, which nothing should regress).
    """

    @register_to_config
    def __init__(self, kind: str, beta_schedule: str, in_channels: int = 3) -> None:
        super().__init__()
        self.register_to_config(block_out_channels=(8, 16))
        levels = DDPMScheduler(beta_schedule=beta_schedule).alphas_cumprod.double()
        self.angles = levels.sqrt().acos()
        self.weight = torch.nn.Parameter(torch.zeros(1))  # so that it has a dtype and a device

    @staticmethod
    def clean(x: Tensor, level: float) -> Tensor:
        return 0.25 * math.sqrt(level) / (0.25 * level + 1 - level) * x

    def forward(self, sample: Tensor, timestep: Tensor) -> UNet2DOutput:
        low = min(int(timestep), 998)
        angle = torch.lerp(*self.angles[low : low + 2], float(timestep) - low).item()
        a, s = math.cos(angle), math.sin(angle)
        x0 = self.clean(sample, a**2)
        eps = (sample - a * x0) / s
        out = {
            "epsilon": eps,
            "v_prediction": a * eps - s * x0,
            "sample": x0,
            "difference": x0 - sample,
        }
        return UNet2DOutput(sample=out[self.config.kind])


def _root(matrix: Tensor) -> Tensor:
    values, axes = torch.linalg.eigh(matrix)
    return axes * values.clamp(min=0).sqrt() @ axes.T


def x0_from_v(x: Tensor, v: Tensor, abar: Tensor) -> Tensor:
    """Invert v = √ᾱ·ε − √(1−ᾱ)·x0 of x = √ᾱ·x0 + √(1−ᾱ)·ε: x0 = √ᾱ·x − √(1−ᾱ)·v."""
    return abar.sqrt() * x - (1 - abar).sqrt() * v

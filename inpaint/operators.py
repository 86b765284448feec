"""What is known of the picture, y = A·x, as constraints on an estimate of it.

Each projects x0 to A⁺y + (I − A⁺A)·x0, the nearest picture that agrees with y (DDNM, Wang et al.
2023). Every sampler takes KnownPixels; those that only project (ddim, dpmpp, ddnm) take the others
too and so enlarge and colourise with the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

# Rec. 601, as Pillow turns RGB to grey.
LUMA = (0.299, 0.587, 0.114)


class Operator(Protocol):
    """Anything that can hold an estimate of the picture to what is known of it."""

    def project(self, x0: Tensor) -> Tensor:
        """Return the picture nearest to x0, (B, C, H, W), that agrees with what is known."""


@dataclass(frozen=True)
class KnownPixels:
    """Pixels that must come through untouched.

    Attributes
    ----------
    pixels : Tensor
        The picture, (1 or B, C, H, W) in [-1, 1]; its values inside the hole are never read.
    mask : Tensor
        (1 or B, 1, H, W) in [0, 1], 1 = repaint. Values between blend the two.
    """

    pixels: Tensor
    mask: Tensor

    def project(self, x0: Tensor) -> Tensor:
        """Put the known pixels into x0, bit for bit where the mask is 0."""
        # `where` and not a product: a NaN in the hole stays in the hole.
        return torch.where(self.mask == 0, self.pixels, torch.lerp(self.pixels, x0, self.mask))

    def redraw(self, x: Tensor, level: float, noise: Callable[[Tensor], Tensor]) -> Tensor:
        """Draw the known part of x afresh at `level`: Lugmayr et al. 2022, eq. 8a and 8c."""
        fresh = math.sqrt(level) * self.pixels + math.sqrt(1 - level) * noise(x)
        return torch.lerp(fresh, x, self.mask)


@dataclass(frozen=True)
class Shrunk:
    """A is the mean over factor x factor pixels.

    Attributes
    ----------
    pixels : Tensor
        The small picture, (1 or B, C, H / factor, W / factor) in [-1, 1].
    factor : int
        How many times larger the estimates are.
    """

    pixels: Tensor
    factor: int

    def project(self, x0: Tensor) -> Tensor:
        """Shift each block of x0 to the mean that is known; A⁺ repeats a pixel."""
        error = self.pixels - F.avg_pool2d(x0, self.factor)
        return x0 + F.interpolate(error, scale_factor=self.factor, mode="nearest")


@dataclass(frozen=True)
class Grey:
    """A is the luma of RGB.

    Attributes
    ----------
    pixels : Tensor
        The grey picture, (1 or B, 1, H, W) in [-1, 1].
    """

    pixels: Tensor

    def project(self, x0: Tensor) -> Tensor:
        """Shift the colour of each pixel along the luma axis to the luma that is known."""
        luma = torch.tensor(LUMA).to(x0).reshape(1, 3, 1, 1)
        error = self.pixels - (luma * x0).sum(dim=1, keepdim=True)
        return x0 + luma / luma.square().sum() * error

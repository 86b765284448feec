"""What is known of the picture, y = A·x, as constraints on an estimate of it.

Each projects x0 to A⁺y + (I − A⁺A)·x0, the nearest picture that agrees with y (DDNM, Wang et al.
2023). Every sampler takes KnownPixels; those that only project (ddim, dpmpp, ddnm) take the others
too and so enlarge, colourise, denoise and deblur with the same network.
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


@dataclass(frozen=True)
class Noisy:
    """A is the identity, and y carries normal noise: nothing is known for certain.

    DDNM's plus form (Wang et al. 2023, eq. 17 to 19) is for A = I the same as DDIM with eta 0 that
    starts from √ᾱ·y at the level whose noise is that of y: noisier levels leave nothing but y, and
    below it y weighs as much in the estimate as ε̂ = (y − D)/σ does in DDIM's step. All that y
    tells has then gone into the start.
    """

    def project(self, x0: Tensor) -> Tensor:
        """Return x0."""
        return x0


@dataclass(frozen=True)
class Blurred:
    """A is a Gaussian blur with mirrored edges, and y carries noise.

    Attributes
    ----------
    pixels : Tensor
        The blurred picture, (1 or B, C, H, W) in [-1, 1].
    radius : float
        Standard deviation of the Gaussian, in pixels.
    ratio : float
        Variance of the noise in `pixels` over that of the error of an estimate, above 0.
    """

    pixels: Tensor
    radius: float
    ratio: float

    def project(self, x0: Tensor) -> Tensor:
        """Minimise |A·x − y|² + ratio·|x − x0|²: Zhu et al. 2023 (DiffPIR), eq. 13.

        With K the response of the blur, frequency by frequency:
        x = x0 + K/(K² + ratio)·(y − K·x0), which for x0 = y is Wiener's filter.
        """
        height, width = x0.shape[-2:]
        response = self._response(2 * height, 2 * width).to(x0)
        spectrum = torch.fft.rfft2(_mirrored(x0))
        missing = torch.fft.rfft2(_mirrored(self.pixels)) - response * spectrum
        step = torch.fft.irfft2(
            response / (response**2 + self.ratio) * missing, s=(2 * height, 2 * width)
        )
        nearest: Tensor = x0 + step[..., :height, :width]
        return nearest

    def blur(self, x: Tensor) -> Tensor:
        """Return A·x."""
        height, width = x.shape[-2:]
        size = (2 * height, 2 * width)
        blurred: Tensor = torch.fft.irfft2(
            torch.fft.rfft2(_mirrored(x)) * self._response(*size), s=size
        )
        return blurred[..., :height, :width].clone()

    def _response(self, height: int, width: int) -> Tensor:
        """Transform the Gaussian: exp(−2π²·radius²·f²), f in cycles per pixel."""
        down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
        squares = down[:, None] ** 2 + across[None] ** 2
        return torch.exp(-2 * (math.pi * self.radius) ** 2 * squares)


def _mirrored(x: Tensor) -> Tensor:
    """Mirror a picture to twice its sides, so that a cyclic blur sees its own edges continued."""
    x = torch.cat([x, x.flip(-1)], dim=-1)
    return torch.cat([x, x.flip(-2)], dim=-2)

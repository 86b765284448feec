"""`blend`: two denoisers as one, each trusted as far as it was found to be right.

Both estimate the same x0. Taken as independent with Gaussian errors of variance e², their product
has the mean (D₁/e₁² + D₂/e₂²) / (1/e₁² + 1/e₂²). The variances depend on the noise.

Only `evaluate` offers it: with the network shipped so far it beats neither of the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from inpaint.denoiser import Denoiser
from inpaint.selfpatch import PatchLevel, SelfModel

NOISE = (0.1, 0.3, 1.0, 3.0, 10.0)
PATCHES = (0.0206, 0.0209, 0.0253, 0.0506, 0.1097)
NETWORK = (0.0029, 0.0082, 0.0192, 0.0403, 0.0704)
"""Mean square errors, in [-1, 1], of `self` and `photo` at noise s/a, measured in holes of
photographs that were noised; `python -m inpaint.tools.blend_fit FOLDER` prints them."""


@dataclass(frozen=True, slots=True)
class BlendModel:
    """The product of `self` and a network over pixels; see `inpaint.filling.Model`."""

    patches: SelfModel
    network: Any
    refine: float = 0.35
    batch: int | None = 1

    @property
    def tile(self) -> int:
        """As large as the patches allow: the network is convolutional."""
        return self.patches.tile

    def context(self, side: int) -> int:
        """Look around as far as the patches are looked for."""
        return self.patches.context(side)

    def halvings(self, mask: Tensor) -> int:
        """Halve until a patch spans the holes."""
        return self.patches.halvings(mask)

    def level(
        self, known: Tensor, mask: Tensor, guess: Tensor, coarser: BlendLevel | None
    ) -> BlendLevel:
        """Prepare both."""
        own = self.patches.level(known, mask, guess, coarser.patches if coarser else None)
        return BlendLevel(own, self.network)

    def work(self, mask: Tensor) -> float:
        """Multiply-adds of both."""
        return float(self.patches.work(mask) + self.network.work(mask))


@dataclass(frozen=True, slots=True)
class BlendLevel:
    """A level of a `BlendModel`."""

    patches: PatchLevel
    network: Any

    @property
    def guess(self) -> Tensor:
        """What the coarser level's matches show."""
        return self.patches.guess

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Return the product of the two denoisers of a tile."""
        own = self.patches.denoiser(known, mask)
        trained: Denoiser = self.network.pipeline.denoiser(known, mask)

        def denoise(x: Tensor, level: float) -> Tensor:
            share = network_share(level)
            return share * trained(x, level) + (1 - share) * own(x, level)

        return denoise


def network_share(level: float) -> float:
    """Return how much the network's estimate counts at a level ᾱ, in [0, 1]."""
    noise = math.log(math.sqrt((1 - level) / max(level, 1e-12)) + 1e-12)
    at = np.log(NOISE)
    own, trained = (float(np.interp(noise, at, errors)) for errors in (PATCHES, NETWORK))
    return own / (own + trained)

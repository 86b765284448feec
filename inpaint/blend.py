"""`blend`: the picture's own patches, and a trained network where a hole is narrow.

What surrounds a narrow hole tells nearly all of it, so the mean of what may be there, E[x0|known],
is close to the truth, and a network gives it in one evaluation at the noisiest level. But a mean is
smoother than the picture: so it decides what the 3 × 3 pixels around each add up to, and the
patches the detail (as bands of two pictures are joined: Burt & Adelson 1983). The mean of a wide
hole is a blur: there the patches decide alone, on the coarse levels too, where all holes are narrow
(the network was tried there: it made wide strokes smoother than the picture).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.denoiser import Denoiser, padder
from inpaint.filling import Filler, Pyramid
from inpaint.layers import Layers
from inpaint.regions import tiles
from inpaint.selfpatch import PatchLevel, SelfModel

NARROW, WIDE = 3, 6
"""Radii in pixels of holes up to which the network counts, and from which it no longer does."""
DETAIL, AROUND = 3, 13
"""Sides in pixels of the squares within which the patches decide, and in which they are judged."""
DOUBT = 4.0
"""Mean square error of the patches in a hole over what it is where they meet known pixels."""
NOISIEST = 999
"""The last timestep, where x0 = −v."""
MIRRORED = ((), (-1,), (-2,), (-2, -1))
"""Dimensions in which a tile is flipped, one after the other."""
SIDE, CONTEXT = 256, 32
"""Pixels of the tiles that the network sees, and around them."""


@dataclass(frozen=True, slots=True)
class BlendModel:
    """`self` and a network for narrow holes as one; see `inpaint.filling.Model`."""

    patches: SelfModel
    network: Layers
    refine: float = 0.35
    batch: int | None = 1

    @property
    def tile(self) -> int:
        """As large as the patches allow."""
        return self.patches.tile

    def context(self, side: int) -> int:
        """Look around as far as the patches are looked for."""
        return self.patches.context(side)

    def halvings(self, mask: Tensor) -> int:
        """Halve until a patch spans the holes."""
        return self.patches.halvings(mask)

    def level(
        self,
        known: Tensor,
        mask: Tensor,
        guess: Tensor,
        coarser: BlendLevel | None,
        halved: int = 0,
    ) -> BlendLevel:
        """Prepare the patches, and let the network look at a picture in its own size."""
        own = self.patches.level(known, mask, guess, coarser.patches if coarser else None, halved)
        trust = torch.zeros_like(mask) if halved else narrowness(mask)
        mean = known.clone()
        for region in tiles((trust > 0).float(), SIDE, CONTEXT):
            fill = region.inside(self.fill(region.crop(known), region.crop(mask)))
            core = region.bare.crop(mean)
            core.copy_(torch.where(region.bare.crop(trust) > 0, fill, core))
        return BlendLevel(own, mean, trust)

    @torch.no_grad()
    def fill(self, known: Tensor, mask: Tensor) -> Tensor:
        """Estimate a tile, (1, 3, h, w), from its known pixels, and within their range nearby.

        The network sees the tile and its mirror images, and their mean counts (geometric
        self-ensemble, Lim et al. 2017, section 3.4).
        """
        height, width = known.shape[-2:]
        pad = padder(height, width, 2 ** len(self.network.down))
        seen = pad(torch.cat([torch.zeros_like(known), known * (1 - mask), mask], dim=1))
        seen = seen.to(self.network.head.weight.device)
        mean = torch.zeros_like(known)
        for flip in MIRRORED:
            v, _ = self.network.predict(seen.flip(flip), NOISIEST)
            mean -= v.flip(flip)[..., :height, :width].to(known) / len(MIRRORED)
        low, high = _range_around(known, mask)
        return mean.clamp(low, high)

    def work(self, mask: Tensor) -> float:
        """Multiply-adds of the patches; one evaluation of the network is little beside them."""
        return float(self.patches.work(mask))


@dataclass(frozen=True, slots=True)
class BlendLevel:
    """A level of a `BlendModel`: what the network says, (1, 3, H, W), and how much it counts."""

    patches: PatchLevel
    mean: Tensor
    trust: Tensor

    @property
    def guess(self) -> Tensor:
        """What the coarser level's matches show."""
        return self.patches.guess

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Return the estimate of both as a denoiser."""
        return partial(self.estimate, self.patches.denoiser(known, mask))

    def estimate(self, own: Denoiser, x: Tensor, level: float) -> Tensor:
        """Return the patches' `own` estimate, moved smoothly to the network's.

        Where the two lie further apart than the patches are likely to be off, as they are not where
        the picture repeats itself, it is the network that is off: the best linear mean of the two
        then moves by the share of the first's error in the square of the distance.
        """
        patches = own(x, level)
        if not self.trust.any():  # of a coarse level, and in wide holes
            return patches
        gap = self._mean_around(self.mean - patches, DETAIL)
        apart = self._mean_around(gap.square().mean(1, keepdim=True), AROUND)
        share = (DOUBT * self.patches.misfit / apart.clamp(min=1e-6)).clamp(max=1)
        return patches.addcmul_(self.trust * share, gap)

    def _mean_around(self, values: Tensor, side: int) -> Tensor:
        """Average over squares, as far as the network counts there."""
        total = F.avg_pool2d(values * self.trust, side, 1, side // 2)
        return total / F.avg_pool2d(self.trust, side, 1, side // 2).clamp(min=1e-6)


def narrowness(mask: Tensor) -> Tensor:
    """Tell how narrow the hole is at each of its pixels: 1 up to `NARROW`, 0 from `WIDE`.

    By the radius of the largest disc within the hole that covers the pixel (local thickness,
    Hildebrand & Rüegsegger 1997). (1, 1, H, W), 1 = hole -> the same, 0 outside.
    """
    hole = (mask[0, 0] > 0).to(torch.uint8).numpy()
    left = (WIDE - NARROW) * hole
    for radius in range(NARROW + 1, WIDE + 1):
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        left -= cv2.morphologyEx(hole, cv2.MORPH_OPEN, disc)
    return torch.from_numpy(left / np.float32(WIDE - NARROW))[None, None]


def _range_around(known: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest known value near each pixel, as far as a hole is narrow."""
    side = 4 * WIDE + 1
    nowhere = torch.where(mask > 0, -torch.inf, 0.0)
    low, high = (F.max_pool2d(x + nowhere, side, 1, side // 2) for x in (-known, known))
    return -low, high


def patches_alone(filler: Filler) -> Filler:
    """Return the filler without the network beside its patches."""
    if isinstance(filler, Pyramid) and isinstance(filler.model, BlendModel):
        return Pyramid(filler.model.patches)
    return filler

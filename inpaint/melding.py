"""Melds what was copied from different places, so that smooth parts have no blotches.

Two places that look alike differ a little in brightness. Copied side by side they meet in a step,
which nobody sees in gravel, and everybody in a sky. Patches tell not only what a pixel is but how
it differs from its neighbours, and none tells of that step. So the tones u that they vote for get
a correction e, with which they differ as the patches say, by v (Image Melding, Darabi et al. 2012):

    e = argmin Σ |∇(u + e) − v|² + λ·e²,  e = 0 on known pixels,

a screened Poisson equation (Bhat et al. 2008). λ grows with how busy v is. The busier, the less of
what is fine in e is taken too: it would blur the texture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.regions import tiles
from inpaint.solving import conjugate_gradients

HOLD = 0.005
"""λ where the fill is smooth: a correction reaches about 1/√λ = 14 pixels."""
BUSY = 60.0
"""By how much λ grows with |v|², of units of [-1, 1]."""
AROUND = 13
"""Side in pixels of the squares over which |v|² and the correction are averaged."""
STEPS = 16
"""Of conjugate gradients: as the correction reaches a few pixels, few are enough."""
TILE = 512
"""Side in pixels of what is melded at once: memory stays bounded."""
MOST_SHIFT = 0.25
"""Largest correction of a pixel, in units of [-1, 1]."""


def melded(tones: Tensor, across: Tensor, down: Tensor, hole: Tensor) -> Tensor:
    """Correct the tones of a fill by how its pixels should differ.

    Parameters
    ----------
    tones : Tensor
        (1, C, H, W).
    across, down : Tensor
        (1, C, H, W): what the pixel to the right, or below, should have more; the last column, or
        row, is not read.
    hole : Tensor
        (1, 1, H, W), 1 = may be corrected.

    Returns
    -------
    (1, C, H, W), equal to `tones` outside the hole, and in their range.
    """
    out = tones.clone()
    for region in tiles(hole, TILE, STEPS + AROUND):
        window = _melded(*(region.crop(part) for part in (tones, across, down, hole)))
        region.bare.crop(out).copy_(region.inside(window))
    return out


def _melded(tones: Tensor, across: Tensor, down: Tensor, hole: Tensor) -> Tensor:
    """Meld a tile, by conjugate gradients."""
    across, down = across[..., :-1], down[..., :-1, :]
    busy = F.pad(across.square(), (0, 1)) + F.pad(down.square(), (0, 0, 0, 1))
    hold = HOLD + BUSY * _mean_around(busy.mean(1, keepdim=True))

    def screened(e: Tensor) -> Tensor:
        return hole * (hold * e - _divergence(e.diff(dim=-1), e.diff(dim=-2)))

    error = conjugate_gradients(
        screened,
        torch.zeros_like(tones),
        -hole * _divergence(across - tones.diff(dim=-1), down - tones.diff(dim=-2)),
        STEPS,
    )
    smooth = hole * _mean_around(error) / _mean_around(hole).clamp(min=1e-6)
    error = smooth.lerp(error, HOLD / hold)
    low, high = tones.amin((-2, -1), keepdim=True), tones.amax((-2, -1), keepdim=True)
    return error.clamp_(-MOST_SHIFT, MOST_SHIFT).add_(tones).clamp_(low, high)


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """Sum what differs towards the four neighbours: (.., H, W−1) and (.., H−1, W) -> (.., H, W)."""
    return F.pad(across, (1, 1)).diff(dim=-1) + F.pad(down, (0, 0, 1, 1)).diff(dim=-2)


def _mean_around(values: Tensor) -> Tensor:
    return F.avg_pool2d(values, AROUND, 1, AROUND // 2)

"""Patch-based completion as it was before diffusion: a peer for the evaluation.

Coarse to fine, each hole pixel becomes the mean of what the nearest patches of its neighbourhood
show there, and the patches are matched again (Wexler et al. 2007). The nearest patches are found
by propagation and random search (PatchMatch, Barnes et al. 2009). One patch per place, no noise.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inpaint.scales import enlarge, inscribed_radius, shrink, spread

SIDE = 7
ROUNDS = 4
"""Turns of propagation and search before each vote."""


def complete(picture: NDArray[np.uint8], mask: NDArray[np.bool_], seed: int) -> NDArray[np.uint8]:
    """Fill the holes of a picture.

    Parameters
    ----------
    picture
        (H, W, 3); the hole is not read.
    mask
        (H, W), True in the hole.
    seed
        Decides the search.
    """
    known = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    levels = [(known, torch.from_numpy(mask)[None, None].float())]
    while inscribed_radius(levels[-1][1]) > 2 and min(levels[-1][0].shape[-2:]) > 4 * SIDE:
        levels.append(shrink(*levels[-1]))
    rng = torch.Generator().manual_seed(seed)
    x = spread(*levels[-1])
    for depth, (known, hole) in reversed(list(enumerate(levels))):
        if depth < len(levels) - 1:
            x = enlarge(x, (known.shape[-1], known.shape[-2]))
        x = torch.where(hole > 0, x, known)
        if hole.any():
            x = _refine(x, hole, 4 + 4 * depth, rng)
    pixels: NDArray[np.uint8] = (
        ((x[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    )
    return pixels


def _refine(x: Tensor, hole: Tensor, votes: int, rng: torch.Generator) -> Tensor:
    """Match and vote `votes` times on one level: x (1, 3, H, W), hole (1, 1, H, W)."""
    touched = F.max_pool2d(hole, SIDE, 1)[0, 0] > 0
    if touched.all():
        return x
    usable = ~touched.flatten()
    queries, keys = touched.flatten().nonzero()[:, 0], usable.nonzero()[:, 0]
    match = torch.full((touched.numel(),), -1)
    match[queries] = keys[torch.randint(len(keys), (len(queries),), generator=rng)]
    match[keys] = keys  # outside the hole a patch is its own best match, for its neighbours to use
    known = _patches(x)[usable]
    row_of = torch.cumsum(usable, 0) - 1
    for _ in range(votes):
        wanted = _patches(x)[queries]
        cost = (known[row_of[match[queries]]] - wanted).square().sum(1)
        for turn in range(ROUNDS):
            for candidate in _candidates(match, queries, touched.shape, 2**turn, rng):
                tried = torch.where(usable[candidate], candidate, match[queries])
                new = (known[row_of[tried]] - wanted).square().sum(1)
                better = new < cost
                match[queries] = torch.where(better, tried, match[queries])
                cost = torch.where(better, new, cost)
        # Wexler's weights: good matches count more; the scale is that of the 75th percentile.
        weight = (-cost / (2 * cost.quantile(0.75).clamp(min=1e-6))).exp()
        votes_cast = torch.zeros(touched.numel(), known.shape[1])
        votes_cast[queries] = known[row_of[match[queries]]] * weight[:, None]
        counted = torch.zeros(touched.numel(), SIDE * SIDE)
        counted[queries] = weight[:, None]
        total = F.fold(votes_cast.T[None], x.shape[-2:], SIDE)
        count = F.fold(counted.T[None], x.shape[-2:], SIDE)
        x = torch.where(hole > 0, total / count.clamp(min=1e-12), x)
    return x


def _patches(x: Tensor) -> Tensor:
    """(1, 3, H, W) -> (positions, 147)."""
    return F.unfold(x, SIDE)[0].T.contiguous()


def _candidates(
    match: Tensor, queries: Tensor, shape: torch.Size, reach: int, rng: torch.Generator
) -> list[Tensor]:
    """Positions worth trying: the neighbours' matches, shifted, and random ones ever nearer."""
    rows, cols = shape
    row, col = queries // cols, queries % cols
    found = []
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        down, right = down * reach, right * reach
        there = (row + down).clamp(0, rows - 1) * cols + (col + right).clamp(0, cols - 1)
        found.append(_place(match[there] // cols - down, match[there] % cols - right, shape))
    own, radius = match[queries], max(rows, cols)
    while radius >= 1:
        shift = torch.randint(-radius, radius + 1, (2, len(queries)), generator=rng)
        found.append(_place(own // cols + shift[0], own % cols + shift[1], shape))
        radius //= 2
    return found


def _place(row: Tensor, col: Tensor, shape: torch.Size) -> Tensor:
    return row.clamp(0, shape[0] - 1) * shape[1] + col.clamp(0, shape[1] - 1)

"""What a step's latents look like, without the cost of a decoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def linear_preview(latents: Tensor, picture: Tensor) -> Callable[[Tensor], Tensor]:
    """Fit colours to latents by least squares, on a picture of which both are known.

    One linear map for all places is far from the decoder and close to its colours. The fit needs no
    table of coefficients, so it suits every autoencoder.

    Parameters
    ----------
    latents : Tensor
        (1, c, h, w), or (1, c, 1, h, w) of a video autoencoder: the encoded picture.
    picture : Tensor
        (1, 3, H, W) in [-1, 1].

    Returns
    -------
    callable
        Latents as a pipeline has them, (1, c, h, w) or packed into (1, h/2 · w/2, 4c) or
        (1, h · w, c), -> (1, 3, h, w) in [-1, 1].
    """
    latents = latents.squeeze(2) if latents.ndim == 5 else latents
    channels, height, width = latents.shape[1:]
    z = _with_one(latents.float().cpu())
    rgb = F.adaptive_avg_pool2d(picture.float().cpu(), (height, width)).flatten(2)[0].T
    # The ridge settles what a small or plain picture leaves open.
    gram = z.T @ z + 1e-3 * len(z) * torch.eye(z.shape[1])
    colours = torch.linalg.solve(gram, z.T @ rgb)

    def preview(x: Tensor) -> Tensor:
        grid = as_grid(x.float().cpu(), channels, height, width)
        flat: Tensor = (_with_one(grid) @ colours).T
        return flat.reshape(1, 3, *grid.shape[-2:]).clamp(-1, 1)

    return preview


def as_grid(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Lay latents out as (1, channels, h, w), from whichever form a pipeline packs.

    h : w is height : width, as nearly as their number has it: some pipelines choose a size of their
    own.
    """
    if x.ndim != 3:
        return x.squeeze(2) if x.ndim == 5 else x
    count = x.shape[1]
    ideal = math.sqrt(count * height / width)
    rows = min((n for n in range(1, count + 1) if count % n == 0), key=lambda n: abs(n - ideal))
    grid = x.transpose(1, 2).reshape(1, -1, rows, count // rows)
    return F.pixel_shuffle(grid, 2) if x.shape[-1] == 4 * channels else grid


def _with_one(latents: Tensor) -> Tensor:
    """(1, c, h, w) -> (h · w, c + 1), the last column 1."""
    rows = latents.flatten(2)[0].T
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)

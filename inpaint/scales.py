"""Pictures at ever smaller scales: halved and doubled with their holes, and filled in smoothly."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def shrink(known: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Halve a picture with holes.

    Each pixel is the mean of the known ones among its four (normalised convolution, Knutsson &
    Westin 1993), and a hole where fewer than half of them are known.

    Parameters
    ----------
    known : Tensor
        (B, C, H, W).
    mask : Tensor
        (1 or B, 1, H, W), 1 = hole.

    Returns
    -------
    known, mask
        With sides ⌈H/2⌉, ⌈W/2⌉.
    """
    height, width = known.shape[-2:]
    pad = (0, width % 2, 0, height % 2)
    weight = F.avg_pool2d(F.pad(1 - mask, pad), 2)
    total = F.avg_pool2d(F.pad(known * (1 - mask), pad), 2)
    # The padding of an odd side is no hole: divide by what can be there.
    possible = F.avg_pool2d(F.pad(torch.ones_like(mask), pad), 2)
    return total / weight.clamp(min=1e-6), (weight < possible / 2).to(mask)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Double a (B, C, h, w) picture to `size` (width, height), bicubic, within [-1, 1]."""
    x = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
    return x[..., : size[1], : size[0]].clamp(-1, 1)


def spread(values: Tensor, unknown: Tensor, smoothing: int = 0) -> Tensor:
    """Fill in unknown values smoothly from the known ones by shrinking and enlarging again.

    Pull-push (Gortler et al. 1996): close to the harmonic membrane, in linear time.

    Parameters
    ----------
    values : Tensor
        (B, C, H, W).
    unknown : Tensor
        (1 or B, 1, H, W), 1 = to be filled in.
    smoothing : int
        Number of finest scales whose own values are dropped in favour of the smoother ones.
    """
    if not unknown.any():
        return values
    if min(values.shape[-2:]) == 1 or unknown.all():
        weight = 1 - unknown
        mean = (values * weight).sum((-1, -2), keepdim=True)
        return (mean / weight.sum((-1, -2), keepdim=True).clamp(min=1)).expand_as(values)
    below = spread(*shrink(values, unknown), smoothing - 1)
    smooth = F.interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)
    smooth = smooth[..., : values.shape[-2], : values.shape[-1]]
    return smooth if smoothing > 0 else torch.where(unknown > 0, smooth, values)


def inscribed_radius(mask: Tensor) -> float:
    """Return the radius in pixels of the largest disc inside the holes of a (1, 1, H, W) mask."""
    inside = (mask[0, 0] > 0).to(torch.uint8).numpy()
    return float(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())


def nearest(wanted: Tensor) -> Tensor:
    """Find for each pixel the nearest of those that are wanted, within about 2 %.

    (H, W) bool -> (H·W,) positions, row·W + column.
    """
    there = wanted.numpy()
    _, labels = cv2.distanceTransformWithLabels(
        (~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(labels.max()) + 1, np.int64)
    place[labels[there]] = np.flatnonzero(there)
    return torch.from_numpy(place[labels.ravel()])

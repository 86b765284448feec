"""How a crop is laid into a model's window, and how what comes back is fitted to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.scales import spread

SMOOTHING = 5
"""Colours are matched by errors averaged over 2⁵ pixels: the model's texture stays its own."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A crop scaled to the size that a model knows, and extended to sides that it takes.

    Attributes
    ----------
    crop, inner, outer : (int, int)
        Height and width of the crop, of the scaled crop, and of that with its extension.
    """

    crop: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]

    @classmethod
    def of(cls, height: int, width: int, side: int, multiple: int) -> Frame:
        """Scale to an area of side², but to no side beyond 2·side; leave a near fit as it is."""
        scale = min(side / math.sqrt(height * width), 2 * side / max(height, width))
        if 0.8 < scale < 1.25:
            scale = 1.0
        inner = max(round(height * scale), 1), max(round(width * scale), 1)
        outer = -(-inner[0] // multiple) * multiple, -(-inner[1] // multiple) * multiple
        return cls((height, width), inner, outer)

    def enter(self, picture: Tensor) -> Tensor:
        """(B, 3, *crop) in [-1, 1] -> (B, 3, *outer), extended by repeating its border."""
        return self._extended(_resized(picture, self.inner)).clamp(-1, 1)

    def enter_mask(self, mask: Tensor) -> Tensor:
        """(B, 1, *crop) -> (B, 1, *outer), 1 wherever any of the hole lies."""
        grown = mask if self.inner == self.crop else F.adaptive_max_pool2d(mask, self.inner)
        return self._extended((grown > 0).to(mask))

    def leave(self, picture: Tensor) -> Tensor:
        """(B, C, *any multiple of outer) -> (B, C, *crop)."""
        picture = _resized(picture, self.outer)
        return _resized(picture[..., : self.inner[0], : self.inner[1]], self.crop)

    def _extended(self, x: Tensor) -> Tensor:
        right, below = self.outer[1] - self.inner[1], self.outer[0] - self.inner[0]
        return F.pad(x, (0, right, 0, below), mode="replicate")


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=True)


def settle(filled: Tensor, picture: Tensor, mask: Tensor) -> Tensor:
    """Match a fill to its surroundings and put the known pixels back.

    An autoencoder shifts colours. On the known pixels the shift can be seen; smoothed, it is
    carried on into the hole and taken off there.

    Parameters
    ----------
    filled, picture : Tensor
        (B, 3, H, W) in [-1, 1]: the decoded picture, and the true one.
    mask : Tensor
        (1, 1, H, W), 1 = repaint.
    """
    shift = spread(picture - filled, mask, SMOOTHING)
    return torch.where(mask > 0, (filled + shift).clamp(-1, 1), picture)

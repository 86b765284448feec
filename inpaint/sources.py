"""Where `self` learns its patches, for the tasks that take them from elsewhere than the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.filling import Filler, Pass, Pyramid, Step
from inpaint.selfpatch import PATCH_SIDES, SelfModel, Source
from inpaint.settings import Settings

Find = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(picture, mask of a window) -> (pixels (1, 3, h, w), where not to learn (1, 1, h, w))."""


@dataclass(frozen=True, slots=True)
class Learning:
    """A filler made of `self` that learns from what `find` returns for each window."""

    model: SelfModel
    find: Find
    batch: int | None = 1

    def context(self, side: int) -> int:
        """As the model's."""
        return self.model.context(side)

    def plan(self, mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
        """See `inpaint.filling.plan`."""
        window = torch.zeros(1, 3, *mask.shape[-2:])
        return self._pyramid(window, mask).plan(mask, settings, shrunken)

    def fill(
        self,
        picture: Tensor,
        mask: Tensor,
        settings: Settings,
        seeds: list[int],
        on_step: Callable[[Step], None] = lambda step: None,
        shrunken: float = 1.0,
    ) -> tuple[Tensor, bool]:
        """See `inpaint.filling.fill`."""
        pyramid = self._pyramid(picture, mask)
        return pyramid.fill(picture, mask, settings, seeds, on_step, shrunken)

    def _pyramid(self, picture: Tensor, mask: Tensor) -> Filler:
        window = (mask.shape[-2], mask.shape[-1])
        return Pyramid(replace(self.model, source=Source(*self.find(picture, mask), window)))


def _learning(filler: Filler, find: Find) -> Filler:
    """Return the filler that learns so; a network has learnt already and stays as it is."""
    if isinstance(filler, Pyramid) and isinstance(filler.model, SelfModel):
        return Learning(filler.model, find)
    return filler


def from_picture(filler: Filler, pixels: Tensor) -> Filler:
    """Learn from another picture, (1, 3, h, w) in [-1, 1] (as GPNN, Granot et al. 2022)."""
    nowhere = torch.zeros(1, 1, *pixels.shape[-2:])
    return _learning(filler, lambda picture, mask: (pixels, nowhere))


def from_both_sides(filler: Filler) -> Filler:
    """Learn from what lies in the hole as well as around it, but not across its border."""
    side = PATCH_SIDES[0]

    def find(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        near = F.max_pool2d(mask, side, 1, side // 2)
        deep = 1 - F.max_pool2d(1 - mask, side, 1, side // 2)
        return picture, near - deep

    return _learning(filler, find)

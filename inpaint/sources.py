"""Where `self` learns its patches, for the tasks that take them from elsewhere than the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.filling import Filler, Pass, Pyramid, Step
from inpaint.selfpatch import SelfModel, Source
from inpaint.settings import Settings

AROUND = 17
"""Side in pixels of the square whose mean is taken for a place's tone; the rest is texture."""
FLAT = 2.5 / 255
"""Span of values, of 2, of a pixel and its neighbours that are flat paint."""
HIDDEN = 0.05
"""Share of a hole whose texture may be missing."""

Find = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(picture, mask of a window) -> (pixels (1, 3, h, w), where not to learn (1, 1, h, w))."""


@dataclass(frozen=True, slots=True)
class Learning:
    """A filler made of `self` that learns from what `find` returns for each window."""

    model: SelfModel
    find: Find
    here: bool
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
        source = Source(*self.find(picture, mask), window, self.here)
        return Pyramid(replace(self.model, source=source))


def _learning(filler: Filler, find: Find, here: bool) -> Filler:
    """Return the filler that learns so; a network has learnt already and stays as it is."""
    if isinstance(filler, Pyramid) and isinstance(filler.model, SelfModel):
        return Learning(filler.model, find, here)
    return filler


def from_picture(filler: Filler, pixels: Tensor, hidden: Tensor) -> Filler:
    """Learn from a picture, (1, 3, h, w) in [-1, 1] (as GPNN, Granot et al. 2022).

    Where `hidden`, (1, 1, h, w), is 1 it is transparent, and nothing is learnt.
    """
    return _learning(filler, lambda picture, mask: (pixels, hidden), here=False)


def from_itself(filler: Filler) -> Filler:
    """Learn from the whole window as it is, the part to be made anew too; of bands, their own."""
    return _learning(filler, lambda picture, mask: (picture, torch.zeros_like(mask)), here=True)


def tinted(filler: Filler) -> Filler:
    """Learn from around the hole, and from its flat paint with the texture of what is nearest.

    Elsewhere in the picture there may be nothing of the paint's colour; so it keeps its own.
    """

    def find(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        known = 1 - mask
        tone, share = (F.avg_pool2d(x, AROUND, 1, AROUND // 2) for x in (picture * known, known))
        texture = (picture - tone / share.clamp(min=1e-6)) * known
        texture = torch.roll(texture, _beside(mask), (2, 3))
        low, high = -F.max_pool2d(-picture, 3, 1, 1), F.max_pool2d(picture, 3, 1, 1)
        flat = mask * ((high - low).amax(1, keepdim=True) < FLAT)
        return (picture + flat * texture).clamp(-1, 1), torch.zeros_like(mask)

    return _learning(filler, find, here=True)


def _beside(mask: Tensor) -> tuple[int, int]:
    """Return the least shift, down or right, that lays known pixels over nearly all of a hole."""
    height, width = mask.shape[-2:]
    pace = max(1, max(height, width) // 64)
    steps = [(down, 0) for down in range(pace - height, height, pace)]
    steps += [(0, right) for right in range(pace - width, width, pace)]
    steps.sort(key=lambda step: abs(step[0]) + abs(step[1]))
    hidden = [float((mask * torch.roll(mask, step, (2, 3))).sum()) for step in steps]
    enough = max(min(hidden), HIDDEN * float(mask.sum()))
    return next(step for step, left in zip(steps, hidden, strict=True) if left <= enough)


def from_both_sides(filler: Filler, inset: int) -> Filler:
    """Learn from around the hole and from what lies in it, `inset` pixels or more from its border.

    What was pasted there so keeps its texture, but its edge is nowhere to be learnt.
    """
    side = 2 * max(inset, 1) + 1

    def find(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        inside = 1 - F.max_pool2d(1 - mask, side, 1, side // 2)
        return picture, mask - inside

    return _learning(filler, find, here=True)

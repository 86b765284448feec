"""What other frames show of what a hole hides: its pixels are followed until they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import masks
from inpaint.regions import Box, Region
from inpaint.video.motion import Motion, grid, sample, smooth

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

RIM = 8
"""Pixels around a hole on which colours of two frames are compared."""
SMOOTHING = 3
"""Halvings by which their difference is smoothed: texture is no difference of brightness."""
MOST_SHIFT = 0.2
"""Largest correction of a colour, of 1; what differs by more is another thing."""


@dataclass(slots=True, eq=False)
class Look:
    """What is remembered of a frame while others may need it.

    Attributes
    ----------
    pixels : array
        (H, W, 3) uint8 or uint16; the hole holds the fill once there is one.
    hole : array
        (H, W) bool.
    ahead, back : Motion or None
        To the next frame and to the one before; None at the ends and at cuts.
    """

    pixels: NDArray[Any]
    hole: Mask
    ahead: Motion | None = None
    back: Motion | None = None

    @property
    def maximum(self) -> np.float32:
        """The value of white."""
        return np.float32(np.iinfo(self.pixels.dtype).max)


def work_box(hole: Mask) -> Box:
    """Return the box of a hole and the rim around it."""
    core = masks.bounding_box(hole)
    assert core is not None
    return Region.around(core, 2 * RIM, (hole.shape[1], hole.shape[0])).box


Chain = Sequence[tuple[Motion | None, Look]]
"""Frames one after another, each with the motion that leads to it from the one before."""


@dataclass(slots=True)
class Borrowing:
    """A hole that is being filled from other frames.

    Attributes
    ----------
    box : Box
        The hole and its rim.
    colours : array
        (h, w, 3) float32 in [0, 1]: the frame within the box, filled so far.
    todo : array
        (h, w) bool: what is not yet filled.
    """

    box: Box
    colours: Floats
    todo: Mask
    rim: Mask

    @classmethod
    def of(cls, look: Look) -> Borrowing:
        """Begin with the whole hole to do."""
        box = work_box(look.hole)
        crop = Region(box, box).crop_array
        hole = crop(look.hole).copy()
        rim = masks.grow(hole, RIM) & ~hole
        return cls(box, crop(look.pixels).astype(np.float32) / look.maximum, hole, rim)

    def take(self, chains: Sequence[Chain]) -> None:
        """Fill what other frames show, the nearest first; chains are from `ahead` and `behind`."""
        ways = [_followed(self.box, chain) for chain in chains]
        while ways and self.todo.any():
            for way in list(ways):
                step = next(way, None)
                if step is None or not (step[2] & self.todo).any():
                    ways.remove(way)
                else:
                    self._take(*step)

    def change_of_light(self, look: Look, at: Floats, sure: Mask) -> Floats:
        """Return how much lighter the rim is than in another frame, continued into the hole."""
        colours = sample(look.pixels, at, cubic=True) / look.maximum
        difference = self.colours - colours
        known = self.rim & sure & _seen(look, at)
        known &= np.abs(difference).max(axis=2) < MOST_SHIFT
        if not known.any():
            return np.zeros_like(difference)
        return smooth(difference, ~known, SMOOTHING).clip(-MOST_SHIFT, MOST_SHIFT)

    def _take(self, look: Look, at: Floats, sure: Mask) -> None:
        sure = sure & inside(at, look.hole.shape)
        landed = self.todo & sure & _seen(look, at)
        if landed.any():
            colours = sample(look.pixels, at, cubic=True) / look.maximum
            colours += self.change_of_light(look, at, sure)
            self.colours[landed] = colours.clip(0, 1)[landed]
            self.todo &= ~landed


def ahead(looks: Sequence[Look]) -> Chain:
    """Return the frames after the first of consecutive looks, and the motions that lead there."""
    return [(here.ahead, there) for here, there in pairwise(looks)]


def behind(looks: Sequence[Look]) -> Chain:
    """Return the frames before the last of consecutive looks, the nearest first."""
    return [(here.back, there) for here, there in pairwise(reversed(looks))]


def _followed(box: Box, chain: Chain) -> Iterator[tuple[Look, Floats, Mask]]:
    """Follow a box's pixels from frame to frame: where they are, and whether that is sure."""
    at = grid(box)
    sure = np.ones(at.shape[:2], bool)
    for motion, look in chain:
        if motion is None:
            return
        at, trusted = motion.step(at)
        sure = sure & trusted
        yield look, at, sure


def _seen(look: Look, at: Floats) -> Mask:
    """Say which positions in a frame are wholly outside its hole."""
    return np.asarray(sample(look.hole.astype(np.float32), at) < 0.01)


def inside(at: Floats, shape: tuple[int, ...]) -> Mask:
    """Say which positions lie in the frame; half a pixel beyond its last centre still is."""
    height, width = shape[:2]
    x, y = at[..., 0], at[..., 1]
    return np.asarray((x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5))

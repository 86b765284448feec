"""What earlier fills gave a hole: each pixel is read where it was first filled, however long ago.

Reading it from the frame before, again and again, would blur it, or make it ring.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint.regions import Box
from inpaint.video.borrowing import Borrowing, Look, inside
from inpaint.video.motion import grid, sample

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Origins:
    """Where the pixels of a hole were first filled.

    Attributes
    ----------
    box : Box
        The hole and its rim.
    owner : array
        (h, w) int: numbers of frames.
    place : array
        (h, w, 2) float32: positions in them.
    shift : array
        (h, w, 3) float32: how much lighter it has become since.
    """

    box: Box
    owner: NDArray[np.int64]
    place: Floats
    shift: Floats

    @classmethod
    def here(cls, number: int, box: Box) -> Origins:
        """Say that all was filled in frame `number`."""
        place = grid(box)
        shape = place.shape[:2]
        return cls(box, np.full(shape, number), place, np.zeros((*shape, 3), np.float32))

    def at(self, number: int, at: Floats) -> Origins:
        """Follow the positions in frame `number`, whose origins these are, back to the first."""
        x0, y0, x1, y1 = self.box
        nearest = np.rint(at).astype(int)
        x, y = nearest[..., 0], nearest[..., 1]
        within = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        index = (y[within] - y0, x[within] - x0)
        shape = at.shape[:2]
        found = Origins(
            self.box, np.full(shape, number), at.copy(), np.zeros((*shape, 3), np.float32)
        )
        found.owner[within] = self.owner[index]
        found.place[within] += self.place[index] - nearest[within]
        found.shift[within] = self.shift[index]
        return found


@dataclass(slots=True)
class Memory:
    """The fills of earlier frames, each kept while the newest hole still shows a part of it.

    Attributes
    ----------
    most : int
        Frames that are kept at most.
    """

    most: int
    number: int = -1
    latest: Look | None = None
    origins: Origins | None = None
    frames: dict[int, NDArray[Any]] = field(default_factory=dict)

    def recall(self, look: Look, hole: Borrowing) -> Origins:
        """Fill what the frame before had filled, and return the origins of the hole."""
        origins = Origins.here(self.number + 1, hole.box)
        if self.latest is None or self.origins is None or look.back is None:
            return origins
        at, sure = look.back.step(grid(hole.box))
        sure &= inside(at, look.hole.shape)
        landed = hole.todo & sure
        if not landed.any():
            return origins
        found = self.origins.at(self.number, at)
        found.shift += hole.change_of_light(self.latest, at, sure)
        for owner in np.unique(found.owner[landed]):
            own = landed & (found.owner == owner)
            colours = sample(self.frames[owner], found.place, cubic=True) / look.maximum
            hole.colours[own] = (colours + found.shift).clip(0, 1)[own]
        hole.todo &= ~landed
        for mine, theirs in (
            (origins.owner, found.owner),
            (origins.place, found.place),
            (origins.shift, found.shift),
        ):
            mine[landed] = theirs[landed]
        return origins

    def keep(self, look: Look, origins: Origins | None) -> None:
        """Take over the next frame, filled; origins are None if it has no hole."""
        self.number += 1
        self.latest, self.origins = look, origins
        used = {self.number} if origins is None else {self.number, *np.unique(origins.owner)}
        self.frames[self.number] = look.pixels
        self.frames = {number: self.frames[number] for number in sorted(used)}
        while origins is not None and len(self.frames) > self.most:
            oldest = min(self.frames)
            del self.frames[oldest]
            lost = origins.owner == oldest
            fresh = Origins.here(self.number, origins.box)
            origins.owner[lost] = self.number
            origins.place[lost], origins.shift[lost] = fresh.place[lost], 0

"""Candidates for damage: groups of pixels that stand out, and how they are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Light = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
REACH = 4
"""Pixels of its own level by which a candidate is continued."""
NEAREST = cv2.INTER_NEAREST_EXACT


@dataclass(frozen=True, slots=True)
class Candidates:
    """Spots or lines of one level of a picture: what they are and where.

    Attributes
    ----------
    features : dict
        Name to (N,) values; the weights name them too.
    rows, columns, owner : (P,) int
        All their pixels and the candidate that each belongs to.
    contrast : (N,) float32
        How far each stands out in luma.
    standing, ground : (h, w) float32
        Luma, how far each pixel stands out and of what is wider than damage.
    dark : bool
        They are darker than the ground, not brighter.
    """

    features: dict[str, NDArray[np.float64]]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    owner: NDArray[np.intp]
    contrast: NDArray[np.float64]
    standing: Light
    ground: Light
    dark: bool

    def scores(self, weights: dict[str, float]) -> NDArray[np.float64]:
        """Log-odds of being damage; a weight is of a feature, or of a product: "size*tone"."""
        score = np.full(len(self.contrast), weights["bias"])
        for name, weight in weights.items():
            if name != "bias":
                score += weight * product(self.features, name)
        return score

    def centres(self) -> NDArray[np.float64]:
        """Return (N, 2): how far down and across each lies, in [0, 1]."""
        mean = Grouped(self.owner)
        height, width = self.ground.shape
        return np.stack([mean(self.rows) / height, mean(self.columns) / width], 1)

    def drawn(self, chosen: Mask, light: Light) -> Mask:
        """Mark the chosen candidates on the largest level's luma, in their whole width.

        Marked is what stands out at least half as far as they do and is connected with them.
        """
        kept = chosen[self.owner]
        at = self.rows[kept], self.columns[kept]
        seeds = np.zeros(self.ground.shape, np.float32)
        seeds[at] = 1
        # The least contrast near by decides, so that choosing more never marks less.
        needed = np.full(self.ground.shape, np.inf, np.float32)
        np.minimum.at(needed, at, (0.5 * self.contrast[self.owner[kept]]).astype(np.float32))
        needed = cv2.erode(needed, disc(REACH))
        needed[self.standing < needed] = np.inf
        size = light.shape[::-1]
        seeds, needed = (cv2.resize(m, size, interpolation=NEAREST) for m in (seeds, needed))
        ground = cv2.resize(self.ground, size)
        reached = (ground - light if self.dark else light - ground) > needed
        count, label = cv2.connectedComponents(reached.astype(np.uint8), connectivity=8)
        joined = np.zeros(count, bool)
        joined[label[reached & (seeds > 0)]] = True
        return np.asarray(joined[label])


def product(features: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    """Return a feature, or a product of features such as "size*tone", (N,)."""
    return np.asarray(np.prod([features[part] for part in name.split("*")], axis=0))


def components(
    low: Mask, seeds: Mask, join: int, least: int, most: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]] | None:
    """Group the pixels of `low` that belong together and hold a seed: rows, columns, owners."""
    if not seeds.any():
        return None
    joined = cv2.dilate(low.astype(np.uint8), np.ones((join, join), np.uint8))
    count, label = cv2.connectedComponents(joined, connectivity=8)
    kept = np.zeros(count, bool)
    kept[label[seeds & low]] = True
    rows, columns = np.nonzero(low)
    size = np.bincount(label[rows, columns], minlength=count)
    kept &= (size >= least) & (size <= (most or low.size))
    own = kept[label[rows, columns]]
    rows, columns = rows[own], columns[own]
    if not len(rows):
        return None
    number = np.cumsum(kept) - 1
    return rows, columns, number[label[rows, columns]]


class Grouped:
    """Means over each candidate's pixels."""

    def __init__(self, owner: NDArray[np.intp]) -> None:
        self.owner, self.count = owner, np.bincount(owner).astype(float)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Mean of (P,) values, (N,)."""
        return np.asarray(np.bincount(self.owner, values) / self.count)

    def spread(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Mean distance from the mean."""
        return self(np.abs(values - self(values)[self.owner]))

    def extent(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Length and width of the rectangle with the same second moments."""
        y, x = (place - self(place)[self.owner] for place in (rows, columns))
        yy, xx, xy = self(y * y) + 1 / 12, self(x * x) + 1 / 12, self(x * y)
        root = np.sqrt((xx - yy) ** 2 / 4 + xy**2)
        half = (xx + yy) / 2
        return np.sqrt(12 * (half + root)), np.sqrt(12 * np.maximum(half - root, 1 / 12))


def count_around(mask: Mask, side: int) -> Light:
    """Count the pixels of a mask in the square around each."""
    return blur(mask.astype(np.float32), side) * np.float32(side * side)


def blur(image: Light, side: int) -> Light:
    """Average the square around each pixel."""
    return np.asarray(cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT))


def disc(radius: int) -> NDArray[np.uint8]:
    """Return (2 radius + 1, 2 radius + 1), 1 inside."""
    x, y = np.meshgrid(*[np.arange(-radius, radius + 1)] * 2)
    return (x * x + y * y <= (radius + 0.4) ** 2).astype(np.uint8)

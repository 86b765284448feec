"""How a line lies in the picture: its shape, and how far other lines go on with it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inpaint.damage.candidates import Grouped

Values = NDArray[np.float64]

OFF, SWAY, TURN = 3.0, 0.02, 0.12
"""Of lines that go on in each other: pixels apart, more per pixel of distance, and radians."""


def relations(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    owner: NDArray[np.intp],
    size: tuple[int, int],
) -> dict[str, Values]:
    """Describe N lines among themselves.

    Parameters
    ----------
    rows, columns, owner : (P,) int
        Their pixels, and which line each belongs to.
    size
        Height and width of the picture.

    Returns
    -------
    dict
        (N,) each: "width" and "share" (length, of the shorter side) as logarithms; "aligned", how
        much of the straight line through it, from edge to edge, is covered by lines: much of a
        fold or a horizon, little of a crack.
    """
    mean = Grouped(owner)
    length, width = mean.extent(rows, columns)
    y, x = mean(rows), mean(columns)
    down, right = rows - y[owner], columns - x[owner]
    turn = 0.5 * np.arctan2(2 * mean(down * right), mean(right**2) - mean(down**2))
    along = np.stack([np.cos(turn), np.sin(turn)], 1)
    middle = np.stack([x, y], 1)
    aligned = np.zeros(len(length))
    for i in range(len(length)):
        away = middle - middle[i]
        forth = away @ along[i]
        aside = np.abs(away @ (-along[i, 1], along[i, 0]))
        bent = np.abs((turn - turn[i] + math.pi / 2) % math.pi - math.pi / 2)
        ahead = (aside < OFF + SWAY * np.abs(forth)) & (bent < TURN)
        first, last = _chord(middle[i], along[i], size)
        covered = _union(forth[ahead] - length[ahead] / 2, forth[ahead] + length[ahead] / 2)
        aligned[i] = covered / max(last - first, 20.0)
    return {
        "width": np.log(width),
        "share": np.log(length / min(size)),
        "aligned": aligned,
    }


def _chord(point: Values, along: Values, size: tuple[int, int]) -> tuple[float, float]:
    """Return where a straight line leaves the picture, in steps of `along` from a point."""
    first, last = -math.inf, math.inf
    for place, step, side in zip(point, along, size[::-1], strict=True):
        if abs(step) > 1e-6:
            low, high = sorted((-place / step, (side - place) / step))
            first, last = max(first, low), min(last, high)
    return first, last


def _union(starts: Values, ends: Values) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(zip(starts, ends, strict=True)):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total

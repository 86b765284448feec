"""Drawing one stroke into arrays: a pixel is painted if its centre is inside.

In every pixel row a shape has marks: a column and a weight. The running sum of the weights is 0
outside the shape. Rows are taken in bands, so that a slanted stroke across a large picture costs
its own area and not its box's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from inpaint.strokes import FREEHAND, Stroke

Marks = list[tuple[np.ndarray, np.ndarray]]  # columns, weights
_BAND = 128  # rows
_CHUNK = 1 << 20  # marks at once


def draw(
    layers: Sequence[tuple[np.ndarray, Any]], stroke: Stroke, scale: np.ndarray, limit: int
) -> int:
    """Set the pixels of one stroke.

    Parameters
    ----------
    layers
        Arrays of one (H, W), changed in place, and the value that each gets.
    stroke
        Anything with points.
    scale
        Pixels of the arrays per unit of the stroke, in x and y.
    limit
        What it may cost.

    Returns
    -------
    What it cost: rows that all segments together cross, where 32 pixels count as one.

    Raises
    ------
    ValueError
        If that is more than the limit.
    """
    points = np.array(stroke.points, np.float64) * scale
    reach, marks_of = np.zeros((1, 2)), _outline
    if stroke.tool in FREEHAND:
        marks_of = _capsules
        starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
        radii = np.array(stroke.radii or [stroke.radius] * len(points)) * math.sqrt(scale.prod())
        reach = np.stack([radii[:-1], radii[1:]] if len(points) > 1 else [radii, radii], axis=1)
    elif stroke.tool == "ellipse":
        marks_of = _ellipse
        starts, ends = points[:1], points[-1:]
    else:
        if stroke.tool in ("rectangle", "paste"):
            (ax, ay), (bx, by) = points[0], points[-1]
            points = np.array([(ax, ay), (bx, ay), (bx, by), (ax, by)])
        starts, ends = points, np.roll(points, -1, axis=0)

    height, width = layers[0][0].shape
    far = reach.max(axis=1)
    top = np.minimum(starts[:, 1], ends[:, 1]) - far
    bottom = np.maximum(starts[:, 1], ends[:, 1]) + far
    reach = np.broadcast_to(reach, (len(starts), 2))
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(int)
    last = np.clip(np.floor(bottom - 0.5) + 1, 0, height).astype(int)
    total = int((last - first).sum())
    if total > limit:
        raise too_much()
    if total == 0:
        return 0
    pixels = 0
    crossing = np.bincount(first, minlength=height + 1) - np.bincount(last, minlength=height + 1)
    band = int(np.clip(_CHUNK // crossing.cumsum().max(), 1, _BAND))
    for y0 in range(first.min(), last.max(), band):
        begin, end = first.clip(y0, y0 + band), last.clip(y0, y0 + band)
        index = np.repeat(np.arange(len(first)), end - begin)
        before = np.cumsum(end - begin) - (end - begin)
        row = np.arange(len(index)) + (begin - before)[index]
        marks = marks_of(starts[index], ends[index], row + 0.5, reach[index])
        marks = [(np.clip(columns, 0, width).astype(int), weights) for columns, weights in marks]
        x0 = min(int(columns.min(initial=width)) for columns, _ in marks)
        x1 = max(int(columns.max(initial=0)) for columns, _ in marks)
        if x0 >= x1:
            continue
        counts = np.zeros((min(band, height - y0), x1 - x0 + 1), np.int32)
        pixels += counts.size
        for columns, weights in marks:
            np.add.at(counts, (row - y0, columns - x0), weights)
        inside = np.cumsum(counts, axis=1, out=counts)[:, :-1] != 0
        for layer, value in layers:
            layer[y0 : y0 + band, x0:x1][inside] = value
    return total + pixels // 32


def too_much() -> ValueError:
    """Make the error of a drawing that costs too much."""
    return ValueError("There is too much to draw. Use fewer or shorter strokes.")


def _span(left: np.ndarray, right: np.ndarray, there: np.ndarray) -> Marks:
    """Mark the pixels with centres from left to right, both included."""
    weight = there.astype(np.int32)
    left, right = np.where(there, left, 0), np.where(there, right, 0)
    start = np.ceil(left - 0.5)
    return [(start, weight), (np.maximum(start, np.floor(right - 0.5) + 1), -weight)]


def _capsules(a: np.ndarray, b: np.ndarray, y: np.ndarray, radii: np.ndarray) -> Marks:
    """Mark the hulls of two discs, around a and b with radii[:, 0] and [:, 1]; they are convex."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for centre, radius in ((a, radii[:, 0]), (b, radii[:, 1])):
        square = radius**2 - (y - centre[:, 1]) ** 2
        half = np.sqrt(np.maximum(square, 0))
        left = np.where(square >= 0, np.minimum(left, centre[:, 0] - half), left)
        right = np.where(square >= 0, np.maximum(right, centre[:, 0] + half), right)
    along = b - a
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-12)
    along /= length[:, None]
    # Both discs touch the two sides of the hull where these normals point: with radii that differ
    # by more than the length the larger disc holds the other, and there are no sides.
    lean = (radii[:, 0] - radii[:, 1]) / length
    upright = np.sqrt(np.maximum(1 - lean**2, 0))[:, None]
    lean = lean.clip(-1, 1)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    for normal in (along * lean + across * upright, along * lean - across * upright):
        start, end = a + normal * radii[:, :1], b + normal * radii[:, 1:]
        rise = end[:, 1] - start[:, 1]
        rise = np.where(np.abs(rise) < 1e-12, np.inf, rise)
        step = (y - start[:, 1]) / rise
        on = (step >= 0) & (step <= 1) & np.isfinite(rise) & (upright[:, 0] > 0)
        x = start[:, 0] + step * (end[:, 0] - start[:, 0])
        left = np.where(on, np.minimum(left, x), left)
        right = np.where(on, np.maximum(right, x), right)
    return _span(left, right, left <= right)


def _ellipse(a: np.ndarray, b: np.ndarray, y: np.ndarray, radii: np.ndarray) -> Marks:
    """Mark the ellipses inscribed in the boxes with corners a and b."""
    centre, half = (a + b) / 2, np.maximum(np.abs(b - a) / 2, 1e-12)
    square = 1 - ((y - centre[:, 1]) / half[:, 1]) ** 2
    reach = half[:, 0] * np.sqrt(np.maximum(square, 0))
    return _span(centre[:, 0] - reach, centre[:, 0] + reach, square >= 0)


def _outline(a: np.ndarray, b: np.ndarray, y: np.ndarray, radii: np.ndarray) -> Marks:
    """Mark each edge a-b by its direction: the sum is the winding number."""
    weight = np.sign(b[:, 1] - a[:, 1]).astype(np.int32)
    # Taken from its upper end, an edge rounds alike in both directions, and they cancel.
    upper, lower = np.where(weight[:, None] < 0, (b, a), (a, b))
    rise = lower[:, 1] - upper[:, 1]
    crossed = (weight != 0) & (y < lower[:, 1])
    step = (y - upper[:, 1]) / np.where(rise == 0, 1, rise)
    x = np.where(crossed, upper[:, 0] + step * (lower[:, 0] - upper[:, 0]), upper[:, 0])
    return [(np.ceil(x - 0.5), weight * crossed)]

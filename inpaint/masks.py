"""Masks: (H, W) bool arrays where True is repainted. Drawn, read, grown, feathered, or random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from inpaint import pictures
from inpaint.pictures import Picture

TOOLS = ("brush", "eraser", "rectangle", "ellipse", "lasso", "polygon", "invert", "clear")
MAX_STROKES, MAX_POINTS = 10_000, 1_000_000
MAX_SIDE = 100_000  # pixels; of the picture drawn on, and of a radius
MAX_WORK = 100_000_000  # rows that all segments together cross, and 32 pixels count as one

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke. Pixel (i, j) covers [i, i + 1) x [j, j + 1) of the plane of its points.

    A brush or eraser reaches `radius` around its line; a rectangle or ellipse lies between its
    first and last point; a lasso or polygon is closed and filled; invert and clear need none.
    """

    tool: str
    radius: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    erase: bool = False


@dataclass(frozen=True, slots=True)
class Strokes:
    """What was drawn, in order, on a picture of `size` (width, height)."""

    size: Size
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def parse(cls, payload: object) -> Strokes:
        """Check and take over {"width", "height", "strokes": [{"tool", "radius", "points"}]}.

        Raises
        ------
        ValueError
            With one sentence, for anything else: the payload comes from a browser.
        """
        if not isinstance(payload, dict) or not isinstance(payload.get("strokes"), list):
            raise ValueError("A drawing needs a width, a height and a list of strokes.")
        size = tuple(payload.get(side) for side in ("width", "height"))
        if any(type(side) is not int or not 1 <= side <= MAX_SIDE for side in size):
            raise ValueError(f"A drawing's width and height are whole numbers from 1, not {size}.")
        if len(payload["strokes"]) > MAX_STROKES:
            raise ValueError(f"A drawing has at most {MAX_STROKES:,} strokes.")
        strokes = tuple(_parse_stroke(item) for item in payload["strokes"])
        if sum(len(stroke.points) for stroke in strokes) > MAX_POINTS:
            raise ValueError(f"A drawing has at most {MAX_POINTS:,} points.")
        return cls((payload["width"], payload["height"]), strokes)


def _parse_stroke(item: object) -> Stroke:
    if not isinstance(item, dict) or item.get("tool") not in TOOLS:
        raise ValueError(f"A stroke's tool is one of {', '.join(TOOLS)}.")
    radius, points = item.get("radius", 0), item.get("points", [])
    erase = item.get("erase", False)
    if not _is_number(radius) or not 0 <= radius <= MAX_SIDE:
        raise ValueError(f"A stroke's radius is a number of pixels up to {MAX_SIDE:,}.")
    if not isinstance(erase, bool):
        raise ValueError("A stroke's 'erase' is true or false.")
    if not isinstance(points, list) or len(points) > MAX_POINTS:
        raise ValueError(f"A stroke's points are a list of at most {MAX_POINTS:,} pairs.")
    for point in points:
        if (
            not isinstance(point, list | tuple)
            or len(point) != 2
            or not all(map(_is_number, point))
        ):
            raise ValueError("A stroke's points are pairs of finite numbers.")
    pairs = tuple((float(x), float(y)) for x, y in points)
    return Stroke(item["tool"], float(radius), pairs, erase)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e7  # false for NaN and infinities


# Drawing. In every pixel row a shape has marks: a column and a weight. The running sum of the
# weights is 0 outside the shape. Rows are taken in bands, so that a slanted stroke across a large
# picture costs its own area and not its box's.

Marks = list[tuple[np.ndarray, np.ndarray]]  # columns, weights
_BAND = 128  # rows
_CHUNK = 1 << 20  # marks at once


def rasterize(
    strokes: Strokes, size: Size | None = None, base: np.ndarray | None = None
) -> np.ndarray:
    """Draw strokes: a pixel is painted if its centre is inside.

    Parameters
    ----------
    strokes
        Drawn in order; eraser strokes and shapes that erase take away.
    size
        (width, height) of the mask; strokes are scaled to it. Default: the size drawn on.
    base
        (H, W) bool mask to start from; not changed.

    Returns
    -------
    (H, W) bool.

    Raises
    ------
    ValueError
        If base has another size, or there is too much to draw.
    """
    width, height = size or strokes.size
    if base is not None and base.shape != (height, width):
        raise ValueError(f"The starting mask is {base.shape}, the picture {(height, width)}.")
    mask = np.zeros((height, width), bool) if base is None else base.astype(bool)
    scale = np.array([width / strokes.size[0], height / strokes.size[1]])
    work_left = MAX_WORK
    for stroke in strokes.strokes:
        if stroke.tool == "invert":
            np.logical_not(mask, out=mask)
            work_left -= mask.size // 256
        elif stroke.tool == "clear":
            mask[:] = False
            work_left -= mask.size // 256
        elif stroke.points:
            points = np.array(stroke.points, np.float64) * scale
            radius = stroke.radius * math.sqrt(scale[0] * scale[1])
            work_left -= _draw(mask, stroke, points, radius, work_left)
        if work_left < 0:
            raise _too_much()
    return mask


def _draw(mask: np.ndarray, stroke: Stroke, points: np.ndarray, radius: float, limit: int) -> int:
    """Draw one stroke into mask and return what it cost, in units of `MAX_WORK`."""
    reach, marks_of = 0.0, _outline
    if stroke.tool in ("brush", "eraser"):
        reach, marks_of = radius, _capsules
        starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
    elif stroke.tool == "ellipse":
        marks_of = _ellipse
        starts, ends = points[:1], points[-1:]
    else:
        if stroke.tool == "rectangle":
            (ax, ay), (bx, by) = points[0], points[-1]
            points = np.array([(ax, ay), (bx, ay), (bx, by), (ax, by)])
        starts, ends = points, np.roll(points, -1, axis=0)

    height, width = mask.shape
    top = np.minimum(starts[:, 1], ends[:, 1]) - reach
    bottom = np.maximum(starts[:, 1], ends[:, 1]) + reach
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(int)
    last = np.clip(np.floor(bottom - 0.5) + 1, 0, height).astype(int)
    total = int((last - first).sum())
    if total > limit:
        raise _too_much()
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
        marks = marks_of(starts[index], ends[index], row + 0.5, radius)
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
        part = mask[y0 : y0 + band, x0:x1]
        if stroke.erase or stroke.tool == "eraser":
            part &= ~inside
        else:
            part |= inside
    return total + pixels // 32


def _too_much() -> ValueError:
    return ValueError("There is too much to draw. Use fewer or shorter strokes.")


def _span(left: np.ndarray, right: np.ndarray, there: np.ndarray) -> Marks:
    """Mark the pixels with centres from left to right, both included."""
    weight = there.astype(np.int32)
    left, right = np.where(there, left, 0), np.where(there, right, 0)
    start = np.ceil(left - 0.5)
    return [(start, weight), (np.maximum(start, np.floor(right - 0.5) + 1), -weight)]


def _capsules(a: np.ndarray, b: np.ndarray, y: np.ndarray, radius: float) -> Marks:
    """Mark everything within radius of the segments a-b; a capsule is convex."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for centre in (a, b):
        square = radius**2 - (y - centre[:, 1]) ** 2
        half = np.sqrt(np.maximum(square, 0))
        left = np.where(square >= 0, np.minimum(left, centre[:, 0] - half), left)
        right = np.where(square >= 0, np.maximum(right, centre[:, 0] + half), right)
    along = b - a
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-12)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) * (radius / length)[:, None]
    rise = np.where(along[:, 1] == 0, np.inf, along[:, 1])
    for side in (a + normal, a - normal):
        step = (y - side[:, 1]) / rise
        on = (step >= 0) & (step <= 1) & np.isfinite(rise)
        x = side[:, 0] + step * along[:, 0]
        left = np.where(on, np.minimum(left, x), left)
        right = np.where(on, np.maximum(right, x), right)
    return _span(left, right, left <= right)


def _ellipse(a: np.ndarray, b: np.ndarray, y: np.ndarray, radius: float) -> Marks:
    """Mark the ellipses inscribed in the boxes with corners a and b."""
    centre, half = (a + b) / 2, np.maximum(np.abs(b - a) / 2, 1e-12)
    square = 1 - ((y - centre[:, 1]) / half[:, 1]) ** 2
    reach = half[:, 0] * np.sqrt(np.maximum(square, 0))
    return _span(centre[:, 0] - reach, centre[:, 0] + reach, square >= 0)


def _outline(a: np.ndarray, b: np.ndarray, y: np.ndarray, radius: float) -> Marks:
    """Mark each edge a-b by its direction: the sum is the winding number."""
    rise = b[:, 1] - a[:, 1]
    crossed = (rise != 0) & (y < np.maximum(a[:, 1], b[:, 1]))
    step = (y - a[:, 1]) / np.where(rise == 0, 1, rise)
    x = np.where(crossed, a[:, 0] + step * (b[:, 0] - a[:, 0]), a[:, 0])
    return [(np.ceil(x - 0.5), (np.sign(rise) * crossed).astype(np.int32))]


# Masks from pictures


def read(source: Any, size: Size) -> np.ndarray:
    """Read a mask from a file, array, Pillow image or `Picture`, and fit it to a size.

    Parameters
    ----------
    source
        What `pictures.read` takes. Luma of at least half of full scale is painted, except where
        an alpha channel that is not uniform is less than half. An array of 0 and 1 is a mask too.
    size
        (width, height) of the result; another size is resampled to the nearest pixel.

    Returns
    -------
    (H, W) bool.

    Raises
    ------
    pictures.PictureError
        If the source cannot be read.
    """
    if isinstance(source, np.ndarray) and source.dtype.kind in "ui" and source.max(initial=0) <= 1:
        source = source.astype(bool)
    picture = pictures.read(source)
    columns, rows = (
        ((np.arange(new) + 0.5) * (old / new)).astype(int)
        for new, old in zip(size, picture.size, strict=True)
    )
    nearest = np.ix_(rows, columns)
    chosen = Picture(picture.pixels[nearest])
    if chosen.pixels.shape[2] == 1:
        mask = chosen.pixels[..., 0] >= chosen.maximum / 2
    else:
        mask = chosen.rgb() @ np.array([0.299, 0.587, 0.114], np.float32) >= 0.5
    if picture.alpha is not None and picture.alpha.min() != picture.alpha.max():
        mask &= ~from_alpha(picture)[nearest]
    return np.asarray(mask)


def from_alpha(picture: Picture) -> np.ndarray:
    """Return (H, W) bool, True where the picture is less than half opaque."""
    if picture.alpha is None:
        return np.zeros(picture.size[::-1], bool)
    return np.asarray(picture.alpha < picture.maximum / 2)


# Changing masks


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return (x0, y0, x1, y1) around the True pixels, ends exclusive, or None without any."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[y0:y1].any(axis=0))
    return int(columns[0]), y0, int(columns[-1]) + 1, y1


def _around(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    box = bounding_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)


def _distance(mask: np.ndarray) -> np.ndarray:
    """Euclidean distance from True pixels to the nearest False one, centre to centre.

    (H, W) float32; beyond any picture if no pixel is False.
    """
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance)


def grow(mask: np.ndarray, pixels: float) -> np.ndarray:
    """Return a mask with every pixel whose centre is within `pixels` of one of mask."""
    out = mask.astype(bool)
    part = _around(mask, math.ceil(pixels))
    if pixels > 0 and part is not None:
        out[part] = _distance(~out[part]) <= pixels + 1e-3
    return out


def shrink(mask: np.ndarray, pixels: float) -> np.ndarray:
    """Return the pixels of mask farther than `pixels` from any other pixel of the picture."""
    out = mask.astype(bool)
    part = _around(mask, 1)
    if pixels > 0 and part is not None and not out[part].all():
        out[part] = _distance(out[part]) > pixels + 1e-3
    return out


def feather(mask: np.ndarray, width: float) -> np.ndarray:
    """Return (H, W) float32: 0 outside mask, rising smoothly to 1 at `width` pixels inside.

    The picture's own edge is no border of the mask: nothing is known beyond it to blend with.
    """
    out = mask.astype(np.float32)
    part = _around(mask, 1)
    if width > 0 and part is not None and not mask[part].all():
        depth = np.clip((_distance(mask[part]) - 0.5) / width, 0, 1)  # the border is half a pixel
        out[part] = depth * depth * (3 - 2 * depth)
    return out


def invert(mask: np.ndarray) -> np.ndarray:
    """Return what mask leaves out."""
    return ~mask.astype(bool)


# Random masks for training

FAMILIES = {
    "wide": 0.25,
    "box": 0.20,
    "thin": 0.10,
    "half": 0.12,
    "line": 0.08,
    "inverted": 0.05,
    "full": 0.20,
}


def random_mask(rng: np.random.Generator, size: Size, family: str | None = None) -> np.ndarray:
    """Draw a training mask: wide and thin strokes, boxes, halves and frames, lines, inverted, full.

    The wide and thin strokes follow LaMa (Suvorov et al. 2022, section 3.3), scaled to the window.

    Parameters
    ----------
    rng
        Decides everything.
    size
        (width, height), at least 8 each.
    family
        One of `FAMILIES`; by default drawn with its frequency there.

    Returns
    -------
    (H, W) bool; never empty, and never everything but for "full".
    """
    if min(size) < 8:
        raise ValueError(f"A training mask is at least 8 pixels wide and high, not {size}.")
    if family is None:
        family = str(rng.choice(list(FAMILIES), p=list(FAMILIES.values())))
    if family not in FAMILIES:
        raise ValueError(f"A family of masks is one of {', '.join(FAMILIES)}, not {family}.")
    if family == "full":
        return np.ones(size[::-1], bool)
    while True:  # a stroke may leave the window, or boxes may cover it
        mask = rasterize(Strokes(size, tuple(_random_strokes(rng, size, family))))
        if mask.any() and not mask.all():
            return mask


def _random_strokes(rng: np.random.Generator, size: Size, family: str) -> list[Stroke]:
    side, window = min(size), np.array(size, float)

    def walk(radius: float, corners: int, step: float) -> Stroke:
        turns = rng.normal(0, 0.8, corners).cumsum() + rng.uniform(0, 2 * math.pi)
        steps = rng.uniform(0.2, 1, corners) * step * side
        points = np.stack([np.cos(turns), np.sin(turns)], axis=1) * steps[:, None]
        return _stroke("brush", rng.uniform(0, window) + points.cumsum(axis=0), radius)

    if family == "inverted":
        inner = "wide" if rng.random() < 0.5 else "box"
        return [*_random_strokes(rng, size, inner), Stroke("invert")]
    if family == "wide":
        radii = rng.uniform(0.05, 0.2, rng.integers(1, 4)) * side
        return [walk(radius, int(rng.integers(1, 6)), 0.4) for radius in radii]
    if family == "thin":
        radii = np.maximum(0.75, rng.uniform(0.005, 0.02, rng.integers(1, 7)) * side)
        return [walk(radius, int(rng.integers(3, 12)), 0.25) for radius in radii]
    if family == "line":
        radii = np.maximum(0.75, rng.uniform(0.003, 0.015, rng.integers(1, 6)) * side)
        return [_line(rng, window, radius) for radius in radii]
    if family == "box":
        count = int(rng.integers(1, 4))
        spans = rng.uniform(0.12, 0.6, (count, 2)) * window
        corners = rng.uniform(0, 1, (count, 2)) * (window - spans)
        return [_stroke("rectangle", [c, c + s]) for c, s in zip(corners, spans, strict=True)]
    known = np.array([[0, 0], window])  # half: some sides move in, what is outside is painted
    sides = np.ones(4) if rng.random() < 0.4 else np.eye(4)[rng.integers(4)]
    share = rng.uniform(0.05, 0.3, 4) if sides.all() else rng.uniform(0.15, 0.65, 4)
    moves = (sides * share).reshape(2, 2) * window
    return [_stroke("rectangle", known + moves * [[1], [-1]]), Stroke("invert")]


def _line(rng: np.random.Generator, window: np.ndarray, radius: float) -> Stroke:
    """Draw a line right across the window."""
    angle = rng.uniform(0, math.pi)
    along = np.array([math.cos(angle), math.sin(angle)]) * window.sum()
    middle = rng.uniform(0.05, 0.95, 2) * window
    return _stroke("brush", [middle - along, middle + along], radius)


def _stroke(tool: str, points: Any, radius: float = 0.0) -> Stroke:
    return Stroke(tool, float(radius), tuple((float(x), float(y)) for x, y in points))

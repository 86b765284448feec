"""Masks: (H, W) bool arrays where True is repainted. Drawn, read, grown, feathered, or random."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from inpaint import pictures
from inpaint.pictures import Picture
from inpaint.scanlines import draw, too_much
from inpaint.strokes import Size as Size
from inpaint.strokes import Stroke as Stroke
from inpaint.strokes import Strokes as Strokes

MAX_WORK = 100_000_000  # rows that all segments together cross, and 32 pixels count as one

# Drawing


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
    _draw_all(strokes, mask)
    return mask


def paint(strokes: Strokes, rgb: np.ndarray) -> np.ndarray:
    """Lay the coloured strokes and the pasted pictures over a picture.

    What is erased again, or not in the mask at last, leaves the picture as it was.

    Parameters
    ----------
    strokes
        Scaled to the picture; only "paint" and "paste" have colours.
    rgb
        (H, W, 3) uint8 or uint16; not changed.

    Returns
    -------
    The same shape and type.

    Raises
    ------
    pictures.PictureError
        If a pasted picture cannot be read.
    """
    out = rgb.copy()
    if not strokes.colored:
        return out
    mask, owner = np.zeros(rgb.shape[:2], bool), np.zeros(rgb.shape[:2], np.int32)
    _draw_all(strokes, mask, owner)
    owner[~mask] = 0
    full = np.iinfo(rgb.dtype).max
    colors = np.zeros((len(strokes.strokes) + 1, 3), rgb.dtype)
    flat = np.zeros(len(colors), bool)
    for number, stroke in enumerate(strokes.strokes, 1):
        if stroke.tool == "paint":
            channels = [int(stroke.color[i : i + 2], 16) for i in (1, 3, 5)]
            colors[number], flat[number] = np.array(channels) * (full // 255), True
    painted = flat[owner]
    out[painted] = colors[owner[painted]]
    scale = np.array(rgb.shape[1::-1]) / strokes.size
    for number, stroke in enumerate(strokes.strokes, 1):
        if stroke.tool == "paste" and (owner == number).any():
            _paste(out, owner == number, stroke, scale)
    return out


def _paste(out: np.ndarray, shown: np.ndarray, stroke: Stroke, scale: np.ndarray) -> None:
    """Lay a pasted picture, fitted to its box, over the pixels where it is shown."""
    corners = np.array([stroke.points[0], stroke.points[-1]]) * scale
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    x0, y0, x1, y1 = bounding_box(shown) or (0, 0, 0, 0)
    second = pictures.read(stroke.path)
    laid = pictures.resampled(second, (left, top, right, bottom), (x0, y0, x1, y1))
    full = np.iinfo(out.dtype).max
    part, own = out[y0:y1, x0:x1], shown[y0:y1, x0:x1]
    alpha = laid[..., 3:]
    blend = np.rint(alpha * laid[..., :3] * full + (1 - alpha) * part).astype(out.dtype)
    part[own] = blend[own]


def _draw_all(strokes: Strokes, mask: np.ndarray, owner: np.ndarray | None = None) -> None:
    """Draw strokes into mask, and the number of the colour that lies on top, from 1, into owner."""
    height, width = mask.shape
    scale = np.array([width / strokes.size[0], height / strokes.size[1]])
    work_left = MAX_WORK
    for number, stroke in enumerate(strokes.strokes, 1):
        if stroke.tool in ("grow", "shrink"):
            change = grow if stroke.tool == "grow" else shrink
            mask[:] = change(mask, stroke.radius * math.sqrt(scale.prod()))
            work_left -= mask.size // 16
        elif stroke.tool == "invert":
            np.logical_not(mask, out=mask)
            work_left -= mask.size // 256
        elif stroke.tool == "clear":
            mask[:] = False
            if owner is not None:
                owner[:] = 0
            work_left -= mask.size // 256
        elif stroke.points:
            layers: list[tuple[np.ndarray, int]] = [(mask, not stroke.erases)]
            if owner is not None and (stroke.erases or stroke.tool in ("paint", "paste")):
                layers.append((owner, 0 if stroke.erases else number))
            work_left -= draw(layers, stroke, scale, work_left)
        if work_left < 0:
            raise too_much()


# Masks from pictures


def read(source: Any, size: Size) -> np.ndarray:
    """Read a mask from a file, array, Pillow image or `Picture`, and fit it to a size.

    Parameters
    ----------
    source
        What `pictures.read` takes. Luma of at least half of full scale is painted, except where
        an alpha channel that is not uniform is less than half. An array of 0 and 1 is a mask too.
    size
        (width, height) of the result; a mask of another size and the same shape is resampled to
        the nearest pixel.

    Returns
    -------
    (H, W) bool.

    Raises
    ------
    pictures.PictureError
        If the source cannot be read, or is of another shape.
    """
    if isinstance(source, np.ndarray) and source.dtype.kind in "ui" and source.max(initial=0) <= 1:
        source = source.astype(bool)
    if isinstance(source, np.ndarray) and source.dtype == bool and source.shape == size[::-1]:
        return source.copy()
    picture = pictures.read(source)
    check_shape(picture.size, size)
    columns, rows = (
        ((np.arange(new) + 0.5) * (old / new)).astype(int)
        for new, old in zip(size, picture.size, strict=True)
    )
    nearest = np.ix_(rows, columns)
    chosen = replace(picture, pixels=picture.pixels[nearest], alpha=None)
    if chosen.pixels.shape[2] < 3:  # grey, and at most a plain band
        mask = chosen.pixels[..., 0] >= chosen.maximum / 2
    else:
        mask = chosen.rgb() @ np.array([0.299, 0.587, 0.114], np.float32) >= 0.5
    if picture.alpha is not None and picture.alpha.min() != picture.alpha.max():
        mask &= ~from_alpha(picture)[nearest]
    return np.asarray(mask)


def check_shape(own: Size, wanted: Size) -> None:
    """Refuse a mask that would be stretched, by more than its sides may have been rounded.

    Raises
    ------
    pictures.PictureError
        With one sentence.
    """
    (width, height), (across, down) = own, wanted
    off = abs(width * down - height * across)
    if off > max(across, down, 0.02 * width * down):
        raise pictures.PictureError(
            f"The mask has {width} × {height} pixels and the picture, upright, {across} × {down}: "
            "give a mask of the picture's shape."
        )


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


# Random masks for training

FAMILIES = {
    "wide": 0.25,
    "box": 0.20,
    "thin": 0.10,
    "half": 0.12,
    "line": 0.08,
    "inverted": 0.05,
    "full": 0.20,
    "narrow": 0.0,
}


def random_mask(
    rng: np.random.Generator,
    size: Size,
    family: str | None = None,
) -> np.ndarray:
    """Draw a training mask: wide and thin strokes, boxes, halves and frames, lines, inverted, full.

    The wide and thin strokes follow LaMa (Suvorov et al. 2022, section 3.3), scaled to the window.

    Parameters
    ----------
    rng
        Decides everything.
    size
        (width, height), at least 8 each.
    family
        One of `FAMILIES`; by default drawn with its frequency there. "narrow" is many strokes,
        lines and specks at once, for networks that learn nothing else.

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
    if family == "narrow":
        sizes = np.maximum(0.75, 0.005 * 6 ** rng.random(60) * side).tolist()
        walks = [
            walk(sizes.pop(), int(rng.integers(3, 12)), 0.25) for _ in range(rng.integers(2, 11))
        ]
        lines = [_line(rng, window, sizes.pop()) for _ in range(rng.integers(0, 7))]
        places = rng.uniform(0, 1, (rng.integers(0, 40), 2)) * window
        return [*walks, *lines, *(_stroke("brush", [place], sizes.pop()) for place in places)]
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

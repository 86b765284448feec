"""From a click or a rough stroke to the mask of the object it is on, and from a mask to polygons.

Rother, Kolmogorov and Blake, "GrabCut": interactive foreground extraction using iterated graph
cuts, SIGGRAPH 2004, in OpenCV's implementation, on a small crop around the stroke.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint.masks import Size, Stroke, Strokes, bounding_box

Mask = NDArray[np.bool_]
Rgb = NDArray[np.uint8]
Sides = tuple[bool, bool, bool, bool]
Window = tuple[slice, slice]

WORK_SIDE = 256
"""Longest side of the crop while it is cut, in pixels."""
CLICK = 0.04
"""A stroke with a box narrower than this share of the picture's longer side is a click."""
REACHES = (0.12, 0.25, 0.5, 1.0)
"""How far from a stroke an object is looked for, as shares of the picture's longer side."""
SAME = 0.75
"""How far what is found in a wider window agrees, as a ratio of areas, if it is the same object."""
CLEAR, STEP = 0.45, 20.0
"""A mean contrast around what was found at which it is one, and the CIELAB step that is full."""
BESIDE = 8
"""What ends this near to a side of the window, in pixels at working size, may go on beyond it."""
NECK = 0.04
"""What hangs together by less than this, of the square root of its area, is two objects."""
LIKE = 14.0
"""Largest distance in CIELAB at which a neighbour belongs to what was clicked."""
ENCLOSED = 0.3
"""A stroke that encloses this share of what it and its inside cover is drawn around an object."""
ITERATIONS = 2


def snap(rgb: Rgb, rough: Mask) -> Mask:
    """Find the object under a click or a rough stroke.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    rough
        (H, W) bool: a dot on the object, a scribble over it, or a closed line around it.

    Returns
    -------
    (H, W) bool: the object without holes, only what is connected with the stroke; the stroke
    itself where nothing can be told apart.
    """
    box = bounding_box(rough)
    if box is None or rough.all() or min(rough.shape) < 8:
        return rough.copy()
    click = max(box[2] - box[0], box[3] - box[1]) <= max(24, CLICK * max(rough.shape))
    window, cuts = _window(box, rough.shape, REACHES[0] * max(rough.shape))
    found = _found(rgb[window], rough[window], cuts, click)
    for share in REACHES[1:]:
        if found.whole or not any(cuts):
            break  # else a wider window may hold all of the object
        wide, cuts = _window(box, rough.shape, share * max(rough.shape))
        other = _found(rgb[wide], rough[wide], cuts, click)
        if found.vague or _agree(found, window, other, wide):
            found, window = other, wide
    if not found.cut.any() or found.cut.mean() > 0.9:
        return rough.copy()
    out = rough & found.own  # what was drawn around an object is not the object
    out[window] |= _enlarged(found.cut, found.small, rgb[window])
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was cut out of a window, at its working size.

    Attributes
    ----------
    cut
        (h, w) bool: the object.
    small
        (h, w, 3) uint8: the window.
    own
        Whether the stroke lies on the object, and not around it.
    whole
        Whether it is clear, and no side of the window cuts through it.
    vague
        Whether it is no more than the stroke, all of the window, or without contrast.
    """

    cut: Mask
    small: Rgb
    own: bool
    whole: bool
    vague: bool


def _found(pixels: Rgb, stroke: Mask, cuts: Sides, click: bool) -> _Found:
    factor = min(1.0, WORK_SIDE / max(stroke.shape))
    size = tuple(max(1, round(side * factor)) for side in stroke.shape[::-1])
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(stroke.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sure = share > min(0.25, 0.5 * share.max())
    seeds, likely, possible = _guess(small, sure, click)
    possible &= ~_rim(sure.shape, cuts)
    cut = _whole(_cut(small, seeds & possible, likely, possible), seeds)
    vague = cut.sum() < 1.5 * seeds.sum() or cut.mean() > 0.9 or _contrast(small, cut) < CLEAR
    whole = not vague and not (cut & _rim(cut.shape, cuts, BESIDE)).any()
    return _Found(cut, small, bool(seeds.any()), bool(whole), bool(vague))


def _agree(found: _Found, window: Window, wider: _Found, crop: Window) -> bool:
    """Whether what a wider window shows is the same object where both look."""
    (rows, columns), (all_rows, all_columns) = window, crop
    height, width = wider.cut.shape
    scale = (
        height / (all_rows.stop - all_rows.start),
        width / (all_columns.stop - all_columns.start),
    )
    part = wider.cut[
        round((rows.start - all_rows.start) * scale[0]) : round(
            (rows.stop - all_rows.start) * scale[0]
        ),
        round((columns.start - all_columns.start) * scale[1]) : round(
            (columns.stop - all_columns.start) * scale[1]
        ),
    ]
    size = part.shape[::-1]
    before = cv2.resize(found.cut.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    return bool((part & before).sum() >= SAME * (part | before).sum())


def _contrast(small: Rgb, cut: Mask) -> float:
    """Mean step in colour across the outline, as a share of `STEP`."""
    disc = np.ones((3, 3), np.uint8)
    grown = cv2.dilate(cut.astype(np.uint8), disc) > 0
    outline = cut & (cv2.erode(cut.astype(np.uint8), disc, borderValue=1) == 0)
    if not outline.any() or grown.all():
        return 0.0
    lab = _lab(small)
    steps = np.linalg.norm(cv2.dilate(lab, disc) - cv2.erode(lab, disc), axis=2)
    return float(np.minimum(steps[outline] / STEP, 1).mean())


def contours(mask: Mask, tolerance: float = 0.9) -> Strokes:
    """Turn a mask into polygons, one for each part: along its outline, and around its holes.

    A hole is gone around the other way, so that nothing winds around what is in it: whether the
    polygons add or take away, what was there before stays in it.

    Parameters
    ----------
    mask
        (H, W) bool.
    tolerance
        How far, in pixels, a simplified outline may lie from the exact one.

    Returns
    -------
    Strokes whose `masks.rasterize` is the mask but for its simplified rim.
    """
    height, width = mask.shape
    x0, y0, x1, y1 = bounding_box(mask) or (0, 0, 0, 0)
    # Outlines run through the centres of rim pixels; at three times the size those centres lie a
    # third of a pixel from the rim, and parts of one pixel have an area.
    large = mask[y0:y1, x0:x1].astype(np.uint8).repeat(3, 0).repeat(3, 1)
    found, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    strokes = []
    for outline, (_, _, hole, parent) in zip(found, tree[0] if found else (), strict=True):
        if parent >= 0:
            continue
        points = _simplified(outline, 3 * tolerance)
        start = points[0]
        while hole >= 0:
            inner = _simplified(found[hole], 3 * tolerance)
            points += [start, *inner, inner[0]]  # there and, in the end, back on the same way
            hole = tree[0][hole][0]
        placed = tuple((x0 + (x + 0.5) / 3, y0 + (y + 0.5) / 3) for x, y in points)
        strokes.append(Stroke("polygon", points=placed))
    return Strokes((width, height), tuple(strokes))


def _simplified(outline: NDArray[np.int32], tolerance: float) -> list[list[int]]:
    simple = cv2.approxPolyDP(outline, tolerance, True)[:, 0]
    found: list[list[int]] = (simple if len(simple) >= 3 else outline[:, 0]).tolist()
    return found


def _window(box: tuple[int, int, int, int], shape: Size, reach: float) -> tuple[Window, Sides]:
    """Cut out the stroke with enough around it to tell the object from its surroundings.

    Returns the window, and which of its sides (left, top, right, bottom) cut the picture.
    """
    x0, y0, x1, y1 = box
    height, width = shape
    margin = math.ceil(max(reach, 0.75 * max(x1 - x0, y1 - y0)))
    left, top = max(0, x0 - margin), max(0, y0 - margin)
    right, bottom = min(width, x1 + margin), min(height, y1 + margin)
    cuts = (left > 0, top > 0, right < width, bottom < height)
    return (slice(top, bottom), slice(left, right)), cuts


def _rim(shape: Size, cuts: Sides, depth: int = 1) -> Mask:
    """Mark the pixels along the sides that cut the picture: there the object may not end."""
    rim = np.zeros(shape, bool)
    left, top, right, bottom = cuts
    rim[:, :depth] |= left
    rim[:depth] |= top
    rim[:, -depth:] |= right
    rim[-depth:] |= bottom
    return rim


def _guess(small: Rgb, sure: Mask, click: bool) -> tuple[Mask, Mask, Mask]:
    """Say where the object surely is, where it probably is, and where it may be at all."""
    everywhere = np.ones_like(sure)
    if click:
        return sure, _alike(small, sure), everywhere
    # What a stroke encloses, or lies between its arms, is meant too.
    filled = _filled(sure)
    enclosed = filled & ~sure
    if enclosed.sum() > ENCLOSED * filled.sum():  # the line itself is not the object
        return np.zeros_like(sure), enclosed, filled
    sure = _own(small, sure)
    hull = np.zeros(sure.shape, np.uint8)
    points = np.argwhere(sure)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return sure, (hull > 0) | _alike(small, sure), everywhere


def _own(small: Rgb, sure: Mask) -> Mask:
    """Leave out of a stroke what looks like the crop's rim: a rough stroke strays off its object.

    Where most of the stroke looks like the rim, the object reaches the rim: then nothing is left
    out.
    """
    rim = np.ones_like(sure)
    rim[1:-1, 1:-1] = False
    own = sure & (_distance(_lab(small), rim & ~sure) > LIKE)
    return own if 2 * own.sum() > sure.sum() else sure


def _alike(small: Rgb, sure: Mask) -> Mask:
    """Grow from the stroke over what looks like it."""
    return _connected(_distance(_lab(small), sure) < LIKE, sure)


def _lab(small: Rgb) -> NDArray[np.float32]:
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(cv2.bilateralFilter(lab, 5, 12, 3))


def _distance(lab: NDArray[np.float32], where: Mask) -> NDArray[np.float32]:
    """Distance of every pixel's colour to the nearest of some colours in a mask."""
    palette = lab[where]
    palette = palette[:: max(1, len(palette) // 24)]
    nearest = np.full(where.shape, np.inf, np.float32)
    for colour in palette:
        np.minimum(nearest, np.linalg.norm(lab - colour, axis=2), out=nearest)
    return nearest


def _cut(small: Rgb, sure: Mask, likely: Mask, possible: Mask) -> Mask:
    """Cut the object out; without both kinds of pixels to learn from, return what is likely."""
    labels = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[~possible] = cv2.GC_BGD
    labels[sure] = cv2.GC_FGD
    inside = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if min(inside.sum(), (~inside).sum()) < 16 or small.std(axis=(0, 1)).max() < 1:
        return sure
    cv2.setRNGSeed(0)  # the colour models start from k-means
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(small, labels, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # one colour on one side: no model can be fitted
        return sure
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _whole(cut: Mask, sure: Mask) -> Mask:
    """Keep what is connected with the stroke by more than a thin neck, and close its holes."""
    if not sure.any():
        return _filled(_opened(cut, 1))
    object_alone = _connected(cut | sure, sure)
    radius = max(1, round(NECK * math.sqrt(object_alone.sum())))
    body = _connected(_opened(object_alone, radius) | sure, sure)
    # What is thin grows back beside the body, as far as a neck is wide.
    return _filled(
        _opened(object_alone, 1) & (cv2.dilate(body * np.uint8(1), _disc(radius)) > 0) | sure
    )


def _opened(mask: Mask, radius: int) -> Mask:
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius))
    return np.asarray(opened > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    )


def _connected(mask: Mask, seeds: Mask) -> Mask:
    count, label = cv2.connectedComponents((mask | seeds).astype(np.uint8), connectivity=4)
    kept = np.zeros(count, bool)
    kept[label[seeds]] = True
    return np.asarray(kept[label])


def _filled(mask: Mask) -> Mask:
    """Close all holes."""
    rim = np.pad(~mask, 1, constant_values=True)
    outside = np.zeros_like(rim)
    outside[0, 0] = True
    return np.asarray(~_connected(rim, outside)[1:-1, 1:-1])


def _enlarged(found: Mask, small: Rgb, pixels: Rgb) -> Mask:
    """Bring the mask to the crop's size, its rim where the picture's own edges are.

    A local linear fit of the mask to the colours (He et al. 2010, guided filter), solved small and
    applied to the full-size colours.
    """
    height, width = pixels.shape[:2]
    if found.shape == (height, width):
        return found
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    target = found.astype(np.float32)
    side, softness = 5, 1e-3

    def mean(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(image, (side, side)))

    slope = (mean(guide * target) - mean(guide) * mean(target)) / (
        mean(guide * guide) - mean(guide) ** 2 + softness
    )
    offset = mean(target) - slope * mean(guide)
    full = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    slope, offset = (
        cv2.resize(mean(part), (width, height), interpolation=cv2.INTER_LINEAR)
        for part in (slope, offset)
    )
    smooth = slope * full + offset
    # Nothing changes farther from the small mask's rim than its own pixels are wide.
    kernel = np.ones((3, 3), np.uint8)
    inner, outer = (
        cv2.resize(step(target, kernel), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        for step in (cv2.erode, cv2.dilate)
    )
    return np.asarray(inner | (outer & (smooth > 0.5)))

"""Folds: straight creases from edge to edge of a sheet, worn down to its white paper."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint.damage.candidates import Light, Mask

PAPER = 0.95
"""What shines through a worn fold, in every channel: a yellow line on a road is no fold."""
WORN = 0.3
"""Least share of the way to the paper that counts in full."""
WHITE = 0.5
"""Least tone of what is worn: at least half white."""
SLOPES = np.linspace(-0.3, 0.3, 49)
"""Sheets are folded along their sides, more or less."""
PARTS = 6
"""Of its length, each of which must be worn, if more than the share KNOWN of it can tell."""
KNOWN = 0.3
SIDE = 4
"""Pixels of the halved picture from the middle of a fold to where its sides are seen."""
APART = 8
"""Pixels of the halved picture between two folds."""
PARALLEL = 3
"""A sheet is rarely folded that often one way, and stairs have more steps."""
LIMIT = 0.8
STEEPNESS = 0.5
"""Least score at a sensitivity of 0.5, and how far the sensitivity lowers it."""
ACROSS = 16
"""Pixels to both sides of a fold that its profile is taken from."""
ALONG = 41
"""Pixels along a fold that are looked at together."""
STRAY = 5
"""Pixels by which a fold may leave its straight line."""
RIM = 0.4
"""Share of its height at which the profile ends."""
WIDEST, LOPSIDED, STEP = 9, 2, 0.4
"""Most of a profile: its width, how far its halves differ in that, both in pixels, and how far the
ground does on its two sides, as a share of its height. A beach lies between two regions."""


def folds(rgb: Light, sensitivity: float) -> Mask:
    """Find the folds of (h, w, 3) in [0, 1]; returns (h, w) bool."""
    plane = rgb.min(axis=2)
    found = np.zeros(plane.shape, bool)
    for sheet, marks in ((plane, found), (np.ascontiguousarray(plane.T), found.T)):
        half = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        lines = list(_lines(*_evidence(half)))
        usual = lines[PARALLEL - 1][0] if len(lines) >= PARALLEL else 0.0
        for score, slope, middle in lines:
            if score - usual / 2 > LIMIT + STEEPNESS * (0.5 - sensitivity):
                x = np.arange(sheet.shape[1])
                _mark(marks, sheet, 2 * middle + slope * (x - x.mean()))
    return found


def _evidence(sheet: Light) -> tuple[Light, Light]:
    """Say from -1 to 1 how much each pixel looks worn, next to what is above and below it.

    The second is how much that counts, from 0 to 1: on white ground no fold is seen.
    """
    middle = cv2.blur(sheet, (3, 3), borderType=cv2.BORDER_REFLECT)
    wide = cv2.copyMakeBorder(middle, SIDE, SIDE, 0, 0, cv2.BORDER_CONSTANT, value=PAPER)
    beside = cv2.max(wide[: -2 * SIDE], wide[2 * SIDE :])
    room = np.maximum(PAPER - beside, 0.05)
    worn = ((middle - beside) / (WORN * room)).clip(-1, 1)
    return cv2.dilate(worn, np.ones((3, 1), np.uint8)), (room / 0.3).clip(0, 1)


def _lines(worn: Light, counts: Light) -> Iterator[tuple[float, float, int]]:
    """Yield the best straight lines from edge to edge that keep apart: score, slope, middle.

    A line's score is the mean evidence along it, averaged with that of its weakest part: a line on
    a field ends somewhere, a fold at the edges of the sheet.
    """
    height, width = worn.shape
    evidence = worn * counts
    starts = np.arange(PARTS) * width // PARTS
    scores = np.zeros((len(SLOPES), height), np.float32)
    for row, slope in zip(scores, SLOPES, strict=True):
        shear = np.array([[1, 0, 0], [slope, 1, -slope * (width - 1) / 2]])
        how = cv2.INTER_NEAREST + cv2.WARP_INVERSE_MAP
        seen, count = (
            np.add.reduceat(cv2.warpAffine(m, shear, (width, height), flags=how), starts, axis=1)
            for m in (evidence, counts)
        )
        whole = seen.sum(1) / np.maximum(count.sum(1), 1)
        known = count >= KNOWN * width / PARTS
        weakest = np.where(known, seen / np.maximum(count, 1), 1).min(1)
        row[:] = np.where(known.sum(1) >= PARTS / 2, (whole + weakest) / 2, 0)
    middles = np.arange(height)
    left, right = (middles + way * SLOPES[:, None] * width / 2 for way in (-1, 1))
    while scores.any():
        best = np.unravel_index(scores.argmax(), scores.shape)
        if scores[best] <= 0:
            return
        yield float(scores[best]), float(SLOPES[best[0]]), int(best[1])
        ends = left - left[best], right - right[best]
        apart = np.minimum(*ends) >= APART, np.maximum(*ends) <= -APART
        scores[~(apart[0] | apart[1])] = 0


def _mark(marks: Mask, sheet: Light, line: NDArray[np.float64]) -> None:
    """Mark along a line, y by x, in the width of its mean profile, if that is a fold's."""
    height, width = sheet.shape
    offsets = np.arange(-ACROSS, ACROSS + 1)
    x = np.arange(width, dtype=np.float32)

    def strip(line: NDArray[np.float64]) -> Light:
        y = (line + offsets[:, None]).astype(np.float32)
        across = np.broadcast_to(x, y.shape).copy()
        return np.asarray(cv2.remap(sheet, across, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE))

    seen = cv2.blur(strip(line), (ALONG, 5))
    near = seen[ACROSS - STRAY : ACROSS + STRAY + 1]
    stray = cv2.blur((near.argmax(0) - STRAY).astype(np.float32)[None], (ALONG, 1))[0]
    line = line + stray
    straight = strip(line)
    on_sheet = (line > 0) & (line < height - 1)
    profile = straight[:, on_sheet].mean(1)
    sides = profile[:4].mean(), profile[-4:].mean()
    worn = profile - np.interp(offsets, offsets[[0, -1]], sides)
    middle = slice(ACROSS - 2, ACROSS + 3)
    peak = worn[middle].max()
    above, below = (int(np.argmin(half > RIM * peak)) for half in (worn[ACROSS::-1], worn[ACROSS:]))
    narrow = above + below - 1 <= WIDEST and abs(above - below) <= LOPSIDED
    bare = profile[middle].max() >= WHITE
    if not (narrow and bare and abs(sides[0] - sides[1]) <= STEP * peak):
        return
    beside = np.maximum(straight[:4].mean(0), straight[-4:].mean(0))
    shown = cv2.blur((straight[ACROSS] - beside)[None], (ALONG, 1))[0] > 0.5 * peak
    ends = np.flatnonzero(shown)[[0, -1]] if shown.any() else (0, -1)
    rows = np.arange(height)[:, None]
    marks |= (rows > line - above) & (rows < line + below) & (ends[0] <= x) & (x <= ends[1])

"""Find scratches, cracks, folds, dust and date stamps in a photograph.

Filters propose thin lines and small spots that differ from both sides of themselves. Photographs
are full of such things too, so each candidate is scored by what tells damage from content: damage
is laid over the picture, so that the picture goes on unchanged beyond it while its own tone stays
the same; it stands alone; it is white rather than dark. A picture counts as damaged only if one
candidate is beyond doubt, and then the less certain ones are taken with it: a clean photograph
yields nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Light = NDArray[np.float32]

WORK_PIXELS = 1_500_000
"""Larger pictures are looked at in this many pixels; on a scan of that size damage is large too."""
LEVELS = 3
"""Each halves the picture once more, and finds what is twice as wide."""
LEAST_SIDE = 24
ANGLES = 16
PIECE = 7
"""Pixels; a line is seen in three such pieces in a row, all of which must stand out."""
SIDE = 3
"""Pixels from the middle of a line to where its sides are seen."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

LINE_WEIGHTS: dict[str, float] = {
    "length": 1.75,
    "contrast": 2.29,
    "clear": -0.95,
    "behind": 2.08,
    "sides": -2.09,
    "tone": 3.11,
    "busy": -2.26,
    "alone": 0.70,
    "dark": -1.78,
    "bias": -16.31,
}
SPECK_WEIGHTS: dict[str, float] = {
    "size": -1.37,
    "round": -1.15,
    "contrast": 2.30,
    "behind": -0.76,
    "tone": 11.64,
    "colour": -0.47,
    "sharp": 1.92,
    "near": -1.44,
    "busy": -1.86,
    "alone": 0.78,
    "dark": -1.30,
    "bias": -18.00,
}
"""Log-odds per feature; `python -m inpaint.tools.damage_fit FOLDER` fits and prints them."""

LINE_SURE, LINE_COMPANY = 2.2, 0.2
"""Score of a line that proves damage, and of those that are then taken with it."""
SPECK_SURE, SPECK_COMPANY, SPECKS = 2.5, 0.5, 5
"""The same for specks, where it takes so many to prove dust: a bird is a speck too."""
STEEPNESS = 8.0
"""How far a sensitivity from 0 to 1 lowers all these scores; they hold at 0.5."""


def find(rgb: NDArray[Any], sensitivity: float = 0.5) -> Mask:
    """Propose what to repair.

    Parameters
    ----------
    rgb
        (H, W, 3) or (H, W): uint8, uint16, or float in [0, 1].
    sensitivity
        From 0, only what is beyond doubt, to 1, all that may be damage. More never finds less.

    Returns
    -------
    (H, W) bool, True where damaged; empty for most photographs without damage at 0.5 and below.

    Raises
    ------
    ValueError
        If the sensitivity or the shape is out of range.
    """
    if not 0 <= sensitivity <= 1:
        raise ValueError(f"sensitivity must be from 0 to 1, got {sensitivity}")
    if rgb.ndim not in (2, 3) or (rgb.ndim == 3 and rgb.shape[2] not in (1, 3)):
        raise ValueError(f"A picture has shape (H, W) or (H, W, 3), not {rgb.shape}.")
    height, width = rgb.shape[:2]
    images = list(levels(rgb))
    if not images:
        return np.zeros((height, width), bool)
    ease = STEEPNESS * (sensitivity - 0.5)
    proof = math.ceil(SPECKS * 2 * (1 - sensitivity))
    found = _taken(images, lines, LINE_WEIGHTS, LINE_SURE - ease, LINE_COMPANY - ease, 1)
    found |= _taken(images, specks, SPECK_WEIGHTS, SPECK_SURE - ease, SPECK_COMPANY - ease, proof)
    found |= stamp(images[0])
    if not found.any():
        return np.zeros((height, width), bool)
    found = cv2.dilate(found.astype(np.uint8), _disc(1))  # a trace left at the rim would show
    return np.asarray(_resized(found, (width, height)) > 0)


def _taken(
    images: list[Light],
    propose: Callable[[Light], Iterator[Candidates]],
    weights: dict[str, float],
    sure: float,
    company: float,
    proof: int,
) -> Mask:
    """Mark the candidates above `company` if at least `proof` of them are above `sure`."""
    height, width = images[0].shape[:2]
    kept = np.zeros((height, width), bool)
    proposed = [[(c, c.scores(weights)) for c in propose(image)] for image in images]
    every = [scores for level in proposed for _, scores in level]
    if sum(int((scores > sure).sum()) for scores in every) >= max(1, proof):
        for level in proposed:
            for candidates, scores in level:
                if (scores > company).any():
                    drawn = candidates.drawn(scores > company).astype(np.uint8)
                    kept |= _resized(drawn, (width, height)) > 0
    return kept


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
    standing : (h, w) float32
        How far every pixel stands out from what is wider than damage.
    """

    features: dict[str, NDArray[np.float64]]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    owner: NDArray[np.intp]
    contrast: NDArray[np.float64]
    standing: Light

    def scores(self, weights: dict[str, float]) -> NDArray[np.float64]:
        """Log-odds of being damage."""
        score = np.full(len(self.contrast), weights["bias"])
        for name, values in self.features.items():
            score += weights[name] * values
        return score

    def drawn(self, chosen: Mask) -> Mask:
        """Mark the chosen candidates in their whole width and to their ends."""
        kept = chosen[self.owner]
        at = self.rows[kept], self.columns[kept]
        # The least contrast near by decides, so that choosing more never marks less.
        needed = np.full(self.standing.shape, np.inf, np.float32)
        needed[at] = 0.5 * self.contrast[self.owner[kept]]
        reached = self.standing > cv2.erode(needed, _disc(8))
        reached[at] = True
        count, label = cv2.connectedComponents(reached.astype(np.uint8), connectivity=8)
        joined = np.zeros(count, bool)
        joined[label[at]] = True
        joined[0] = False
        return np.asarray(joined[label])


def lines(rgb: Light) -> Iterator[Candidates]:
    """Yield the bright, then the dark lines of (h, w, 3) in [0, 1], as candidates."""
    light = rgb @ LUMA
    responses, angles = _line_responses(light)
    # Texture answers everywhere: a line must stand out from the answers around it, and from grain.
    answers = np.minimum(cv2.max(*responses), np.float32(0.05))
    around = cv2.blur(answers, (41, 41), borderType=cv2.BORDER_REFLECT)
    grain = float(np.median(np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))))
    scale = around + np.float32(0.003 + 0.75 * grain)
    sure = [response > 7 * scale for response in responses]
    crowd = _count_around(sure[0] | sure[1], 81)
    for sign, (response, angle, seeds) in enumerate(zip(responses, angles, sure, strict=True)):
        tone = light if sign == 0 else 1 - light
        found = _components(response > 3 * scale, seeds, join=5, least=14, most=None)
        if found is None:
            continue
        rows, columns, owner = found
        at = rows, columns
        mean = _Mean(owner)
        turn = angle[at] * (math.pi / ANGLES)
        down = np.rint((SIDE + 1) * np.cos(turn)).astype(int)
        right = np.rint(-(SIDE + 1) * np.sin(turn)).astype(int)
        left_side, right_side = (
            tone[
                np.clip(rows + way * down, 0, tone.shape[0] - 1),
                np.clip(columns + way * right, 0, tone.shape[1] - 1),
            ]
            for way in (1, -1)
        )
        length, _ = mean.extent(rows, columns)
        contrast = mean(response[at])
        own_sure = mean(seeds[at]) * mean.count
        opened = cv2.morphologyEx(tone, cv2.MORPH_OPEN, _disc(4))
        features = {
            "length": np.log(length),
            "contrast": np.log(contrast + 0.005),
            "clear": np.log(mean(response[at] / scale[at])),
            "behind": np.log(mean.spread((left_side + right_side) / 2) + 0.01),
            "sides": np.log(mean(np.abs(left_side - right_side)) + 0.005),
            "tone": mean(tone[at]),
            "busy": np.log(mean(around[at]) + 0.001),
            "alone": np.log(np.minimum(own_sure / mean(crowd[at]).clip(1), 1) + 0.02),
            "dark": np.full(len(length), float(sign)),
        }
        yield Candidates(features, rows, columns, owner, contrast, tone - opened)


def specks(rgb: Light) -> Iterator[Candidates]:
    """Yield the bright, then the dark specks of (h, w, 3) in [0, 1], as candidates."""
    light = rgb @ LUMA
    colour = np.abs(rgb - light[..., None]).max(2)
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, _disc(4))
    opened = cv2.morphologyEx(light, cv2.MORPH_OPEN, _disc(4))
    standings = light - opened, closed - light
    answers = np.minimum(cv2.max(*standings), np.float32(0.1))
    around = cv2.blur(answers, (41, 41), borderType=cv2.BORDER_REFLECT)
    near = cv2.blur(answers, (15, 15), borderType=cv2.BORDER_REFLECT)
    slope = cv2.morphologyEx(light, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    sure = [standing > np.maximum(0.12, 5 * around) for standing in standings]
    crowd = _count_around(sure[0] | sure[1], 81)
    for sign, (standing, seeds) in enumerate(zip(standings, sure, strict=True)):
        tone, ground = (light, opened) if sign == 0 else (1 - light, 1 - closed)
        # Half of the height of each speck, found from its top.
        top = cv2.dilate(np.where(seeds, standing, 0), _disc(3))
        found = _components((standing > 0.5 * top) & (top > 0), seeds, join=1, least=3, most=70)
        if found is None:
            continue
        rows, columns, owner = found
        at = rows, columns
        mean = _Mean(owner)
        length, width = mean.extent(rows, columns)
        contrast = mean(standing[at])
        behind = np.sqrt(np.maximum(_blur(ground * ground, 15) - _blur(ground, 15) ** 2, 0))
        features = {
            "size": np.log(mean.count),
            "round": np.log(length / width),
            "contrast": np.log(contrast),
            "behind": np.log(mean(behind[at]) + 0.005),
            "tone": mean(tone[at]),
            "colour": np.log(mean(colour[at]) + 0.02),
            "sharp": np.log(mean(slope[at]) / contrast),
            "near": np.log(mean(near[at]) + 0.002) - np.log(mean.count * contrast),
            "busy": np.log(mean(around[at]) + 0.002),
            "alone": np.log(mean.count / mean(crowd[at]).clip(1)),
            "dark": np.full(len(length), float(sign)),
        }
        yield Candidates(features, rows, columns, owner, contrast, standing)


def stamp(rgb: Light) -> Mask:
    """Find a date burnt in near a corner: a row of thin, glowing orange or red digits.

    rgb: (h, w, 3) in [0, 1]. Returns (h, w) bool.
    """
    height, width = rgb.shape[:2]
    unit = max(height, width)
    red, green, blue = cv2.split(rgb)
    warm = np.where((red > 0.6) & (red >= green), red - blue, 0).astype(np.float32)
    standing = warm - cv2.morphologyEx(warm, cv2.MORPH_OPEN, _disc(max(2, round(0.006 * unit))))
    letters = (standing > 0.3).astype(np.uint8)
    row = np.ones((1, 2 * round(0.016 * unit) + 1), np.uint8)
    joined = cv2.morphologyEx(letters, cv2.MORPH_CLOSE, row)
    count, label, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = np.zeros((height, width), bool)
    for x, y, wide, tall, _ in boxes[1:]:
        middle = x + wide / 2, y + tall / 2
        in_corner = all(
            min(m, side - m) < share * side
            for m, side, share in zip(middle, (width, height), (0.35, 0.16), strict=True)
        )
        if not (in_corner and 0.012 < tall / unit < 0.06 and 2.5 < wide / tall < 12):
            continue
        inside = letters[y : y + tall, x : x + wide]
        _, _, digits, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        full = digits[1:, 3] > 0.8 * tall
        # Nothing of the kind above or below: a stamp has the picture behind it, not its like.
        around = letters[max(0, y - tall) : y + 2 * tall, max(0, x - tall) : x + wide + tall]
        alone = around.sum() < 1.15 * inside.sum()
        if full.sum() >= 3 and full.mean() >= 0.5 and 0.08 < inside.mean() < 0.5 and alone:
            found[y : y + tall, x : x + wide] |= inside > 0
    glow = cv2.dilate(found.astype(np.uint8), _disc(3)) > 0
    return np.asarray(found | (glow & (standing > 0.08)))


def levels(rgb: NDArray[Any]) -> Iterator[Light]:
    """Yield the picture in [0, 1] at the sizes that are searched, the largest first."""
    height, width = rgb.shape[:2]
    factor = math.sqrt(WORK_PIXELS / max(1, height * width))
    if factor < 1:
        rgb = _resized(rgb, (round(width * factor), round(height * factor)))
    full = np.iinfo(rgb.dtype).max if rgb.dtype.kind == "u" else 1
    image = rgb.astype(np.float32) / np.float32(full)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.dstack([image] * 3)
    for _ in range(LEVELS):
        if min(image.shape[:2]) < LEAST_SIDE:
            return
        yield image
        image = _resized(image, (image.shape[1] // 2, image.shape[0] // 2))


def _resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Shrink by averaging, enlarge to the nearest; size: (width, height)."""
    smaller = size[0] < image.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(image, size, interpolation=way))


# Filters


def _line_responses(light: Light) -> tuple[list[Light], list[NDArray[np.uint8]]]:
    """Return how far the best line through each pixel stands out, and its angle; bright and dark.

    A line is lighter (darker) than both of its sides in all of three pieces: an edge, which has
    one such side, gives nothing, nor does a spot.
    """
    best = [np.zeros_like(light) for _ in range(2)]
    angles = [np.zeros(light.shape, np.uint8) for _ in range(2)]
    margin = PIECE + 1
    around = margin + SIDE
    wide = cv2.copyMakeBorder(light, around, around, around, around, cv2.BORDER_REFLECT_101)
    for index in range(ANGLES):
        turn = math.pi * index / ANGLES
        along = round(PIECE * math.cos(turn)), round(PIECE * math.sin(turn))
        across = round(-SIDE * math.sin(turn)), round(SIDE * math.cos(turn))
        piece = cv2.filter2D(wide, -1, _piece(turn))
        middle, *sides = (_moved(piece, SIDE, across, way) for way in (0, 1, -1))
        contrasts = cv2.subtract(middle, cv2.max(*sides)), cv2.subtract(cv2.min(*sides), middle)
        for contrast, most, angle in zip(contrasts, best, angles, strict=True):
            first, second, third = (_moved(contrast, margin, along, way) for way in (-1, 0, 1))
            response = cv2.min(cv2.min(first, second), third)
            angle[response > most] = index
            cv2.max(response, most, dst=most)
    return best, angles


def _piece(turn: float) -> Light:
    """Average along a line of PIECE pixels at an angle in radians, a pixel or two wide."""
    x, y = np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))
    along = x * math.cos(turn) + y * math.sin(turn)
    across = y * math.cos(turn) - x * math.sin(turn)
    weights = np.exp(-(across**2)) * np.clip(PIECE / 2 + 0.5 - np.abs(along), 0, 1)
    return np.asarray(weights / weights.sum(), np.float32)


def _moved(image: Light, margin: int, step: tuple[int, int], way: int) -> Light:
    """Cut the margin off an image that is moved by `way` steps of (x, y) within it."""
    x, y = margin + way * step[0], margin + way * step[1]
    height, width = (side - 2 * margin for side in image.shape)
    return image[y : y + height, x : x + width]


def _components(
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


class _Mean:
    """Means over each candidate's pixels."""

    def __init__(self, owner: NDArray[np.intp]) -> None:
        self.owner, self.count = owner, np.bincount(owner).astype(float)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
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


def _count_around(mask: Mask, side: int) -> Light:
    return _blur(mask.astype(np.float32), side) * np.float32(side * side)


def _blur(image: Light, side: int) -> Light:
    return np.asarray(cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT))


def _disc(radius: int) -> NDArray[np.uint8]:
    x, y = np.meshgrid(*[np.arange(-radius, radius + 1)] * 2)
    return (x * x + y * y <= (radius + 0.4) ** 2).astype(np.uint8)

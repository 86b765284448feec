"""Thin lines: scratches, cracks, and much else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint.damage.candidates import (
    LUMA,
    Candidates,
    Grouped,
    Light,
    Mask,
    components,
    disc,
)
from inpaint.damage.relations import relations

ANGLES = 16
SECTOR = 4
"""Neighbouring angles that one line may take."""
PIECE = 7
"""Pixels; a line is seen in three such pieces in a row, all of which must stand out."""
SIDE = 3
"""Pixels from the middle of a line to where its sides are seen."""


def lines(rgb: Light, odds: Light) -> Iterator[Candidates]:
    """Yield the bright, then the dark lines of (h, w, 3) in [0, 1], as candidates.

    odds: (h, w), what the network says of each pixel.
    """
    light = rgb @ LUMA
    hue = rgb - light[..., None]
    responses, angles = _line_responses(light)
    # Texture answers everywhere: a line must stand out from the answers around it, and from grain.
    answers = np.minimum(cv2.max(*responses), np.float32(0.05))
    around = cv2.blur(answers, (41, 41), borderType=cv2.BORDER_REFLECT)
    grain = float(np.median(np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))))
    scale = around + np.float32(0.003 + 0.75 * grain)
    sure = [response > 7 * scale for response in responses]
    for sign, (response, angle, seeds) in enumerate(zip(responses, angles, sure, strict=True)):
        tone = light if sign == 0 else 1 - light
        found = _by_direction(response > 3 * scale, seeds, angle)
        if found is None:
            continue
        rows, columns, owner = found
        at = rows, columns
        mean = Grouped(owner)
        turn = angle[at] * (math.pi / ANGLES)
        near, *further = (
            [_beside(rows, columns, turn, way * apart, tone.shape) for way in (1, -1)]
            for apart in (SIDE + 1, 2 * SIDE + 2, 3 * SIDE + 3)
        )
        left_side, right_side = (tone[side] for side in near)
        far = [mean(sum(tone[pair[way]] for pair in (near, *further)) / 3) for way in (0, 1)]
        length, _ = mean.extent(rows, columns)
        contrast = mean(response[at])
        opened = cv2.morphologyEx(tone, cv2.MORPH_OPEN, disc(4))
        features = {
            "length": np.log(length),
            "contrast": np.log(contrast + 0.005),
            "behind": np.log(mean.spread((left_side + right_side) / 2) + 0.01),
            "sides": np.log(mean(np.abs(left_side - right_side)) + 0.005),
            "tone": mean(tone[at]),
            "far": np.log(np.abs(far[0] - far[1]) + 0.005),
            "colour": np.log(mean(np.abs(hue[at]).max(1)) + 0.02),
            "hues": np.log(mean(np.abs(hue[near[0]] - hue[near[1]]).max(1)) + 0.01),
            "busy": np.log(mean(around[at]) + 0.001),
            "dark": np.full(len(length), float(sign)),
            "odds": mean(odds[at]),
            **relations(rows, columns, owner, tone.shape),
        }
        ground = opened if sign == 0 else 1 - opened
        yield Candidates(features, rows, columns, owner, contrast, tone - opened, ground, sign == 1)


def _beside(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    turn: NDArray[np.floating[Any]],
    apart: int,
    size: tuple[int, int],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places `apart` pixels beside lines that run at angles in radians."""
    down = np.rint(rows + apart * np.cos(turn)).astype(np.intp)
    right = np.rint(columns - apart * np.sin(turn)).astype(np.intp)
    return np.clip(down, 0, size[0] - 1), np.clip(right, 0, size[1] - 1)


def _by_direction(
    low: Mask, seeds: Mask, angle: NDArray[np.uint8]
) -> tuple[NDArray[np.intp], ...] | None:
    """Group pixels whose lines run the same way, so that a line keeps apart from what it crosses.

    The sectors overlap: a line at the border of one lies within the next.
    """
    found, count = [], 0
    for first in range(0, ANGLES, SECTOR // 2):
        alike = (angle + (ANGLES - first)) % ANGLES < SECTOR
        some = components(low & alike, seeds & alike, join=7, least=14, most=None)
        if some is not None:
            rows, columns, owner = some
            found.append((rows, columns, owner + count))
            count += int(owner.max()) + 1
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True)) if found else None


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

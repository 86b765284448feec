"""Small spots: dust, and much else."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint.damage.candidates import (
    LUMA,
    Candidates,
    Grouped,
    Light,
    blur,
    components,
    count_around,
    disc,
)

WHOLE = 0.85
"""Least share of the pixels around a speck that are darker than it."""


def specks(rgb: Light, odds: Light) -> Iterator[Candidates]:
    """Yield the bright, then the dark specks of (h, w, 3) in [0, 1], as candidates.

    odds: (h, w), what the network says of each pixel.
    """
    light = rgb @ LUMA
    colour = np.abs(rgb - light[..., None]).max(2)
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, disc(4))
    opened = cv2.morphologyEx(light, cv2.MORPH_OPEN, disc(4))
    standings = light - opened, closed - light
    answers = np.minimum(cv2.max(*standings), np.float32(0.1))
    around = cv2.blur(answers, (41, 41), borderType=cv2.BORDER_REFLECT)
    near = cv2.blur(answers, (15, 15), borderType=cv2.BORDER_REFLECT)
    sure = [standing > np.maximum(0.12, 5 * around) for standing in standings]
    crowd = count_around(sure[0] | sure[1], 81)
    for sign, (standing, seeds) in enumerate(zip(standings, sure, strict=True)):
        tone, ground = (light, opened) if sign == 0 else (1 - light, 1 - closed)
        # Half of the height of each speck, found from its top.
        top = cv2.dilate(np.where(seeds, standing, 0), disc(3))
        found = components((standing > 0.5 * top) & (top > 0), seeds, join=1, least=3, most=70)
        if found is None:
            continue
        rows, columns, owner = _whole(tone, *found)
        if not len(owner):
            continue
        at = rows, columns
        mean = Grouped(owner)
        length, width = mean.extent(rows, columns)
        contrast = mean(standing[at])
        behind = np.sqrt(np.maximum(blur(ground * ground, 15) - blur(ground, 15) ** 2, 0))
        features = {
            "size": np.log(mean.count),
            "round": np.log(length / width),
            "contrast": np.log(contrast),
            "behind": np.log(mean(behind[at]) + 0.005),
            "tone": mean(tone[at]),
            "ground": np.log(mean(ground[at]).clip(0) + 0.02),
            "colour": np.log(mean(colour[at]) + 0.02),
            "apart": np.log(np.maximum(mean(tone[at] - blur(tone, 9)[at]) / contrast, 0.05)),
            "near": np.log(mean(near[at]) + 0.002) - np.log(mean.count * contrast),
            "busy": np.log(mean(around[at]) + 0.002),
            "alone": np.log(mean.count / mean(crowd[at]).clip(1)),
            "dark": np.full(len(length), float(sign)),
            "odds": mean(odds[at]),
        }
        base = opened if sign == 0 else closed
        yield Candidates(features, rows, columns, owner, contrast, standing, base, sign == 1)


def _whole(
    tone: Light, rows: NDArray[np.intp], columns: NDArray[np.intp], owner: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Leave out the corners of larger shapes: around a speck it is darker on nearly all sides."""
    label = np.zeros(tone.shape, np.float32)
    label[rows, columns] = owner + 1
    ring = cv2.dilate(label, np.ones((3, 3), np.uint8))
    ring[label > 0] = 0
    around = np.nonzero(ring)
    beside = ring[around].astype(np.intp) - 1
    count = np.bincount(beside, minlength=owner.max() + 1)
    level = Grouped(owner)(tone[rows, columns])
    least = np.full(len(level), np.inf)
    np.minimum.at(least, beside, tone[around])
    darker = tone[around] < (0.75 * level + 0.25 * least)[beside]
    whole = np.bincount(beside, darker, minlength=len(level)) >= WHOLE * count
    kept = whole[owner]
    number = np.cumsum(whole) - 1
    return rows[kept], columns[kept], number[owner[kept]]

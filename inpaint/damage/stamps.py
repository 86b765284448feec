"""Dates that a camera burnt into a corner."""

from __future__ import annotations

import cv2
import numpy as np

from inpaint.damage.candidates import Light, Mask, disc


def stamp(rgb: Light) -> Mask:
    """Find a date burnt in near a corner: a row of thin, glowing orange or red digits.

    rgb: (h, w, 3) in [0, 1]. Returns (h, w) bool.
    """
    height, width = rgb.shape[:2]
    unit = max(height, width)
    red, green, blue = cv2.split(rgb)
    warm = np.where((red > 0.6) & (red >= green), red - blue, 0).astype(np.float32)
    standing = warm - cv2.morphologyEx(warm, cv2.MORPH_OPEN, disc(max(2, round(0.006 * unit))))
    letters = (standing > 0.3).astype(np.uint8)
    row = np.ones((1, 2 * round(0.035 * unit) + 1), np.uint8)
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
    glow = cv2.dilate(found.astype(np.uint8), disc(3)) > 0
    return np.asarray(found | (glow & (standing > 0.08)))

"""A picture of fills side by side, to be looked at."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GAP, LINE = 4, 14
CELL = 128
"""Least side of a shown crop in pixels; smaller ones are enlarged by a whole factor."""


def draw(rows: Sequence[tuple[str, list[NDArray[np.uint8]]]], methods: Sequence[str]) -> bytes:
    """Draw labelled rows of pictures as a PNG.

    Parameters
    ----------
    rows
        A label each, and (S, S, 3) pictures: masked, one by each method, the truth.
    methods
        Names for the columns.
    """
    side = rows[0][1][0].shape[0]
    factor = max(1, -(-CELL // side))
    cell, columns = side * factor, ["masked", *methods, "truth"]
    step, tall = cell + GAP, cell + GAP + LINE
    sheet = Image.new("RGB", (GAP + step * len(columns), LINE + GAP + tall * len(rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for x, name in enumerate(columns):
        pen.text((GAP + x * step, 1), name, fill="black")
    for y, (label, shown) in enumerate(rows):
        top = LINE + y * tall
        pen.text((GAP, top + 1), label, fill="black")
        for x, pixels in enumerate(shown):
            large = pixels.repeat(factor, 0).repeat(factor, 1)
            sheet.paste(Image.fromarray(large), (GAP + x * step, top + LINE))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return data.getvalue()

"""A drawing of what `bench` found: how time and memory grow with the hole."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from inpaint.tools.bench_rows import Row

SIZE, MARGIN = (480, 320), 48
HOLE = re.compile(r"hole of (\d+)")


def draw(found: Mapping[str, Sequence[Row]]) -> Image.Image:
    """Draw two panels on logarithmic axes: seconds and MB against the side of the hole."""
    sheet = Image.new("RGB", (2 * SIZE[0], SIZE[1]), "white")
    for at, unit in enumerate(("s", "MB")):
        points = [
            (float(match[1]), row.value)
            for row in found.get("hole", ())
            if row.unit == unit and row.value > 0 and (match := HOLE.match(row.what))
        ]
        sheet.paste(_panel(points, unit), (at * SIZE[0], 0))
    return sheet


def _panel(points: Sequence[tuple[float, float]], unit: str) -> Image.Image:
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    right, bottom = SIZE[0] - MARGIN, SIZE[1] - MARGIN
    pen.line([(MARGIN, MARGIN), (MARGIN, bottom), (right, bottom)], fill="black")
    pen.text((MARGIN, MARGIN // 3), f"{unit} against the hole's side in px, logarithmic", "black")
    if not points:
        return image
    spans = [_span([math.log(p[axis]) for p in points]) for axis in (0, 1)]
    places = []
    for side, value in points:
        across = (math.log(side) - spans[0][0]) / spans[0][1]
        up = (math.log(value) - spans[1][0]) / spans[1][1]
        place = MARGIN + across * (right - MARGIN), bottom - up * (bottom - MARGIN)
        places.append(place)
        pen.text((place[0] - 10, bottom + 6), f"{side:g}", "black")
        pen.text((place[0] - 10, place[1] - 18), f"{value:.3g}", "black")
        pen.ellipse([(place[0] - 3, place[1] - 3), (place[0] + 3, place[1] + 3)], fill="black")
    pen.line(places, fill="black")
    return image


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the least value and how far the largest lies above it, at least a little."""
    return min(values), max(max(values) - min(values), 1e-9)

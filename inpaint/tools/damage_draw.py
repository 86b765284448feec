"""Damage drawn on photographs, with the exact mask of what it covers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import pictures

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Layer = NDArray[np.float32]
Points = NDArray[np.float64]

LOOKS = ("colour", "grey", "sepia")
FINE = 4
"""Lines are drawn this many times larger and averaged, so that their width is exact."""
COVERS = 0.3
"""Least opacity of what the truth counts as damaged."""


# Drawing damage: each kind returns its opacity (H, W) in [0, 1] and its colour, (3,) in [0, 1].


def scratch(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw one to three bent scratches, 1 to 4 pixels wide, most of them bright."""
    layer = np.zeros((size[1], size[0]), np.float32)
    for _ in range(rng.integers(1, 4)):
        length = rng.uniform(0.15, 0.9) * min(size)
        path = _path(size, rng, length, bend=0.05)
        layer = np.maximum(layer, _line(size, path, rng.uniform(1, 4)) * rng.uniform(0.6, 1))
    return layer, _tone(rng, bright=0.75)


def film(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw one to four nearly vertical lines through most of the height, 1 to 2 pixels wide."""
    layer = np.zeros((size[1], size[0]), np.float32)
    for _ in range(rng.integers(1, 5)):
        top, bottom = rng.uniform(-0.1, 0.3), rng.uniform(0.7, 1.1)
        y = np.linspace(top, bottom, 12) * size[1]
        x = rng.uniform(0.03, 0.97) * size[0] + np.cumsum(rng.normal(0, 0.5, 12))
        line = _line(size, np.stack([x, y], 1), rng.uniform(1, 2))
        layer = np.maximum(layer, line * rng.uniform(0.5, 0.95))
    return layer, _tone(rng, bright=0.75)


def crack(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw a jagged line that branches, 1 to 3 pixels wide, as in a broken emulsion."""
    layer = np.zeros((size[1], size[0]), np.float32)
    width = rng.uniform(1, 3)
    trunk = _path(size, rng, rng.uniform(0.4, 1.1) * min(size), bend=0.35)
    paths = [trunk]
    for _ in range(rng.integers(1, 5)):
        start = trunk[rng.integers(len(trunk) // 4, len(trunk))]
        paths.append(_path(size, rng, rng.uniform(0.1, 0.35) * min(size), bend=0.35, start=start))
    for path in paths:
        layer = np.maximum(layer, _line(size, path, width))
        width = max(1.0, 0.8 * width)
    return layer * np.float32(rng.uniform(0.75, 1)), _tone(rng, bright=0.8)


def dust(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw ten to fifty specks of 2 to 9 pixels, and a few curled fibres."""
    layer = np.zeros((size[1], size[0]), np.float32)
    for _ in range(rng.integers(10, 51)):
        centre = rng.uniform(0, 1, 2) * size
        angle = np.linspace(0, 2 * np.pi, 9)[:-1]
        reach = rng.uniform(1, 3.2) * rng.uniform(0.6, 1.4, 8)
        spot = centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        layer = np.maximum(layer, _line(size, spot, None) * rng.uniform(0.75, 1))
    for _ in range(rng.integers(0, 4)):
        path = _path(size, rng, rng.uniform(15, 50), bend=0.5)
        layer = np.maximum(layer, _line(size, path, rng.uniform(1, 2)))
    return layer, _tone(rng, bright=0.8)


def fold(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw a straight crease from edge to edge, 4 to 9 pixels wide, with soft, worn sides."""
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.08)
    centre = rng.uniform(0.25, 0.75, 2) * size
    along = np.array([np.cos(angle), np.sin(angle)]) * sum(size)
    path = np.linspace(centre - along, centre + along, 200)
    path += np.cumsum(rng.normal(0, 0.3, path.shape), 0)
    wide = _line(size, path, rng.uniform(3, 6))
    soft = cv2.GaussianBlur(wide, (0, 0), 1.2)
    worn = cv2.resize(
        rng.uniform(0.55, 1, (12, 12)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR
    )
    return soft * worn, _tone(rng, bright=0.9)


def stamp(size: tuple[int, int], rng: np.random.Generator) -> tuple[Layer, Points]:
    """Draw a date near a corner in glowing seven-segment digits, as cameras burnt it in."""
    tall = max(8.0, rng.uniform(0.022, 0.034) * max(size))
    text = f"'{rng.integers(70, 100)} {rng.integers(1, 13):2} {rng.integers(1, 32):2}"
    wide = 0.85 * tall * len(text)
    x, y = rng.uniform(0.03, 0.08, 2) * size
    if rng.random() < 0.75:
        x = size[0] - x - wide
    y = size[1] - y - tall
    layer = np.zeros((size[1], size[0]), np.float32)
    for place, letter in enumerate(text):
        for segment in SEGMENTS[letter]:
            ends = np.array(CORNERS)[list(segment)] * tall + (x + 0.85 * tall * place, y)
            layer = np.maximum(layer, _line(size, ends, max(1.5, 0.13 * tall)))
    glow = np.maximum(layer, 0.35 * cv2.GaussianBlur(layer, (0, 0), max(0.8, 0.08 * tall)))
    red = np.array([1.0, rng.uniform(0.35, 0.65), rng.uniform(0.05, 0.25)])
    return glow * np.float32(rng.uniform(0.85, 1)), red


CORNERS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.0, 1.0), (0.5, 1.0), (0.25, 0.25))
TOP, UPPER_LEFT, UPPER_RIGHT, MIDDLE = (0, 1), (0, 2), (1, 3), (2, 3)
LOWER_LEFT, LOWER_RIGHT, BOTTOM, TICK = (2, 4), (3, 5), (4, 5), (1, 6)
SEGMENTS = {
    "0": (TOP, UPPER_LEFT, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT, BOTTOM),
    "1": (UPPER_RIGHT, LOWER_RIGHT),
    "2": (TOP, UPPER_RIGHT, MIDDLE, LOWER_LEFT, BOTTOM),
    "3": (TOP, UPPER_RIGHT, MIDDLE, LOWER_RIGHT, BOTTOM),
    "4": (UPPER_LEFT, UPPER_RIGHT, MIDDLE, LOWER_RIGHT),
    "5": (TOP, UPPER_LEFT, MIDDLE, LOWER_RIGHT, BOTTOM),
    "6": (TOP, UPPER_LEFT, MIDDLE, LOWER_LEFT, LOWER_RIGHT, BOTTOM),
    "7": (TOP, UPPER_RIGHT, LOWER_RIGHT),
    "8": (TOP, UPPER_LEFT, UPPER_RIGHT, MIDDLE, LOWER_LEFT, LOWER_RIGHT, BOTTOM),
    "9": (TOP, UPPER_LEFT, UPPER_RIGHT, MIDDLE, LOWER_RIGHT, BOTTOM),
    "'": (TICK,),
    " ": (),
}
"""Ends of each digit's segments, as indices into CORNERS; a digit is half as wide as tall."""

KINDS: dict[str, Callable[[tuple[int, int], np.random.Generator], tuple[Layer, Points]]] = {
    "scratch": scratch,
    "film": film,
    "crack": crack,
    "dust": dust,
    "fold": fold,
    "stamp": stamp,
}


def _tone(rng: np.random.Generator, bright: float) -> Points:
    """Draw a nearly neutral colour; `bright` is the chance of a bright one."""
    level = rng.uniform(0.82, 1) if rng.random() < bright else rng.uniform(0, 0.15)
    return np.clip(level + rng.normal(0, 0.02, 3), 0, 1)


def _path(
    size: tuple[int, int],
    rng: np.random.Generator,
    length: float,
    bend: float,
    start: Points | None = None,
) -> Points:
    """Walk from a random place in steps of about 8 pixels that turn by `bend` radians each."""
    steps = max(2, round(length / 8))
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps))
    moves = np.stack([np.cos(turns), np.sin(turns)], 1) * (length / steps)
    walked = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)])
    if start is None:
        start = rng.uniform(0.1, 0.9, 2) * size - walked[len(walked) // 2]
    return np.asarray(start + walked)


def _line(size: tuple[int, int], path: Points, width: float | None) -> Layer:
    """Draw a line of a width in pixels, or fill the outline if that is None; (H, W) in [0, 1]."""
    layer = np.zeros((size[1], size[0]), np.float32)
    margin = 2 + (width or 0)
    low = np.clip(np.floor(path.min(0) - margin), 0, size).astype(int)
    high = np.clip(np.ceil(path.max(0) + margin), 0, size).astype(int)
    if (high <= low).any():
        return layer
    fine = np.zeros((FINE * (high - low))[::-1], np.uint8)
    at = np.rint((path - low) * FINE * 16).astype(np.int32)
    if width is None:
        cv2.fillPoly(fine, [at], (1.0,), shift=4)
    else:
        cv2.polylines(fine, [at], False, (1.0,), max(1, round(width * FINE)), shift=4)
    shown = cv2.resize(fine * np.float32(1), tuple(high - low), interpolation=cv2.INTER_AREA)
    layer[low[1] : high[1], low[0] : high[0]] = shown
    return layer


def dress(rgb: Rgb, look: str, rng: np.random.Generator) -> Rgb:
    """Give a photograph a look: colour leaves it; grey and sepia fade it and add film grain."""
    if look == "colour":
        return rgb
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = 20 + 0.82 * grey
    grain = cv2.GaussianBlur(rng.normal(0, 1, grey.shape).astype(np.float32), (0, 0), 0.8)
    grey += grain * (rng.uniform(2, 7) / grain.std())
    tint = np.array([1.0, 1.0, 1.0] if look == "grey" else [1.08, 0.95, 0.76], np.float32)
    return _bytes(grey[..., None] * tint)


def damaged(rgb: Rgb, kind: str, rng: np.random.Generator) -> tuple[Rgb, Mask]:
    """Draw one kind of damage on (H, W, 3) pixels; return them and the mask of what is covered."""
    height, width = rgb.shape[:2]
    opacity, colour = KINDS[kind]((width, height), rng)
    return mixed(rgb, opacity, colour), opacity >= COVERS


def mixed(rgb: Rgb, opacity: Layer, colour: Points) -> Rgb:
    """Lay a colour, (3,) in [0, 1], over (H, W, 3) pixels as opaque as (H, W) says."""
    return _bytes(rgb + opacity[..., None] * (255 * colour.astype(np.float32) - rgb))


def photograph(path: Path, longest: int = 1024) -> Rgb:
    """Read (H, W, 3) uint8, shrunk to a longest side."""
    rgb = pictures.read(path).rgb()
    factor = longest / max(rgb.shape[:2])
    if factor < 1:
        rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return _bytes(255 * rgb)


def _bytes(values: NDArray[Any]) -> Rgb:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)

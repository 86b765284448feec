"""Crops of photographs with holes, the same for every method: a seed decides them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import pictures
from inpaint.masks import random_mask

HOLE = (0.005, 0.5)
"""Least and largest share of the window that is hole."""
KINDS = ("any", "texture")
STRONG = 0.04
"""Least mean gradient of a texture, in [0, 1] per pixel."""
EVEN = 0.2
"""Most variation between the parts of a texture, relative to the whole."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square window of a photograph, resized.

    Attributes
    ----------
    file : str
        Path within the folder.
    box : tuple of int
        x0, y0, x1, y1 in the photograph.
    pixels : array
        (size, size, 3) uint8.
    """

    file: str
    box: tuple[int, int, int, int]
    pixels: NDArray[np.uint8]


def crops(folder: Path, size: int, count: int, seed: int, kind: str = "any") -> list[Crop]:
    """Cut `count` windows from the photographs in a folder, in turn from each.

    Their sides lie between `size` and the photograph's shorter side, evenly in log-scale, so that
    details and whole views are measured. Of the kind "texture" only those are kept that
    `is_texture`.

    Raises
    ------
    ValueError
        If the folder is missing or holds no photograph that can be used.
    """
    files = find(folder)
    order = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    found: list[Crop] = []
    tried = 0
    while len(found) < count:
        before = len(found)
        for path in order:
            if len(found) == count:
                break
            crop = _cut(folder, path, size, np.random.default_rng([seed, tried]))
            if crop is None:
                continue
            tried += 1
            if kind == "any" or is_texture(crop.pixels):
                found.append(crop)
        if len(found) == before:
            what = "photograph" if kind == "any" else kind
            raise ValueError(f"{folder} holds no {what} of {size} pixels or more.")
    return found


def is_texture(pixels: NDArray[np.uint8]) -> bool:
    """Say whether a crop is busy, and alike in all its sixteen cells (4 by 4).

    Its luma's mean gradient is at least `STRONG`, and between cells the deviation of the mean
    gradient is at most `EVEN` of its mean, that of the mean luma at most twice `EVEN` of the
    luma's own.
    """
    luma = pixels @ np.array([0.299, 0.587, 0.114]) / 255
    gradient = np.hypot(*np.gradient(luma))
    brightness, strength = (
        cv2.resize(a, (4, 4), interpolation=cv2.INTER_AREA) for a in (luma, gradient)
    )
    even = strength.std() <= EVEN * strength.mean() and brightness.std() <= 2 * EVEN * luma.std()
    return bool(even and strength.mean() >= STRONG)


def views(folder: Path, size: int) -> Iterator[NDArray[np.float32]]:
    """Yield every photograph of a folder at the scales of crops, (h, w, 3) in [0, 1].

    The scales lie a factor of √2 apart, from where the shorter side is `size` to its own.
    """
    for path in find(folder):
        try:
            rgb = pictures.read(path).rgb()
        except pictures.PictureError:
            continue
        short = min(rgb.shape[:2])
        while min(rgb.shape[:2]) >= size:
            yield rgb
            short /= 2**0.5
            factor = short / min(rgb.shape[:2])
            rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def find(folder: Path) -> list[Path]:
    """List the pictures in a folder and its subfolders, sorted."""
    if not folder.is_dir():
        raise ValueError(f"The folder of photographs {folder} does not exist.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in pictures.EXTENSIONS)
    if not found:
        raise ValueError(f"{folder} holds no pictures.")
    return found


def _cut(folder: Path, path: Path, size: int, rng: np.random.Generator) -> Crop | None:
    """Cut a random window, or None if the picture is too small or cannot be read."""
    try:
        picture = pictures.read(path)
    except pictures.PictureError:
        return None
    short = min(picture.size)
    if short < size:
        return None
    side = int(size * (short / size) ** rng.random())
    x, y = (int(rng.integers(extent - side + 1)) for extent in picture.size)
    box = (x, y, x + side, y + side)
    shrunk = cv2.resize(picture.rgb(box), (size, size), interpolation=cv2.INTER_AREA)
    pixels = np.rint(shrunk * 255).clip(0, 255).astype(np.uint8)
    return Crop(path.relative_to(folder).as_posix(), box, pixels)


def hole(family: str, size: int, seed: int, index: int) -> NDArray[np.bool_]:
    """Draw the hole of crop `index`, (size, size) bool, whose share lies within `HOLE`."""
    rng = np.random.default_rng([seed, index, *family.encode()])
    while True:
        mask = random_mask(rng, (size, size), family)
        if HOLE[0] <= mask.mean() <= HOLE[1]:
            return mask

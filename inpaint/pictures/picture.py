"""`Picture`: pixels in their file's own form, and what must travel with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

EXTENSIONS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
}
MAX_PIXELS = 64_000_000


class PictureError(ValueError):
    """A picture cannot be read or saved; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as its file holds it, upright (the EXIF orientation is already applied).

    Attributes
    ----------
    pixels
        (H, W, C) uint8 or uint16; C is 1 (grey), 3 (RGB) or 4 (CMYK, 0 = no ink), or the number
        of `bands`.
    alpha
        (H, W) of the same dtype, not premultiplied, or None.
    format
        What it was read as: a value of `EXTENSIONS`; "PNG" for arrays and Pillow images.
    icc, exif
        Colour profile, and EXIF as a TIFF block whose orientation is 1, without thumbnail.
    extras
        What else its format needs to be written well again: resolution, text, and of a JPEG
        its tables, its orientation and its coded pixels.
    bands
        Whether the channels are plain bands, any number of them, as of a satellite's picture.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    bands: bool = False

    def __post_init__(self) -> None:
        """Check the arrays, so that nothing else has to."""
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if (
            len(shape) != 3
            or not self.pixels.size
            or (shape[2] not in (1, 3, 4) and not self.bands)
        ):
            raise PictureError(f"A picture is (height, width, 1, 3 or 4), not {shape}.")
        if dtype not in (np.uint8, np.uint16):
            raise PictureError(f"A picture is 8 or 16 bit (uint8 or uint16), not {dtype}.")
        alpha = self.alpha
        if alpha is not None and (alpha.shape != shape[:2] or alpha.dtype != dtype):
            raise PictureError("The alpha channel must have the size and type of the picture.")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def maximum(self) -> int:
        """The value of white: 255 or 65535."""
        return 255 if self.pixels.dtype == np.uint8 else 65535

    @property
    def groups(self) -> int:
        """How many RGB pictures it takes to show all channels: 1, or one for every three bands."""
        return -(-self.pixels.shape[2] // 3) if self.bands else 1

    def group(self, number: int) -> Picture:
        """Return three of the bands; the last group is filled up with its last band."""
        return replace(self, pixels=self.pixels[..., self._bands_of(number)])

    def _bands_of(self, group: int) -> np.ndarray:
        last = self.pixels.shape[2] - 1
        return np.asarray(np.minimum(range(3 * group, 3 * group + 3), last))

    def rgb(self, box: tuple[int, int, int, int] | None = None, group: int = 0) -> np.ndarray:
        """Return the pixels in box (x0, y0, x1, y1) as (h, w, 3) float32 RGB in [0, 1].

        Of bands, the three of a group; the last group is filled up with its last band.
        """
        x0, y0, x1, y1 = box or (0, 0, *self.size)
        part = self.pixels[y0:y1, x0:x1]
        if self.bands:
            part = part[..., self._bands_of(group)]
        part = part.astype(np.float32) / np.float32(self.maximum)
        if part.shape[2] == 4:
            return np.asarray((1 - part[..., :3]) * (1 - part[..., 3:]))
        return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part

    def in_rgb(self) -> Picture:
        """Return it with three channels, and without what describes other ones."""
        if self.pixels.shape[2] == 3:
            return self
        pixels = np.rint(self.rgb() * self.maximum).astype(self.pixels.dtype)
        extras = {k: v for k, v in self.extras.items() if k in ("dpi", "xmp", "iptc", "comment")}
        return replace(self, pixels=pixels, icc=None, extras=extras)

    def opacity(self) -> np.ndarray:
        """Return alpha as (H, W) float32 in [0, 1]; 1 where there is none."""
        if self.alpha is None:
            return np.ones(self.size[::-1], np.float32)
        return self.alpha.astype(np.float32) / np.float32(self.maximum)

    def native(self, rgb: np.ndarray) -> np.ndarray:
        """Turn (h, w, 3) RGB in [0, 1] into float32 (h, w, C) in the picture's own units.

        Grey is Rec. 601 luma; CMYK is what `rgb` inverts, without black ink. Bands are made of
        (h, w, 3 · groups), side by side.
        """
        values = rgb.astype(np.float32)
        if self.bands:
            values = values[..., : self.pixels.shape[2]]
        elif self.pixels.shape[2] == 1:
            values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
        elif self.pixels.shape[2] == 4:
            values = np.concatenate([1 - values, np.zeros_like(values[..., :1])], axis=2)
        return values * np.float32(self.maximum)


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse an empty or too large picture; called before anything is decoded."""
    if min(size) < 1:
        raise PictureError("This picture is empty: it has no pixels.")
    if size[0] * size[1] > max_pixels:
        raise PictureError(
            f"This picture has {size[0]} × {size[1]} pixels and the limit is "
            f"{max_pixels / 1e6:g} million. Make it smaller first."
        )

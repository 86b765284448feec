"""A picture in another size, without its hidden colours."""

from __future__ import annotations

import numpy as np

from inpaint.pictures.picture import Picture

_Box = tuple[float, float, float, float]


def resampled(picture: Picture, box: _Box, part: tuple[int, int, int, int]) -> np.ndarray:
    """Fit a picture into a box, and return no more of it than a part.

    Colours count by their opacity (Porter & Duff 1984), so that what transparent pixels hide does
    not mix with what is seen.

    Parameters
    ----------
    picture : Picture
        It may be far smaller than its box: only the part is computed.
    box : tuple
        Left, top, right and bottom, fractions of pixels too.
    part : tuple
        The same of what is wanted, in whole pixels and about within the box.

    Returns
    -------
    (h, w, 4) float32: RGB and opacity in [0, 1]; black where nothing is seen.
    """
    import cv2

    spans = np.array([box[2] - box[0], box[3] - box[1]])
    opacity = picture.opacity()[..., None]
    pixels = np.concatenate([picture.rgb() * opacity, opacity], axis=2)
    # Where it shrinks it is averaged; then it is read between the centres of its pixels.
    size = np.minimum(picture.size, np.ceil(spans)).astype(int)
    pixels = cv2.resize(pixels, tuple(map(int, size)), interpolation=cv2.INTER_AREA)
    for axis in (0, 1):
        places = np.arange(part[axis], part[axis + 2]) + 0.5 - box[axis]
        pixels = _between(pixels, 1 - axis, places * size[axis] / spans[axis] - 0.5)
    pixels[..., :3] /= np.maximum(pixels[..., 3:], 1e-6)
    return np.asarray(pixels.clip(0, 1))


def _between(pixels: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """Interpolate along an axis; beyond the outermost centres pixels repeat."""
    places = places.clip(0, pixels.shape[axis] - 1)
    before = places.astype(int)
    share = np.expand_dims((places - before).astype(np.float32), (1 - axis, 2))
    first = pixels.take(before, axis)
    after = pixels.take(np.minimum(before + 1, pixels.shape[axis] - 1), axis)
    after -= first
    after *= share
    after += first
    return np.asarray(after)

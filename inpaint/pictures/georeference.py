"""Where on a map the pixels of a GeoTIFF lie: moved with them to a new canvas, or taken away.

GeoTIFF 1.1 (OGC 19-008r4, 7.3) ties raster to model by points and a scale, or by a matrix. Its
raster counts from the corner of the first pixel, or from its centre where key 1025 says that
pixels are points (7.2.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from inpaint.pictures.metadata import texts_kept

_SCALE, _TIES, _MATRIX, _KEYS, _RPC = 33550, 33922, 34264, 34735, 50844
_GEOTAGS = (_SCALE, _TIES, _MATRIX, _KEYS, 34736, 34737, _RPC)
_RASTER_TYPE, _POINT = 1025, 2


def moved(
    exif: bytes | None,
    scale: tuple[float, float] = (1, 1),
    offset: tuple[float, float] = (0, 0),
) -> bytes | None:
    """Return the EXIF of a picture for a new canvas, with the georeference that is true there.

    Parameters
    ----------
    exif : bytes or None
        As in `Picture`; without a georeference it is returned as it is.
    scale, offset : (x, y)
        What lay at p of the old canvas, from the corner of its first pixel, lies at
        scale · p + offset of the new one.
    """
    tags = _loaded(exif)
    if tags is None:
        return exif
    by, corner = np.array(scale, float), np.array(offset, float)
    centre = corner + (by - 1) / 2
    try:
        shift = centre if _counts_centres(tags.get(_KEYS)) else corner
        if _SCALE in tags:
            size = _numbers(tags[_SCALE], 3)
            size[:, :2] /= by
            tags[_SCALE] = tuple(size.ravel().tolist())
        if _TIES in tags:
            ties = _numbers(tags[_TIES], 6)  # I, J, K, X, Y, Z of each
            ties[:, :2] = by * ties[:, :2] + shift
            tags[_TIES] = tuple(ties.ravel().tolist())
        if _MATRIX in tags:
            matrix = _numbers(tags[_MATRIX], 16).reshape(4, 4)
            matrix[:, :2] /= by
            matrix[:, 3] -= matrix[:, :2] @ shift
            tags[_MATRIX] = tuple(matrix.ravel().tolist())
        if _RPC in tags:  # rational polynomials of line and sample, which count centres
            rpc = _numbers(tags[_RPC], 92)
            rpc[:, 2:4] = by[::-1] * rpc[:, 2:4] + centre[::-1]
            rpc[:, 7:9] *= by[::-1]
            tags[_RPC] = tuple(rpc.ravel().tolist())
    except (TypeError, ValueError):  # damaged: no georeference is better than a wrong one
        return without(exif)
    return tags.tobytes().removeprefix(b"Exif\0\0")


def without(exif: bytes | None) -> bytes | None:
    """Take the georeference out of an EXIF block; one that has none is returned as it is."""
    tags = _loaded(exif)
    if tags is None:
        return exif
    for tag in set(_GEOTAGS) & set(tags):
        del tags[tag]
    return tags.tobytes().removeprefix(b"Exif\0\0") if len(tags) else None


def _loaded(exif: bytes | None) -> Image.Exif | None:
    """Parse an EXIF block; None where it has no georeference, or cannot be parsed."""
    tags = Image.Exif()
    try:
        tags.load(exif or b"")
        return texts_kept(tags) if set(_GEOTAGS) & set(tags) else None
    except Exception:  # what nobody can parse is not written into a TIFF either
        return None


def _counts_centres(keys: Any) -> bool:
    """Look up whether pixels are points, in rows of (key, where it is stored, count, value)."""
    return keys is not None and any(
        key == _RASTER_TYPE and value == _POINT
        for key, _, _, value in np.asarray(keys).reshape(-1, 4)
    )


def _numbers(value: Any, each: int) -> np.ndarray:
    return np.array(value, float).reshape(-1, each)

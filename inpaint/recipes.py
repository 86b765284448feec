"""What was done to a picture, as data that can be stored with it and done again."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import numpy as np

import inpaint
from inpaint.pictures import Picture
from inpaint.settings import Settings


def recipe(
    settings: Settings,
    picture: Picture,
    mask: np.ndarray | None,
    model_digest: str,
    model_revision: str = "",
    dtype: str = "",
    guide: Picture | None = None,
    given: bool = True,
) -> dict[str, Any]:
    """Describe an edit.

    Parameters
    ----------
    settings : Settings
        How it was made.
    picture : Picture
        As it was before the edit.
    mask : array or None
        As painted, before it was widened; None if the task does without.
    model_digest : str
        SHA-256 of the model's weights, or "" for a model without any.
    model_revision : str
        Commit of the model on the hub, or "" for a model from elsewhere.
    dtype : str
        What a network over pixels computed in, or "" for another model.
    guide : Picture or None
        The second picture, where there was one.
    given : bool
        Whether the mask was given, and did not follow from the picture.

    Returns
    -------
    dict
        Plain values, fit for JSON. Its digests tell whether a picture and a mask are the same.
    """
    return {
        "inpaint": inpaint.__version__,
        "settings": settings.as_dict(),
        "model_sha256": model_digest,
        "model_revision": model_revision,
        "dtype": dtype,
        **digests("picture", picture),
        "mask": None if mask is None or not given else packed_mask(mask),
        "mask_sha256": "" if mask is None else digest(np.packbits(mask)),
        **digests("guide", guide),
        "size": list(picture.size),
    }


MOST_LETTERS = 24_000
"""Of a mask inside a recipe: with it the recipe still fits into one segment of a JPEG."""


def packed_mask(mask: np.ndarray) -> str:
    """Pack an (H, W) bool mask into ASCII letters; "" if it takes too many."""
    text = base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    return text if len(text) <= MOST_LETTERS else ""


def unpacked_mask(text: str, size: tuple[int, int] | list[int]) -> np.ndarray:
    """Undo `packed_mask` for a picture of size (width, height); ValueError if it does not fit."""
    width, height = size
    length = (width * height + 7) // 8
    try:
        inflated = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), length)
    except (TypeError, ValueError, zlib.error):
        inflated = b""
    if len(inflated) != length or not length:
        raise ValueError("The mask in the recipe is damaged; name its file with --mask.")
    bits = np.unpackbits(np.frombuffer(inflated, np.uint8), count=width * height)
    return bits.reshape(height, width).astype(bool)


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def digests(what: str, picture: Picture | None) -> dict[str, str]:
    """Name the digests of a picture and of its alpha as recipes do; "" for what is not there."""
    pixels, alpha = (picture.pixels, picture.alpha) if picture else (None, None)
    parts = {f"{what}_sha256": pixels, f"{what}_alpha_sha256": alpha}
    return {name: "" if part is None else digest(part) for name, part in parts.items()}

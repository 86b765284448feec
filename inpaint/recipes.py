"""What was done to a picture, as data that can be stored with it and done again."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import inpaint
from inpaint.settings import Settings


def recipe(
    settings: Settings,
    pixels: np.ndarray,
    mask: np.ndarray | None,
    model_digest: str,
    model_revision: str = "",
) -> dict[str, Any]:
    """Describe an edit.

    Parameters
    ----------
    settings : Settings
        How it was made.
    pixels, mask : array
        The picture before the edit and the mask as painted, before it was widened; None if the
        task does without.
    model_digest : str
        SHA-256 of the model's weights, or "" for a model without any.
    model_revision : str
        Commit of the model on the hub, or "" for a model from elsewhere.

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
        "picture_sha256": digest(pixels),
        "mask_sha256": "" if mask is None else digest(np.packbits(mask)),
        "size": [int(pixels.shape[1]), int(pixels.shape[0])],
    }


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()

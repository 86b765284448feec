"""Rounding that keeps what was promised to the last unit: means of blocks, the grey of colours.

Values are in a picture's own units, from 0 to its maximum (255 or 65535).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Whole = NDArray[np.int64]

# Rec. 601 in units of 1/65536, as Pillow turns RGB to grey.
RED, GREEN, BLUE = 19595, 38470, 7471


def grey(rgb: Whole) -> Whole:
    """Turn (..., 3) whole RGB values into (...) grey ones, bit for bit as Pillow does."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    total: Whole = (RED * red + GREEN * green + BLUE * blue + 0x8000) >> 16
    return total


def with_grey(rgb: Floats, wanted: Whole, maximum: int) -> Whole:
    """Round (..., 3) colours so that `grey` gives exactly what is wanted, (...) whole values.

    Colours are shifted to the wanted grey, and those outside the gamut are paled until they fit.
    """
    goal = wanted[..., None].astype(np.float64)
    weights = np.array([RED, GREEN, BLUE]) / 65536
    offset = rgb - (rgb @ weights)[..., None]  # what makes the colour; of luma 0
    room = np.where(offset > 0, maximum - goal, goal)
    share = (room / np.maximum(np.abs(offset), 1e-9)).min(axis=-1, keepdims=True)
    fitting = goal + np.minimum(share, 1) * offset
    out: Whole = np.rint(fitting).clip(0, maximum).astype(np.int64)
    # Three roundings are off by at most half a unit of grey together, and a tie can tip over.
    for channel in (1, 0, 2):
        out[..., channel] += np.sign(wanted - grey(out))
        np.clip(out, 0, maximum, out=out)
    return out


def with_sums(values: Floats, sums: Whole, maximum: int) -> Whole:
    """Round (N, k) values so that row n adds up to exactly sums[n].

    The largest remainders are rounded up, as seats are shared out in an election.

    Parameters
    ----------
    values : array
        (N, k), any reals.
    sums : array
        (N,) whole, from 0 to k·maximum.
    maximum : int
        The largest value.
    """
    values = values.astype(np.float64).clip(0, maximum)
    for _ in range(values.shape[1]):  # what does not fit into one value goes to the others
        missing = (sums - values.sum(axis=1))[:, None]
        if np.abs(missing).max() < 0.5:
            break
        room = np.where(missing > 0, values < maximum, values > 0)
        share = missing / np.maximum(room.sum(axis=1, keepdims=True), 1)
        values = (values + room * share).clip(0, maximum)
    out = np.floor(values).astype(np.int64)
    rows = np.flatnonzero(out.sum(axis=1) != sums)
    while len(rows):
        some = out[rows]
        missing = sums[rows] - some.sum(axis=1)
        up = np.sign(missing)[:, None]
        room = np.where(up > 0, some < maximum, some > 0)
        gain = np.where(room, (values[rows] - some) * up, -np.inf)
        rank = np.argsort(np.argsort(-gain, axis=1), axis=1)
        out[rows] = some + up * (room & (rank < np.abs(missing)[:, None]))
        rows = rows[out[rows].sum(axis=1) != sums[rows]]
    return out


def blocks(values: NDArray[Any], factor: int) -> NDArray[Any]:
    """Cut an (H, W, C) array into its factor × factor blocks: (H/f · W/f · C, f²)."""
    height, width, channels = values.shape
    cut = values.reshape(height // factor, factor, width // factor, factor, channels)
    return cut.transpose(0, 2, 4, 1, 3).reshape(-1, factor**2)


def unblocked(rows: NDArray[Any], shape: tuple[int, int, int], factor: int) -> NDArray[Any]:
    """Undo `blocks` for an array of `shape`."""
    height, width, channels = shape
    cut = rows.reshape(height // factor, width // factor, channels, factor, factor)
    return cut.transpose(0, 3, 1, 4, 2).reshape(shape)

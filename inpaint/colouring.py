"""Spreads painted colours over a grey picture, as far as its tones are alike.

Colourisation by optimisation, Levin et al. 2004: every pixel's colour is to be the mean of its
neighbours', weighted by how alike their greys are. With four neighbours and symmetric weights this
is a graph Laplacian, solved by conjugate gradients on a copy small enough to be quick: eyes see
colour at a fraction of the resolution at which they see light.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inpaint.scales import spread

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LONGEST = 400
"""Longest side of the copy on which colours are spread, in pixels."""
LIKENESS = 0.05
"""Difference of grey, of 1, across which a colour passes 1/e as easily."""
PAINT = 100.0
"""Weight of a stroke's own colour against that of one neighbour."""
ITERATIONS = 400


def spread_colours(luma: Floats, colours: Floats, painted: Mask) -> Floats:
    """Colour a grey picture from a few strokes.

    Parameters
    ----------
    luma : array
        (H, W) in [0, 1].
    colours : array
        (H, W, 3) in [0, 1]: read where `painted`.
    painted : array
        (H, W) bool.

    Returns
    -------
    (H, W, 3), unclipped RGB of the given luma. Where nothing is painted the picture stays grey.
    """
    height, width = luma.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    weight = cv2.resize(painted.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    # A colour is what is added to grey, so that a stroke's own lightness does not matter.
    own = colours - (colours @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    own = cv2.resize(own * painted[..., None], size, interpolation=cv2.INTER_AREA)
    known = weight > 0
    tints = np.where(known[..., None], own / np.maximum(weight, 1e-6)[..., None], 0)
    solved = _solve(small, tints.astype(np.float32), known)
    return np.asarray(luma[..., None] + cv2.resize(solved, (width, height)), np.float32)


def _solve(luma: Floats, tints: Floats, known: Mask) -> Floats:
    """Minimise Σ w_rs·|u_r − u_s|² + PAINT·Σ_known |u − tint|² over (h, w, 3) by CG."""
    down, across = (
        1e-4 + np.exp(-np.abs(np.diff(luma, axis=axis)) / LIKENESS)[..., None] for axis in (0, 1)
    )
    data = PAINT * known[..., None].astype(np.float32)

    def apply(u: Floats) -> Floats:
        out: Floats = data * u
        flow = down * np.diff(u, axis=0)
        out[:-1] -= flow
        out[1:] += flow
        flow = across * np.diff(u, axis=1)
        out[:, :-1] -= flow
        out[:, 1:] += flow
        return out

    u = _first_guess(tints, known)
    residual = data * tints - apply(u)
    direction, size = residual.copy(), float(np.vdot(residual, residual))
    least = 1e-8 * size
    for _ in range(ITERATIONS):
        if size <= least:
            break
        image = apply(direction)
        step = size / float(np.vdot(direction, image))
        u += step * direction
        residual -= step * image
        size, before = float(np.vdot(residual, residual)), size
        direction = residual + size / before * direction
    return u


def _first_guess(tints: Floats, known: Mask) -> Floats:
    """Spread colours regardless of the greys, which the iterations then mend."""
    values = torch.from_numpy(tints).permute(2, 0, 1)[None]
    unknown = torch.from_numpy(~known).float()[None, None]
    return np.ascontiguousarray(spread(values, unknown)[0].permute(1, 2, 0).numpy())

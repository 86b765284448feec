"""What can be said about candidates, and made of them, once they are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import masks, metrics, pictures
from inpaint.pictures import Picture
from inpaint.results import Candidate

Mask = NDArray[np.bool_]

MARGIN = 24
"""Pixels around the repainted area that a judgement looks at."""
NEAR, FAR = (1, 5), (8, 16)
"""Distances in pixels from the mask: where the rest of an object would show, and beyond it."""
TIGHT = 2.0
"""How much stronger than further out the steps beside the mask are where it is too tight."""


def touched(candidate: Candidate) -> Mask:
    """Return (H, W) bool: where a candidate's pixels may differ from the picture it fills."""
    mask = np.zeros(candidate.original.pixels.shape[:2], bool)
    for patch in candidate.patches:
        patch.region.crop_array(mask)[patch.alpha > 0] = True
    return mask


def seam(candidate: Candidate) -> float | None:
    """Return how the steps across the border compare with those around it; 1 is no seam.

    See `inpaint.metrics.seam`; None where the border has no surroundings to compare with.
    """
    mask = touched(candidate)
    box = _around(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    border, contour = metrics.seam(candidate.picture().rgb(box), mask[y0:y1, x0:x1])
    return border / contour if border and contour else None


def ranked(candidates: Sequence[Candidate]) -> list[tuple[Candidate, float | None]]:
    """Sort by how far the seam is from none, in either direction; what has no number goes last."""
    scored = [(candidate, seam(candidate)) for candidate in candidates]
    return sorted(scored, key=lambda pair: abs(math.log(pair[1])) if pair[1] else math.inf)


def is_tight(candidate: Candidate) -> bool:
    """Whether the rest of an object seems to stand around the repainted area.

    An object that was covered up to its outline leaves a rim beside the mask, and the picture
    steps from rim to background there: the strongest of the mean steps across the contours
    `NEAR` is then `TIGHT` times the median of those `FAR`.
    """
    mask = touched(candidate)
    box = _around(mask)
    if box is None:
        return False
    x0, y0, x1, y1 = box
    image, away = candidate.picture().rgb(box), _distance(mask[y0:y1, x0:x1])
    near = [metrics.step_across(image, away <= d) or 0.0 for d in range(NEAR[0], NEAR[1] + 1)]
    far = [metrics.step_across(image, away <= d) or 0.0 for d in range(FAR[0], FAR[1] + 1)]
    return max(near) > TIGHT * float(np.median(far)) > 0


def merged(first: Candidate, second: Candidate, where: Mask) -> Candidate:
    """Take the second candidate's pixels where the (H, W) mask says so, else the first's.

    Raises
    ------
    ValueError
        If they are not of one run.
    """
    pairs = list(zip(first.patches, second.patches, strict=False))
    alike = first.original is second.original and len(first.patches) == len(second.patches)
    if not alike or any(a.region != b.region for a, b in pairs):
        raise ValueError("Only candidates of one run can be merged.")
    patches = tuple(
        replace(a, pixels=np.where(a.region.crop_array(where)[..., None], b.pixels, a.pixels))
        for a, b in pairs
    )
    seeds = [_seeds(candidate.recipe) for candidate in (first, second)]
    recipe = {**first.recipe, "merged": list(dict.fromkeys(sum(seeds, [])))}
    return replace(first, patches=patches, recipe=recipe)


def _seeds(recipe: dict[str, object]) -> list[int]:
    known = recipe.get("merged")
    if isinstance(known, list):
        return known
    settings = recipe.get("settings")
    return [settings["seed"]] if isinstance(settings, dict) else []


def uncertainty(candidates: Sequence[Picture], mask: Mask, long_side: int) -> NDArray[np.uint8]:
    """Draw how much the candidates differ, over the first of them in grey.

    Parameters
    ----------
    candidates
        At least two, of one size.
    mask
        (H, W) bool: what was repainted.
    long_side
        Of the drawing, in pixels.

    Returns
    -------
    (h, w, 3) uint8: inside the mask black where all agree to yellow where they differ most.
    """
    small = [np.asarray(pictures.preview(picture, long_side)) for picture in candidates]
    height, width = small[0].shape[:2]
    grey = small[0].mean(axis=2, keepdims=True) * 0.45 + 90
    drawing = np.repeat(grey.astype(np.uint8), 3, axis=2)
    inside = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA) > 0
    box = masks.bounding_box(inside)
    if box is not None:
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        values = np.stack([one[part] for one in small]).astype(np.float32)
        spread = values.std(axis=0).mean(axis=2)
        # Half of the grey scale is as different as unrelated textures are.
        levels = (spread * 4).clip(0, 255).astype(np.uint8)
        heat = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
        drawing[part][inside[part]] = heat[inside[part]]
    return drawing


def _around(mask: Mask) -> tuple[int, int, int, int] | None:
    box = masks.bounding_box(mask)
    if box is None:
        return None
    height, width = mask.shape
    x0, y0, x1, y1 = box
    return (
        max(x0 - MARGIN, 0),
        max(y0 - MARGIN, 0),
        min(x1 + MARGIN, width),
        min(y1 + MARGIN, height),
    )


def _distance(mask: Mask) -> NDArray[np.float32]:
    """Pixels to the mask, 0 inside."""
    outside = (~mask).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))

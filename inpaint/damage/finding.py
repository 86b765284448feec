"""What of a photograph is damaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint.damage.candidates import LUMA, Candidates, Light, Mask, disc
from inpaint.damage.folds import folds
from inpaint.damage.lines import lines
from inpaint.damage.network import log_odds
from inpaint.damage.specks import specks
from inpaint.damage.stamps import stamp

WORK_PIXELS = 1_500_000
"""Larger pictures are looked at in this many pixels; on a scan of that size damage is large too."""
LEVELS = 2
"""The second halves the picture, and finds what is twice as wide."""
LEAST_SIDE = 24

LINE_WEIGHTS: dict[str, float] = {
    "length": -0.14,
    "contrast": 0.87,
    "behind": 0.88,
    "sides": -0.41,
    "tone": -2.26,
    "busy": -0.67,
    "dark": -0.43,
    "far": -0.19,
    "colour": 0.59,
    "hues": -1.31,
    "width": 0.35,
    "aligned": 1.66,
    "share": 0.41,
    "odds": 0.76,
    "odds*odds": -0.01,
    "bias": -3.32,
}
CRACK_WEIGHTS: dict[str, float] = {
    "length": -0.18,
    "contrast": 0.74,
    "behind": 0.94,
    "sides": -0.61,
    "tone": -1.18,
    "busy": -1.0,
    "dark": -0.55,
    "far": -0.14,
    "colour": 0.37,
    "hues": -1.2,
    "width": 0.73,
    "aligned": -3.02,
    "share": 0.46,
    "odds": 0.82,
    "odds*odds": -0.02,
    "bias": -5.61,
}
SPECK_WEIGHTS: dict[str, float] = {
    "size": 0.35,
    "round": -2.22,
    "contrast": 0.89,
    "behind": -0.06,
    "tone": 4.83,
    "colour": -0.84,
    "apart": 4.13,
    "near": -1.26,
    "busy": -0.16,
    "alone": 0.76,
    "dark": 0.09,
    "ground": 0.73,
    "odds": 0.62,
    "bias": -9.26,
}
"""Log-odds per feature or product, as `python -m inpaint.tools.damage_fit FOLDER` fits them."""
LIKELY = -1.0
"""Least log-odds by the network, there or beside it, of what is marked of a line or speck."""
STEEPNESS = 8.0
"""How far a sensitivity from 0 to 1 lowers the scores needed; those below hold at 0.5."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked for, and what it takes to believe it.

    Attributes
    ----------
    name : str
        What is looked for.
    propose, weights
        Where the candidates come from, and how they are scored.
    levels : int
        How many levels are searched.
    sure, company : float
        Score of a candidate that counts as proof, and of those that are then taken with it.
    proof : int
        How many it takes: a bird is a speck too.
    spread : float
        Standard deviation of their places down and across, as a share of the picture's sides:
        dust lies all over a picture, and stars do not.
    """

    name: str
    propose: Callable[[Light, Light], Iterator[Candidates]]
    weights: dict[str, float]
    levels: int
    sure: float
    company: float
    proof: int = 1
    spread: float = 0.0


KINDS = (
    Kind("lines", lines, LINE_WEIGHTS, LEVELS, sure=4.2, company=1.7),
    Kind("cracks", lines, CRACK_WEIGHTS, LEVELS, sure=4.1, company=1.6),
    Kind("dust", specks, SPECK_WEIGHTS, 1, sure=1.4, company=0.0, proof=5, spread=0.18),
)
"""Of 140 clean photographs, and 90 of them made grey or sepia, the thresholds let one through, by
weights fitted on the others."""


def find(rgb: NDArray[Any], sensitivity: float = 0.5) -> Mask:
    """Propose what to repair.

    Parameters
    ----------
    rgb
        (H, W, 3) or (H, W): uint8, uint16, or float in [0, 1].
    sensitivity
        From 0, only what is beyond doubt, to 1, all that may be damage. More never finds less.

    Returns
    -------
    (H, W) bool, True where damaged; empty for most photographs without damage at 0.5 and below.

    Raises
    ------
    ValueError
        If the sensitivity or the shape is out of range.
    """
    if not 0 <= sensitivity <= 1:
        raise ValueError(f"sensitivity must be from 0 to 1, got {sensitivity}")
    if rgb.ndim not in (2, 3) or (rgb.ndim == 3 and rgb.shape[2] not in (1, 3)):
        raise ValueError(f"A picture has shape (H, W) or (H, W, 3), not {rgb.shape}.")
    height, width = rgb.shape[:2]
    images = list(levels(rgb))
    if not images:
        return np.zeros((height, width), bool)
    rows, columns = images[0].shape[:2]
    found = np.zeros((rows, columns), bool)
    light, seen = images[0] @ LUMA, [(image, log_odds(image)) for image in images]
    proposed: dict[Any, list[list[Candidates]]] = {}
    for kind in KINDS:
        looked = proposed.setdefault(kind.propose, [])
        looked += [list(kind.propose(*level)) for level in seen[len(looked) : kind.levels]]
        own = [candidates for level in looked[: kind.levels] for candidates in level]
        found |= _taken(light, own, kind, sensitivity)
    likely = np.max([_resized(odds, (columns, rows)) for _, odds in seen], axis=0) > LIKELY
    found &= cv2.dilate(likely.astype(np.uint8), disc(1)) > 0
    found |= folds(images[0], sensitivity) | stamp(images[0])
    if not found.any():
        return np.zeros((height, width), bool)
    found = cv2.dilate(found.astype(np.uint8), disc(1))  # a trace left at the rim would show
    return np.asarray(_resized(found, (width, height)) > 0)


def _taken(light: Light, proposed: list[Candidates], kind: Kind, sensitivity: float) -> Mask:
    """Mark the candidates that are of a kind, if there is proof of it at all."""
    scores = [candidates.scores(kind.weights) for candidates in proposed]
    strictness, share = STEEPNESS * (0.5 - sensitivity), min(1.0, 2 * (1 - sensitivity))
    kept = np.zeros(light.shape, bool)
    if not proposed:
        return kept
    score = np.concatenate(scores)
    order = np.argsort(-score)
    number = np.arange(1, len(score) + 1)
    places = np.concatenate([candidates.centres() for candidates in proposed])[order]
    mean = np.cumsum(places, 0) / number[:, None]
    variance = np.cumsum(places**2, 0) / number[:, None] - mean**2
    proven = (score[order] > kind.sure + strictness) & (number >= max(1, share * kind.proof))
    proven &= variance.min(1) >= (share * kind.spread) ** 2 - 1e-9
    if proven.any():
        for candidates, own in zip(proposed, scores, strict=True):
            kept |= candidates.drawn(own > kind.company + strictness, light)
    return kept


def levels(rgb: NDArray[Any]) -> Iterator[Light]:
    """Yield the picture in [0, 1] at the sizes that are searched, the largest first."""
    height, width = rgb.shape[:2]
    factor = math.sqrt(WORK_PIXELS / max(1, height * width))
    if factor < 1:
        rgb = _resized(rgb, (round(width * factor), round(height * factor)))
    full = np.iinfo(rgb.dtype).max if rgb.dtype.kind == "u" else 1
    image = rgb.astype(np.float32) / np.float32(full)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.dstack([image] * 3)
    for _ in range(LEVELS):
        if min(image.shape[:2]) < LEAST_SIDE:
            return
        yield image
        image = _resized(image, (image.shape[1] // 2, image.shape[0] // 2))


def _resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Shrink by averaging, enlarge to the nearest; size: (width, height)."""
    smaller = size[0] < image.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(image, size, interpolation=way))

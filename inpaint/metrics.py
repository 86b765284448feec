"""How good a fill is, without downloaded weights.

Pictures are (H, W, 3) float32 in [0, 1], masks (H, W) bool with True in the hole. What is measured
per crop is reduced to one number by a `Statistic`, a function of the weights of the crops, so that
the bootstrap resamples every metric, also those that are no mean, by drawing weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(B, C) weights of C crops, rows adding up to 1 -> (B,) values."""

OUTSIDE = 4
"""Pixels from the hole's border to the contour that it is compared with."""
PATCH = 7
PLACES = 512
"""Most patches taken of one crop at one level."""
DIRECTIONS = 64
MEMORY_PATCH = 16
"""Side of the patches looked for in training pictures; smaller ones are found in any picture."""


def psnr(truth: Floats, fill: Floats, mask: Mask) -> float:
    """Peak signal-to-noise ratio over the hole, in dB; infinite for an exact copy."""
    error = float(np.mean((truth[mask] - fill[mask]) ** 2, dtype=np.float64))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(truth: Floats, fill: Floats, mask: Mask) -> float:
    """Structural similarity, averaged over the hole and the channels; at most 1.

    Wang et al. 2004, eq. 13, with their Gaussian window of 11 pixels and σ = 1.5.
    """

    def mean(image: Floats) -> Floats:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT))

    c1, c2 = 0.01**2, 0.03**2
    mu_x, mu_y = mean(truth), mean(fill)
    var_x, var_y = mean(truth * truth) - mu_x**2, mean(fill * fill) - mu_y**2
    covariance = mean(truth * fill) - mu_x * mu_y
    similar = (2 * mu_x * mu_y + c1) * (2 * covariance + c2)
    similar /= (mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2)
    return float(similar[mask].mean())


def seam(fill: Floats, mask: Mask) -> tuple[float, float]:
    """Mean step between neighbours across the hole's border, and across a contour outside it.

    The contour lies `OUTSIDE` pixels further out. Over many crops the two are equal in
    photographs, whose gradients know nothing of the mask: the ratio of their sums is 1 without a
    seam, more with a visible edge and less with a blurred rim. (0, 0) where there is no contour.
    """
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    border, contour = step_across(fill, mask), step_across(fill, away <= OUTSIDE)
    return (0.0, 0.0) if border is None or contour is None else (border, contour)


def step_across(image: Floats, inside: Mask) -> float | None:
    """Mean step between neighbours across the border of a region; None without a border."""
    steps = [
        np.abs(np.diff(image, axis=axis)).mean(2)[np.diff(inside, axis=axis)] for axis in (0, 1)
    ]
    joined = np.concatenate(steps)
    return float(joined.mean()) if joined.size else None


def texture(truth: Floats, fill: Floats, mask: Mask) -> float:
    """Distance of radially averaged log power spectra in the hole, in dB; blur and noise raise it.

    The mean over 8 rings of spatial frequency up to 1/2 per pixel of |10·log10(P/P')|, with P the
    periodogram of the luma under a window that falls off within 8 pixels of the hole's border
    (modified periodogram, Welch 1967). Rounding to 8 bits sets the floor of P.
    """
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    window = np.sin(np.pi / 2 * np.minimum(depth / 8, 1)) ** 2
    decibels = [
        10 * np.log10(_spectrum(image, window) + 1 / 12 / 255**2) for image in (truth, fill)
    ]
    return float(np.abs(decibels[0] - decibels[1]).mean())


def _spectrum(image: Floats, window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power in 8 rings, (8,); white noise gives its variance in each."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    luma = (luma - np.average(luma, weights=window)) * window
    power = np.abs(np.fft.fft2(luma)) ** 2 / (window**2).sum()
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, luma.shape), indexing="ij"))
    ring = np.ceil(radius * 16).astype(int)  # 0 is the mean, above 8 lie the corners
    total, count = (np.bincount(ring.ravel(), w)[1:9] for w in (power.ravel(), None))
    return np.asarray(total / count)


def diversity(fills: Sequence[Floats], mask: Mask) -> float:
    """Root mean square over the hole of the standard deviation between fills; 0 if all agree."""
    values = np.stack([fill[mask] for fill in fills])
    return float(np.sqrt(values.var(axis=0, ddof=1).mean()))


# Sliced Wasserstein distance


def laplacian_pyramid(image: Floats) -> list[Floats]:
    """Split a picture into bands, fine to coarse, the last its low-pass (Burt & Adelson 1983).

    Halves while both sides stay at 32 pixels or more.
    """
    gaussian = [image]
    while min(gaussian[-1].shape[:2]) >= 64:
        gaussian.append(cv2.pyrDown(gaussian[-1]))
    bands = [
        fine - cv2.pyrUp(coarse, dstsize=(fine.shape[1], fine.shape[0]))
        for fine, coarse in pairwise(gaussian)
    ]
    return [*bands, gaussian[-1]]


class PatchDistance:
    """Sliced Wasserstein distance between patches of fills and of photographs, by level.

    Karras et al. 2018, section 5: 7x7 patches of a Laplacian pyramid, and the mean over random
    directions of the first Wasserstein distance ∫|F − G| of their projections (Rabin et al. 2011).
    Three things differ. Patches are taken only where they overlap the hole. Both sets are
    standardised with the photographs' statistics: with its own, a fill without contrast would pass.
    And the places are cut at random into two halves, the fill's taken from one and the
    photograph's from the other: photographs in place of fills then give the real-to-real floor,
    which is what a perfect fill would get.

    Parameters
    ----------
    truths, masks
        The photographs' crops and their holes, in the order of the fills.
    seed
        Decides places and directions.
    """

    # Dense at 0, where most of a band's values lie; they are in standard deviations.
    nodes = np.sinh(np.linspace(-5, 5, 257)) / 4

    def __init__(self, truths: Sequence[Floats], masks: Sequence[Mask], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.pyramids = [laplacian_pyramid(truth) for truth in truths]
        self.places = [
            [_places(mask, band.shape[:2], rng) for band in pyramid]
            for mask, pyramid in zip(masks, self.pyramids, strict=True)
        ]
        self.directions = rng.normal(size=(PATCH * PATCH * 3, DIRECTIONS))
        self.directions /= np.linalg.norm(self.directions, axis=0)
        self.moments = []
        for level in range(len(self.pyramids[0])):
            values = np.concatenate(
                [
                    patches(pyramid[level], places[level], PATCH).reshape(-1, 3)
                    for pyramid, places in zip(self.pyramids, self.places, strict=True)
                ]
            )
            self.moments.append((values.mean(0), values.std(0) + 1e-6))

    def compare(self, fills: Sequence[Floats]) -> Statistic:
        """Compare the fills of the first len(fills) crops; the statistic is the mean over levels.

        Every crop has the same weight, whatever the size of its hole.
        """
        fill_pyramids = [laplacian_pyramid(fill) for fill in fills]
        gaps = [
            np.stack(
                [
                    self._cdf(fill[level], places[level][0::2], level)
                    - self._cdf(truth[level], places[level][1::2], level)
                    for fill, truth, places in zip(
                        fill_pyramids, self.pyramids, self.places, strict=False
                    )
                ]
            )
            for level in range(len(self.moments))
        ]

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            draws = np.array_split(weights.astype(np.float32), -(-len(weights) // 64))
            levels = [[self._integral(some @ gap) for some in draws] for gap in gaps]
            return np.asarray(np.mean([np.concatenate(parts) for parts in levels], axis=0))

        return statistic

    def _cdf(self, band: Floats, places: NDArray[np.int64], level: int) -> Floats:
        """Return the share of patches below each node for each direction, flat."""
        mean, deviation = self.moments[level]
        rows = (patches(band, places, PATCH) - mean) / deviation
        return self.distribution(rows.reshape(len(rows), -1) @ self.directions)

    @classmethod
    def distribution(cls, values: NDArray[np.floating]) -> Floats:
        """Return the cumulative distribution at the nodes: (N, D) values -> (D·nodes,)."""
        ordered = np.sort(values, axis=0).T
        below = [np.searchsorted(row, cls.nodes, side="right") for row in ordered]
        return np.asarray(np.concatenate(below) / len(values), np.float32)

    @classmethod
    def _integral(cls, gap: Floats) -> NDArray[np.float64]:
        """∫|F − G| by the trapezoid rule, mean over directions: (B, D·nodes) -> (B,)."""
        halves = np.diff(cls.nodes, prepend=cls.nodes[0], append=cls.nodes[-1]) / 2
        share = (halves[1:] + halves[:-1]).astype(np.float32)
        split = np.abs(gap).reshape(len(gap), -1, len(share))
        return np.asarray((split @ share).mean(1), np.float64)


def _places(mask: Mask, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose corners (N, 2) of patches that overlap the hole, in random order."""
    rows, cols = (np.arange(old) * new // old for old, new in zip(mask.shape, shape, strict=True))
    small = np.zeros(shape, np.uint8)
    hole = np.nonzero(mask)
    small[rows[hole[0]], cols[hole[1]]] = 1
    views = np.lib.stride_tricks.sliding_window_view(small, (PATCH, PATCH))
    found = np.argwhere(views.any(axis=(2, 3)))
    return rng.permutation(found)[:PLACES]


def patches(image: Floats, corners: NDArray[np.int64], side: int) -> Floats:
    """Cut squares out of a picture: corners (N, 2) as row, column -> (N, side, side, 3)."""
    views = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))
    return np.moveaxis(views[corners[:, 0], corners[:, 1]], 1, -1)


# Memorisation


def memory_queries(fill: Floats, mask: Mask, most: int = 4) -> Floats:
    """Return up to `most` standardised patches that lie wholly in the hole, (N, 192)."""
    views = np.lib.stride_tricks.sliding_window_view(mask, (MEMORY_PATCH, MEMORY_PATCH))
    corners = np.argwhere(views.all(axis=(2, 3)))
    chosen = corners[np.linspace(0, len(corners) - 1, min(most, len(corners))).astype(int)]
    half, side = MEMORY_PATCH // 2, MEMORY_PATCH
    squares = patches(fill, chosen, side).reshape(-1, half, 2, half, 2, 3).mean((2, 4))
    return _standardised(squares)


def nearest(queries: Floats, pictures: Iterable[Floats]) -> Floats:
    """Distance of each query to the nearest patch of any picture or its mirror image, (N,).

    Root mean square difference of patches of mean 0 and variance 1, at half resolution, where a
    shift by a pixel or a slightly other scale matters little: the nearest-neighbour test of
    Carlini et al. 2023, section 4, on patches. 0 is a copy up to brightness and contrast, √2 is
    unrelated. The yardstick is what photographs that were not trained on get: fills much nearer
    than those were remembered.
    """
    best = np.full(len(queries), 2, np.float32)  # twice 1 - correlation
    half = MEMORY_PATCH // 2
    for picture in pictures:
        small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for view in (small, small[:, ::-1]):
            extents = [np.arange(0, extent - half + 1) for extent in view.shape[:2]]
            corners = np.stack(np.meshgrid(*extents, indexing="ij"), -1).reshape(-1, 2)
            for some in np.array_split(corners, -(-len(corners) // 8192)):
                keys = _standardised(patches(view, some, half))
                squares = (queries**2).mean(1)[:, None] + (keys**2).mean(1)
                distance = squares - 2 / queries.shape[1] * (queries @ keys.T)
                best = np.minimum(best, distance.min(1))
    return np.sqrt(np.maximum(best, 0))


def _standardised(squares: Floats) -> Floats:
    rows = squares.reshape(len(squares), (MEMORY_PATCH // 2) ** 2 * 3)
    rows = rows - rows.mean(1, keepdims=True)
    # Contrast that 8 bits barely show is noise and must not be blown up.
    return np.asarray(rows / np.maximum(rows.std(1, keepdims=True), 2 / 255), np.float32)


# Bootstrap


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def mean_of(values: Sequence[float]) -> Statistic:
    """Weighted mean; crops without a value (NaN) are left out."""
    return ratio_of([0.0 if np.isnan(v) else v for v in values], 1.0 - np.isnan(values))


def ratio_of(above: Sequence[float], below: Sequence[float] | NDArray[np.float64]) -> Statistic:
    """Ratio of two weighted sums."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = weights @ np.asarray(below, np.float64)
        out = np.full(len(weights), np.nan)
        np.divide(weights @ np.asarray(above, np.float64), total, out=out, where=total > 0)
        return out

    return statistic


def bootstrap(
    statistic: Statistic, count: int, seed: int = 0, draws: int = 1000
) -> NDArray[np.float64]:
    """Resample `count` crops with replacement: Efron & Tibshirani 1993, chapter 6.

    Returns
    -------
    array
        (1 + draws,): the statistic of the crops themselves, then of the draws. The same seed draws
        the same crops, so that the difference of two methods' arrays is paired.
    """
    draw = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
    return statistic(np.concatenate([np.ones((1, count)), draw]) / count)


def interval(values: NDArray[np.float64]) -> Interval:
    """Turn what `bootstrap` returns into an interval: percentiles less the bias (chapter 10 there).

    Crops drawn twice add noise of their own, which a mean cancels but a distance adds up.
    """
    value, draws = float(values[0]), values[1:]
    if not np.isfinite(value):
        return Interval(value, value, value)
    low, high = np.nanpercentile(draws, [2.5, 97.5]) - (np.nanmean(draws) - value)
    return Interval(value, float(low), float(high))

"""Fit the weights by which `inpaint.damage` tells damage from content.

Logistic regression of what its filters propose on photographs, without and with drawn damage.
`python -m inpaint.tools.damage_fit FOLDER` prints the weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpaint import damage, pictures
from inpaint.damage import Candidates
from inpaint.tools.crops import find
from inpaint.tools.damage_check import LOOKS, damaged, dress

LINES = ("scratch", "film", "crack", "fold")
SPECKS = ("dust",)
HIT = 0.6
"""Least share of a candidate's pixels that lie on damage."""

Rows = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Features (N, F), label and pixels (N,)."""


def gather(
    folder: Path,
    propose: Callable[[damage.Light], Iterator[Candidates]],
    kinds: tuple[str, ...],
    count: int,
    seed: int = 0,
) -> tuple[list[str], Rows]:
    """Collect candidates of clean photographs and, where damage was drawn, those that hit it."""
    files = find(folder)
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    names: list[str] = []
    features, labels, sizes = [], [], []
    for turn, index in enumerate(order):
        rng = np.random.default_rng([seed, turn])
        clean = dress(
            np.rint(pictures.read(files[index]).rgb() * 255).astype(np.uint8),
            LOOKS[turn % len(LOOKS)],
            rng,
        )
        for kind in (None, kinds[turn // len(LOOKS) % len(kinds)]):
            pixels, truth = (clean, None) if kind is None else damaged(clean, kind, rng)
            near = None if truth is None else damage.cv2.dilate(truth.astype(np.float32), damage._disc(2))
            for level in damage.levels(pixels):
                for found in propose(level):
                    at = found.rows, found.columns
                    hit = np.zeros(len(found.contrast))
                    if near is not None:
                        shown = damage.cv2.resize(near, level.shape[1::-1], interpolation=damage.cv2.INTER_AREA)
                        hit = np.bincount(found.owner, shown[at]) / np.bincount(found.owner)
                    names = list(found.features)
                    rows = np.stack(list(found.features.values()), 1)
                    kept = hit >= HIT if kind else np.ones(len(hit), bool)
                    features.append(rows[kept])
                    labels.append(np.full(kept.sum(), float(kind is not None)))
                    sizes.append(np.bincount(found.owner)[kept].astype(float))
    return names, (np.concatenate(features), np.concatenate(labels), np.concatenate(sizes))


def fit(features: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted logistic regression by Newton's method; returns the weights, the bias last."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    x = np.c_[(features - mean) / spread, np.ones(len(features))]
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (weights * (p - labels)) + 1e-3 * len(x) * np.r_[w[:-1], 0]
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + 1e-3 * len(x) * np.eye(len(w))
        w -= np.linalg.solve(curvature, gradient)
    slopes = w[:-1] / spread
    return np.r_[slopes, w[-1] - slopes @ mean]

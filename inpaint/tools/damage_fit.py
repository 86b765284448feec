"""Fit the weights by which `inpaint.damage` tells damage from content.

Logistic regression of what its filters propose on photographs, without and with drawn damage.
`python -m inpaint.tools.damage_fit FOLDER` prints the weights.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import damage, masks
from inpaint.damage import Kind
from inpaint.tools.crops import find
from inpaint.tools.damage_draw import LOOKS, damaged, dress, photograph

TRAINED_ON = {
    "lines": ("scratch", "film", "crack", "fold"),
    "cracks": ("crack",),
    "dust": ("dust",),
}
"""Kinds of damage that are drawn to fit what is looked for."""
PHOTOGRAPHS = 240
HIT = 0.6
"""Least share of a candidate's pixels that lie on damage."""
CLEAN_COUNTS = 3.0
"""How much worse a false alarm is than an overlooked candidate of middling size."""
LARGEST = 600
"""Pixels beyond which a candidate counts no more."""
PRIOR = 1e-3
"""Pull of the weights to zero."""

Values = NDArray[np.float64]


def gather(
    folder: Path, sought: Kind, kinds: tuple[str, ...], count: int, seed: int = 0
) -> tuple[list[str], Values, Values, Values]:
    """Collect all candidates of clean photographs and, where damage was drawn, those that hit it.

    Returns the features' names, the features (N, F), labels (N,) and sizes in pixels (N,).
    """
    files = find(folder)
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    names = [name for name in sought.weights if name != "bias"]
    features, labels, sizes = [], [], []
    for turn, index in enumerate(order):
        rng = np.random.default_rng([seed, turn])
        clean = dress(photograph(files[index]), LOOKS[turn % len(LOOKS)], rng)
        kind = kinds[turn // len(LOOKS) % len(kinds)]
        drawn, truth = damaged(clean, kind, rng)
        for pixels, is_damage in ((clean, False), (drawn, True)):
            near = masks.grow(truth, 2).astype(np.float32)
            for level in islice(damage.levels(pixels), sought.levels):
                shown = cv2.resize(near, level.shape[1::-1], interpolation=cv2.INTER_AREA)
                for found in sought.propose(level):
                    size = np.bincount(found.owner)
                    hit = np.bincount(found.owner, shown[found.rows, found.columns]) / size
                    kept = (hit >= HIT) | (not is_damage)
                    features.append(np.stack([found.feature(n) for n in names], 1)[kept])
                    labels.append(np.full(kept.sum(), float(is_damage)))
                    sizes.append(size[kept].astype(float))
    return names, np.concatenate(features), np.concatenate(labels), np.concatenate(sizes)


def fit(features: Values, labels: Values, counts: Values) -> Values:
    """Weighted logistic regression by Newton's method; returns the weights, the bias last."""
    mean, spread = features.mean(0), features.std(0) + 1e-9
    x = np.c_[(features - mean) / spread, np.ones(len(features))]
    prior = PRIOR * len(x) * np.r_[np.ones(features.shape[1]), 0]
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (counts * (p - labels)) + prior * w
        curvature = (x * (counts * p * (1 - p))[:, None]).T @ x + np.diag(prior + 1e-6)
        w -= np.linalg.solve(curvature, gradient)
    slopes = w[:-1] / spread
    return np.append(slopes, w[-1] - slopes @ mean)


def counts(labels: Values, sizes: Values) -> Values:
    """How much each candidate matters: a long scratch more than a piece of one."""
    size = np.minimum(sizes, LARGEST)
    return np.where(labels > 0, size / size[labels > 0].mean(), CLEAN_COUNTS)


def main(folder: Path) -> None:
    """Fit and print the weights of everything that is looked for."""
    for sought in damage.KINDS:
        names, features, labels, sizes = gather(
            folder, sought, TRAINED_ON[sought.name], PHOTOGRAPHS
        )
        weights = fit(features, labels, counts(labels, sizes))
        print(f"{sought.name}: {{")
        for feature, weight in zip([*names, "bias"], weights, strict=True):
            print(f'    "{feature}": {weight:.2f},')
        print("}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

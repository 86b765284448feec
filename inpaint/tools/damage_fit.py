"""Fit the weights by which `inpaint.damage` tells damage from content.

Logistic regression of what its filters propose on photographs, without and with drawn damage.
`python -m inpaint.tools.damage_fit FOLDER` prints the weights; the photographs are others than
those that the network was trained on, which it knows too well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import damage, masks
from inpaint.damage import Kind
from inpaint.damage.candidates import Candidates, product
from inpaint.damage.network import log_odds
from inpaint.tools.crops import find
from inpaint.tools.damage_draw import LOOKS, Mask, Rgb, damaged, dress, photograph

DRAWN = (("scratch", "film", "fold"), ("crack",), ("dust",))
"""Damage that is drawn on a photograph, one of each group in turn."""
TRAINED_ON = {
    "lines": ("scratch", "film", "crack", "fold"),
    "cracks": ("scratch", "crack"),
    "dust": ("dust",),
}
"""Of which of it each kind that is looked for learns."""
HIT = 0.6
"""Least share of a candidate's pixels that lie on damage."""
CLEAN_COUNTS = 3.0
"""How much worse a false alarm is than an overlooked candidate of middling size."""
LARGEST = 600
"""Pixels beyond which a candidate counts no more."""
PRIOR = 1e-3
"""Pull of the weights to zero."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates of many photographs.

    Attributes
    ----------
    damage : (N,) str
        What was drawn on the photograph; "" for none.
    features : dict
        Name to (N,) values.
    hits : (N,) float
        Share of the candidate's pixels that lie on damage.
    sizes : (N,) float
        In pixels.
    """

    damage: NDArray[np.str_]
    features: dict[str, Values]
    hits: Values
    sizes: Values


def gather(
    files: list[Path], propose: Callable[..., Iterator[Candidates]], levels: int
) -> Gathered:
    """Collect all that is proposed on photographs as they are, and with damage drawn on them."""
    parts: list[tuple[NDArray[Any], dict[str, Values], NDArray[Any], NDArray[Any]]] = []
    for turn, file in enumerate(files):
        for kind, pixels, truth in _cases(photograph(file), turn):
            near = masks.grow(truth, 2).astype(np.float32)
            for level in islice(damage.levels(pixels), levels):
                shown = cv2.resize(near, level.shape[1::-1], interpolation=cv2.INTER_AREA)
                for found in propose(level, log_odds(level)):
                    size = np.bincount(found.owner)
                    hit = np.bincount(found.owner, shown[found.rows, found.columns]) / size
                    parts.append((np.full(len(size), kind), found.features, hit, size))
    kinds, features, hits, sizes = zip(*parts, strict=True)
    named = {name: np.concatenate([part[name] for part in features]) for name in features[0]}
    return Gathered(np.concatenate(kinds), named, np.concatenate(hits), np.concatenate(sizes))


def _cases(clean: Rgb, turn: int) -> Iterator[tuple[str, Rgb, Mask]]:
    """Yield a photograph, as it is, in a look of its turn, and then with a kind of each group."""
    nowhere = np.zeros(clean.shape[:2], bool)
    yield "", clean, nowhere
    look, rng = LOOKS[turn % len(LOOKS)], np.random.default_rng([7, turn])
    dressed = dress(clean, look, rng)
    if look != "colour":
        yield "", dressed, nowhere
    for group in DRAWN:
        kind = group[turn // len(LOOKS) % len(group)]
        yield kind, *damaged(dressed, kind, rng)


def weights(gathered: Gathered, sought: Kind) -> dict[str, float]:
    """Fit the weights of what is looked for."""
    names = [name for name in sought.weights if name != "bias"]
    x = np.stack([product(gathered.features, name) for name in names], 1)
    clean = gathered.damage == ""
    hit = np.isin(gathered.damage, TRAINED_ON[sought.name]) & (gathered.hits >= HIT)
    labels, kept = hit.astype(float), clean | hit
    found = fit(x[kept], labels[kept], counts(labels[kept], gathered.sizes[kept]))
    return dict(zip([*names, "bias"], found.tolist(), strict=True))


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
    files, gathered = find(folder), {}
    for sought in damage.KINDS:
        if sought.propose not in gathered:
            gathered[sought.propose] = gather(files, sought.propose, sought.levels)
        print(f"{sought.name}: {{")
        for name, weight in weights(gathered[sought.propose], sought).items():
            print(f'    "{name}": {weight:.2f},')
        print("}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

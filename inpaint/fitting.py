"""How well known patches fit what is seen of others: the likelihood in `inpaint.selfpatch`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

KNOWN_SPREAD = 0.06
"""Standard deviation allowed to known pixels at low noise, in units of [-1, 1]."""
ONE_MATCH = 0.5
"""Noise s/a below which a patch is its best match alone: averages of near matches are blurred."""
BRIGHTNESS = 0.05
"""Standard deviation by which a patch may shift in brightness, in units of [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A noisy picture, and how much its values count.

    Attributes
    ----------
    x : Tensor
        (1, 3, H, W).
    signal : float
        a = √ᾱ.
    hole, known : float
        Precision π of what is seen in the hole, and of known pixels.
    blend : bool
        Whether to average what fits, or take the best.
    """

    x: Tensor
    signal: float
    hole: float
    known: float
    blend: bool

    @classmethod
    def of(cls, x: Tensor, level: float) -> Sight:
        """See x at a noise level ᾱ."""
        blend = math.sqrt((1 - level) / max(level, 1e-12)) > ONE_MATCH
        level = min(max(level, 1e-12), 1 - 1e-4)
        variance = max(KNOWN_SPREAD**2, 0.15 * (1 - level) / level)
        return cls(x, math.sqrt(level), level / (1 - level), 1 / variance, blend)


@dataclass(slots=True, eq=False)
class View:
    """What is wanted of the n patches of a band.

    Attributes
    ----------
    target : Tensor
        (n, side·side·3): the known pixels, and what the noisy picture shows in the hole.
    rim : Tensor
        (m,): which of the patches hold known pixels. Only these tell how far a patch shifts.
    shown : Tensor
        (m, side·side·3), 1 where they do.
    """

    sight: Sight
    target: Tensor
    rim: Tensor
    shown: Tensor
    give: Tensor = field(init=False)
    order: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Find how far each patch of the rim gives way, (m,), and which of them each is, (n,)."""
        told = self.sight.known * self.shown.sum(1)
        self.give = BRIGHTNESS**2 / (1 + BRIGHTNESS**2 * told)
        self.order = torch.full((len(self.target),), -1)
        self.order[self.rim] = torch.arange(len(self.rim))

    def precision(self) -> Tensor:
        """Return π for every value, (n, side·side·3)."""
        out = torch.full_like(self.target, self.sight.hole)
        out[self.rim] = torch.where(self.shown > 0, self.sight.known, self.sight.hole)
        return out

    def costs(self, patches: Tensor, query: Tensor | None = None) -> Tensor:
        """Return Σ π(τ − Q)² less what the shift explains, (k,), of patches (k, side·side·3).

        `query`, (k,), says whom each is for; without, one is for each. `patches` is overwritten.
        """
        hole, known = self.sight.hole, self.sight.known
        gap = patches.sub_(self.target if query is None else self.target.index_select(0, query))
        order = self.order if query is None else self.order[query]
        at_rim = (order >= 0).nonzero()[:, 0]
        rim = order[at_rim]
        told = gap.index_select(0, at_rim).mul_(self.shown.index_select(0, rim))
        cost = gap.square_().sum(1).mul_(hole)
        pull = told.sum(1).mul_(known)
        more = told.square_().sum(1).mul_(known - hole)
        cost[at_rim] += more.sub_(pull.square_().mul_(self.give[rim]))
        return cost

    def shifted(self, patches: Tensor) -> Tensor:
        """Shift patches, (n, side·side·3), to the brightness that is known."""
        gap = (self.target[self.rim] - patches[self.rim]).mul_(self.shown)
        shift = gap.sum(1).mul_(self.sight.known).mul_(self.give)
        patches[self.rim] += shift[:, None]
        return patches

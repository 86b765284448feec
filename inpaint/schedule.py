"""Which noise levels a sampler visits, and in what order.

A level is a value of ᾱ: 0 is pure noise, 1 is the clean picture, and x = √ᾱ·x0 + √(1−ᾱ)·ε.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

# Not 1: there ᾱ = 0, and 1/√ᾱ and log-SNR are infinite. Not much less either: the mean colour of
# n pixels shows through the noise with signal-to-noise ratio n·ᾱ, so a removed object would tint
# its own replacement. At .9999, ᾱ = 2.5e-8 and even a hole of a million pixels starts blind.
U_MAX = 0.9999


def cosine_levels(steps: int, start: float = 1.0) -> list[float]:
    """Levels ᾱ = cos²(πu/2) for u evenly spaced from start·U_MAX down to 0.

    Parameters
    ----------
    steps : int
        Number of denoising steps, at least 1.
    start : float
        Fraction of the way to pure noise to begin at, in (0, 1]. All `steps` are spent below it.

    Returns
    -------
    list of float
        steps + 1 ascending levels; the last is exactly 1.

    References
    ----------
    Nichol and Dhariwal 2021, eq. 17, without its offset.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < start <= 1:
        raise ValueError(f"strength must be in (0, 1], got {start}")
    top = start * U_MAX * math.pi / 2
    return [math.cos(top * (1 - i / steps)) ** 2 for i in range(steps + 1)]


def walk(steps: int, jump: int, resample: int) -> list[int]:
    """RePaint's walk through the levels: Lugmayr et al. 2022, section 4.2.

    Position 0 is the noisiest level and `steps` the clean picture. From the last noisy position,
    and from every `jump`-th before it, the walk goes back by `jump` positions resample − 1 times.
    A jump longer than the walk is shortened, so that resampling is never skipped in silence.

    Returns
    -------
    list of int
        Positions from 0 to `steps`; neighbours differ by +1 (denoise) or −jump (renoise).
    """
    for name, value in (("steps", steps), ("jump", jump), ("resample", resample)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    jump = min(jump, max(steps - 1, 1))
    left = {steps - 1 - t: resample - 1 for t in range(0, steps - jump, jump)}
    positions = [0]
    while positions[-1] < steps:
        here = positions[-1]
        if left.get(here):
            left[here] -= 1
            positions.append(here - jump)
        else:
            positions.append(here + 1)
    return positions


def moves(levels: Sequence[float], jump: int, resample: int) -> Iterator[tuple[float, float]]:
    """Pairs (level, next level) along the walk; a next level below the level is a jump back."""
    return pairwise(levels[p] for p in walk(len(levels) - 1, jump, resample))


def evaluations(steps: int, resample: int, jump: int) -> int:
    """Count the denoising moves of the walk; 2410 for 250 steps, 10 times, jumps of 10."""
    return sum(after > here for here, after in pairwise(walk(steps, jump, resample)))


def renoise(
    x: Tensor, level: float, level_noisier: float, noise: Callable[[Tensor], Tensor]
) -> Tensor:
    """Take x from `level` back to `level_noisier` with one draw of the forward process.

    With q = ᾱ_noisier/ᾱ: x ← √q·x + √(1−q)·z, exact however many training steps lie between.
    Lugmayr et al. 2022, the last line of Alg. 1, composed over a whole jump.
    """
    q = level_noisier / level
    return math.sqrt(q) * x + math.sqrt(1 - q) * noise(x)

"""Samplers: each one pure function from a denoiser and noise to a picture.

Symbols: ᾱ is `level`, primes are the next level (`after`), a = √ᾱ, s = √(1−ᾱ), D the network's
estimate of the clean picture, x̂ = A⁺y + (I − A⁺A)·D the same held to what is known, M = known,
y the known pixels, ε̂ = (x − a·D)/s, z fresh noise. All share one signature:

    sample(denoise, x, levels, noise, operator, *, resample, jump, eta) -> x0

x (B, C, H, W) is at levels[0]; levels ascend in ᾱ to exactly 1; x0 has the known pixels exact.

All but RePaint step with x̂ for the clean part but ε̂ from D, as DDNM does. For a network that sees
the known pixels the two agree; for one that does not, taking ε̂ from x̂ would freeze the noise
of the known pixels, and the network would never learn from it that its D was wrong there
(distances on Gaussian data double: tests/unit/test_samplers.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from inpaint.denoiser import Denoiser, Noise
from inpaint.operators import KnownPixels, Operator
from inpaint.schedule import evaluations, moves, renoise


def start(x_init: Tensor, level: float, noise: Noise) -> Tensor:
    """Noise a picture to `level`: a·x_init + s·z (SDEdit, Meng et al. 2022)."""
    return math.sqrt(level) * x_init + math.sqrt(1 - level) * noise(x_init)


def ddim(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    noise: Noise,
    operator: Operator,
    *,
    resample: int = 1,
    jump: int = 1,
    eta: float = 0.0,
) -> Tensor:
    """DDIM: Song et al. 2021, eq. 12 and 16.

    eta 0 follows the probability flow, 1 is DDPM's ancestral step. resample > 1 walks as RePaint.
    """
    for level, after in moves(levels, jump, resample):
        if after < level:
            x = renoise(x, level, after, noise)
        else:
            D = denoise(x, level)
            sigma = eta * _ancestral(level, after)
            x = _step(operator.project(D), _eps(x, D, level), after, sigma, noise)
    return operator.project(x)


def dpmpp(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    noise: Noise,
    operator: Operator,
    *,
    resample: int = 1,
    jump: int = 1,
    eta: float = 0.0,
) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022, Alg. 2; its SDE form for eta > 0.

    With λ = log(a/s) and h = λ' − λ: x' = (s'/s)·x + a'(1 − e^−h)·D + a'(x̂ − D), where D is
    extrapolated from the last two estimates. resample > 1 walks as RePaint, and a jump forgets
    the last estimate.
    """
    last: tuple[Tensor, float] | None = None
    for level, after in moves(levels, jump, resample):
        if after < level:
            x, last = renoise(x, level, after, noise), None
            continue
        x0 = denoise(x, level)
        if after == 1:  # h is infinite, and the step is to the estimate itself
            return operator.project(x0)
        a, s, a_, s_ = *_split(level), *_split(after)
        decay = a * s_ / (a_ * s)  # e^−h
        h = -math.log(decay) if decay else math.inf
        D = x0 if last is None else x0 + h / (2 * last[1]) * (x0 - last[0])
        x = s_ / s * decay**eta * x + a_ * (operator.project(D) - decay ** (1 + eta) * D)
        if eta > 0:
            x = x + s_ * math.sqrt(1 - decay ** (2 * eta)) * noise(x)
        last = x0, h
    return x


def repaint(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    noise: Noise,
    operator: KnownPixels,
    *,
    resample: int = 5,
    jump: int = 5,
    eta: float = 1.0,
) -> Tensor:
    """RePaint: Lugmayr et al. 2022, Alg. 1; `eta` 1 is its ancestral step (eq. 8b).

    The known part is drawn afresh, independently of the step's noise, after every step (eq. 8a).
    """
    for level, after in moves(levels, jump, resample):
        if after < level:
            x = renoise(x, level, after, noise)
        else:
            D = denoise(x, level)
            x = _step(D, _eps(x, D, level), after, eta * _ancestral(level, after), noise)
            x = operator.redraw(x, after, noise)
    return operator.project(x)


def ddnm(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    noise: Noise,
    operator: Operator,
    *,
    resample: int = 1,
    jump: int = 1,
    eta: float = 0.85,
) -> Tensor:
    """DDNM: Wang et al. 2023, Alg. 1: x' = a'·x̂ + s'(η·z + √(1−η²)·ε̂).

    resample > 1 is the time travel of its Alg. 2, done as a jump of the Markov chain: renoising x
    and not D keeps x at the distribution of its level.
    """
    for level, after in moves(levels, jump, resample):
        if after < level:
            x = renoise(x, level, after, noise)
        else:
            D = denoise(x, level)
            sigma = eta * math.sqrt(1 - after)
            x = _step(operator.project(D), _eps(x, D, level), after, sigma, noise)
    return operator.project(x)


def lanpaint(
    denoise: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    noise: Noise,
    operator: KnownPixels,
    *,
    resample: int = 2,
    jump: int = 1,
    eta: float = 0.0,
    pull: float = 5.0,
    size: float = 0.3,
) -> Tensor:
    """Langevin moves of hole and known pixels together at each level, then a DDIM step.

    `resample` evaluations a level, the last of them for the step; `jump` is not used. A move
    solves dx = (C − A·x)dt + √2·dW exactly for dt = size·s², C frozen, with A = (1 + pull·M)/s²:
    in the hole the drift is the network's score, on known pixels 1 + pull times the score of y
    less pull times the network's, so that the known pixels drag the hole along.

    LanPaint, Zheng et al. 2025, re-derived. The known pixels are not drawn afresh at each level:
    the noise that the moves gave them belongs to the hole's, and keeping it comes closer.
    """
    y, known = operator.pixels, 1 - operator.mask
    for level, after in pairwise(levels):
        a, s = _split(level)
        A, dt = (1 + pull * known) / s**2, size * s**2
        decay = torch.exp(-A * dt)
        for _ in range(resample - 1):
            D = denoise(x, level)
            target = operator.project(D) + pull * known * (y - D)
            C = (a * target - x) / s**2 + A * x
            x = decay * x + (1 - decay) / A * C + torch.sqrt((1 - decay**2) / A) * noise(x)
        D = denoise(x, level)
        sigma = eta * _ancestral(level, after)
        x = _step(operator.project(D), _eps(x, D, level), after, sigma, noise)
    return operator.project(x)


def _split(level: float) -> tuple[float, float]:
    """Split x into a, the share of the signal, and s, that of the noise."""
    return math.sqrt(level), math.sqrt(1 - level)


def _eps(x: Tensor, x0: Tensor, level: float) -> Tensor:
    """ε̂ = (x − a·x0)/s, the noise in x if the clean picture is x0."""
    a, s = _split(level)
    return (x - a * x0).div_(s)


def _ancestral(level: float, after: float) -> float:
    """√β̃, the spread of DDPM's reverse step: Ho et al. 2020, eq. 7. Zero at the last step."""
    return math.sqrt((1 - after) / (1 - level) * (1 - level / after))


def _step(x0: Tensor, eps: Tensor, after: float, sigma: float, noise: Noise) -> Tensor:
    """a'·x0 + √(s'² − σ²)·ε̂ + σ·z: Song et al. 2021, eq. 12. `eps` is overwritten."""
    x = (math.sqrt(after) * x0).add_(eps.mul_(math.sqrt(max(1 - after - sigma**2, 0))))
    return x + sigma * noise(x) if sigma > 0 else x


class SamplerFunction(Protocol):
    """The signature that all samplers share."""

    def __call__(  # noqa: D102
        self,
        denoise: Denoiser,
        x: Tensor,
        levels: Sequence[float],
        noise: Noise,
        operator: KnownPixels,
        *,
        resample: int = ...,
        jump: int = ...,
        eta: float = ...,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Sampler:
    """A sampler and what it costs."""

    function: SamplerFunction
    evaluations: Callable[[int, int, int], int] = evaluations
    """(steps, resample, jump) -> the exact number of calls of the denoiser."""


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(ddim),
    "dpmpp": Sampler(dpmpp),
    "ddnm": Sampler(ddnm),
    "repaint": Sampler(repaint),
    "lanpaint": Sampler(lanpaint, lambda steps, resample, jump: steps * resample),
}
"""By name; `inpaint.settings.SAMPLERS` describes them and holds their defaults."""

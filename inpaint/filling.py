"""Fills windows, coarse to fine and tile by tile, with any model and any sampler.

A window is shrunk until the model can grasp its holes, filled there from noise, and enlarged step
by step; each finer level noises the enlarged fill to a middle level and denoises it again, so that
structure comes from above and texture from the level itself. Holes too large for the model's tile
are filled tile after tile, each seeing the ones before it as known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from inpaint.denoiser import Denoiser, seeded_noise, watched
from inpaint.operators import KnownPixels
from inpaint.regions import Region, tiles
from inpaint.results import Stopped as Stopped
from inpaint.samplers import SAMPLERS, start
from inpaint.scales import enlarge, shrink, spread
from inpaint.schedule import cosine_levels
from inpaint.settings import Settings


class Level(Protocol):
    """A model prepared for one level of the pyramid of one picture."""

    @property
    def guess(self) -> Tensor:
        """(B, 3, H, W): what to noise and denoise."""

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Return the denoiser of a tile: known (B, 3, h, w), mask (1 or B, 1, h, w), 1 = hole."""


L = TypeVar("L", bound=Level)


class Model(Protocol[L]):
    """What a fill needs to know of a model."""

    @property
    def tile(self) -> int:
        """Largest side of a core that is filled at once, in pixels."""

    @property
    def batch(self) -> int | None:
        """Most windows that it can denoise at once; None for any number."""

    @property
    def refine(self) -> float:
        """Strength to which an enlarged fill is noised on every finer level, (0, 1]."""

    def context(self, side: int) -> int:
        """Pixels to look at around holes with a longest side of `side`."""

    def halvings(self, mask: Tensor) -> int:
        """How often to halve a (1, 1, H, W) mask before the first fill."""

    def level(
        self, known: Tensor, mask: Tensor, guess: Tensor, coarser: L | None, halved: int = 0
    ) -> L:
        """Prepare a level: known (1 or B, 3, H, W), mask (1 or B, 1, H, W), guess (B, 3, H, W).

        `halved` is how often the picture was halved for it.
        """

    def work(self, mask: Tensor) -> float:
        """Arithmetic of one evaluation on a (1, 1, h, w) tile, in multiply-adds."""


class Filler(Protocol):
    """What fills windows: our samplers around a denoiser, or a pipeline of diffusers."""

    @property
    def batch(self) -> int | None:
        """Most windows that it takes at once; None for any number."""

    def context(self, side: int) -> int:
        """Pixels to look at around holes with a longest side of `side`."""

    def plan(self, mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
        """List the passes that fill a (1, 1, H, W) mask; windows of equal plans may share a batch.

        `shrunken` scales the tiles, for machines short of memory.
        """

    def fill(
        self,
        picture: Tensor,
        mask: Tensor,
        settings: Settings,
        seeds: list[int],
        on_step: Callable[[Step], None] = lambda step: None,
        shrunken: float = 1.0,
    ) -> tuple[Tensor, bool]:
        """Fill windows.

        Parameters
        ----------
        picture : Tensor
            (1 or B, 3, H, W) in [-1, 1]. What the holes contain matters only for a strength
            below 1.
        mask : Tensor
            (1 or B, 1, H, W), 1 = repaint, 0 = known; of equal plans.
        settings : Settings
            Sampler, steps, strength, resample count, jump length and eta.
        seeds : list of int
            One for each window.
        on_step : callable
            Called after every evaluation; may raise `Stopped`.

        Returns
        -------
        filled, finished
            filled is (B, 3, H, W) with the known pixels exact; finished is False if stopped.
        """


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of the sampler on one tile of one level."""

    level: int
    """Halvings left to do: 0 is the picture's own resolution."""
    region: Region
    levels: tuple[float, ...]
    evaluations: int
    work: float
    """Multiply-adds of one evaluation."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a fill reports after every evaluation.

    Attributes
    ----------
    number, total : int
        Evaluations done and planned.
    stage : str
        What is being done, for people.
    estimate : callable
        () -> the estimate of the region as it stands, (B, 3, H, W) in [-1, 1]; costs a resize.
    """

    number: int
    total: int
    stage: str
    estimate: Callable[[], Tensor]


def plan(model: Model[Any], mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
    """List the passes that fill a (1, 1, H, W) mask, in order; as `Filler.plan`."""
    masks = [mask]
    for _ in range(_depth(settings.strength, model.refine, model.halvings(mask))):
        masks.append(shrink(masks[-1], masks[-1])[1])
    while len(masks) > 1 and not masks[-1].any():
        masks.pop()
    # White noise halves with the picture, so it is stronger here than the same one seen there.
    first_strength = _seen_from(settings.strength, len(masks) - 1)
    side = max(32, int(model.tile * shrunken))
    sampler, resample, jump = SAMPLERS[settings.sampler], settings.resample, settings.jump
    passes = []
    for level in reversed(range(len(masks))):
        first = level == len(masks) - 1
        steps = settings.steps if first else math.ceil(settings.steps / 2)
        levels = cosine_levels(steps, first_strength if first else model.refine)
        for region in tiles(masks[level], side, model.context(side)):
            passes.append(
                Pass(
                    level,
                    region,
                    tuple(levels),
                    sampler.evaluations(steps, resample, jump),
                    model.work(region.crop(masks[level])),
                )
            )
    return passes


def _depth(strength: float, refine: float, most: int) -> int:
    """Return how often to halve a guide before it is noised.

    Until noise of `refine` buries there what noise of `strength` buries at full size: a lightly
    noised guide keeps its structure, and there is none to find further up.
    """
    for depth in range(most):
        if _seen_from(strength, depth) <= refine:
            return depth
    return most


def _seen_from(strength: float, depth: int) -> float:
    """Return what noise of a strength amounts to on a picture halved `depth` times.

    The mean of four pixels has half the noise, s/a = tan(πu/2). Full strength stays full.
    """
    if strength == 1 or depth == 0:
        return strength
    return 2 / math.pi * math.atan(math.tan(math.pi / 2 * strength) / 2**depth)


def fill(
    model: Model[Any],
    picture: Tensor,
    mask: Tensor,
    settings: Settings,
    seeds: list[int],
    on_step: Callable[[Step], None] = lambda step: None,
    shrunken: float = 1.0,
) -> tuple[Tensor, bool]:
    """Fill the holes of windows with a model; as `Filler.fill`."""
    passes = plan(model, mask[:1], settings, shrunken)
    if not passes:
        return picture.expand(len(seeds), -1, -1, -1).clone(), True
    pyramid = [(picture, mask)]
    # The least trace of what was there would tint what comes: at full strength none is left.
    guide = spread(picture, mask) if settings.strength == 1 else picture
    for _ in range(passes[0].level):
        pyramid.append(shrink(*pyramid[-1]))
        guide = shrink(guide, torch.zeros_like(mask[..., : guide.shape[-2], : guide.shape[-1]]))[0]
    noise = seeded_noise(seeds)
    sampler = SAMPLERS[settings.sampler]
    total, done = sum(p.evaluations for p in passes), 0
    level = passes[0].level
    known, holes = pyramid[level]
    # A shrunken guide's rim mixes in the holes; the known pixels' does not.
    x = torch.where(holes > 0, guide, known).expand(len(seeds), -1, -1, -1).clone()
    prepared = model.level(known, holes, x, None, level)
    left = holes
    try:
        for now in passes:
            while level > now.level:
                level -= 1
                known, holes = pyramid[level]
                x = enlarge(x, (known.shape[-1], known.shape[-2]))
                x = torch.where(holes > 0, x, known)
                prepared = model.level(known, holes, x, prepared, level)
                x, left = prepared.guess, holes
            region = now.region
            window, hole = region.crop(x), region.crop(left)
            operator = KnownPixels(window, hole)
            stage = _stage(level, passes[0].level)
            report = _Report(on_step, stage, total, done, x, operator, region, pyramid[: level + 1])
            try:
                filled = sampler.function(
                    watched(prepared.denoiser(window, hole), report),
                    start(window, now.levels[0], noise),
                    now.levels,
                    noise,
                    operator,
                    resample=settings.resample,
                    jump=settings.jump,
                    eta=settings.eta,
                )
            except Stopped:
                x = report.placed(report.x0)
                raise
            x, done = _placed(x, region, filled), report.done
            left = left.clone()
            region.bare.crop(left).zero_()
    except Stopped:
        return _upwards(x, pyramid[: level + 1]), False
    return x, True


@dataclass(frozen=True, slots=True)
class Pyramid(Generic[L]):
    """A `Filler` made of a model."""

    model: Model[L]

    @property
    def batch(self) -> int | None:
        """As the model's."""
        return self.model.batch

    def context(self, side: int) -> int:
        """As the model's."""
        return self.model.context(side)

    def plan(self, mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
        """See `plan`."""
        return plan(self.model, mask, settings, shrunken)

    def fill(
        self,
        picture: Tensor,
        mask: Tensor,
        settings: Settings,
        seeds: list[int],
        on_step: Callable[[Step], None] = lambda step: None,
        shrunken: float = 1.0,
    ) -> tuple[Tensor, bool]:
        """See `fill`."""
        return fill(self.model, picture, mask, settings, seeds, on_step, shrunken)


@dataclass(slots=True)
class _Report:
    """What a pass tells about its evaluations; holds the latest estimate for a Stop."""

    on_step: Callable[[Step], None]
    stage: str
    total: int
    done: int
    canvas: Tensor
    operator: KnownPixels
    region: Region
    pyramid: list[tuple[Tensor, Tensor]]
    x0: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.x0 = self.operator.pixels

    def __call__(self, x0: Tensor, level: float) -> None:
        """Take note of an evaluation; the signature is that of `watched`."""
        self.done, self.x0 = self.done + 1, x0
        view = partial(self.view, x0)
        self.on_step(Step(self.done, self.total, self.stage, view))

    def placed(self, x0: Tensor) -> Tensor:
        """Return the canvas with an estimate in the region's place, known pixels exact."""
        return _placed(self.canvas, self.region, self.operator.project(x0))

    def view(self, x0: Tensor) -> Tensor:
        """Return the whole picture at full size with an estimate in the region's place."""
        return _upwards(self.placed(x0), self.pyramid)


def _placed(canvas: Tensor, region: Region, window: Tensor) -> Tensor:
    """Put a window's core into a copy of the canvas."""
    out = canvas.clone()
    region.bare.crop(out).copy_(region.inside(window))
    return out


def _upwards(x: Tensor, sizes: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Enlarge an estimate of the last level of a pyramid to its first, known pixels exact."""
    for known, mask in reversed(sizes[:-1]):
        x = torch.where(mask > 0, enlarge(x, (known.shape[-1], known.shape[-2])), known)
    return x


def _stage(level: int, coarsest: int) -> str:
    if level == coarsest:
        return "finding the structure" if level else "filling"
    return "adding detail" if level else "finishing the texture"


def shuffled(seed: int, region: int) -> int:
    """Return a seed of its own for each region of a picture, so that equal holes differ."""
    return (seed * 1_000_003 + region * 7_919) % 2**63


def overall(passes: Iterator[Pass] | list[Pass]) -> tuple[int, float]:
    """Add up the evaluations and multiply-adds of a plan."""
    evaluations = work = 0.0
    for p in passes:
        evaluations += p.evaluations
        work += p.evaluations * p.work
    return int(evaluations), work

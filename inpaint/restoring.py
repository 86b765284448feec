"""Restores windows: y = A·x is known of the picture, and an unconditional network adds the rest.

The network, which is told that nothing is known, denoises a guess; after every evaluation its
estimate is held to y (DDNM, Wang et al. 2023). The sampler runs on the whole window and the
network on overlapping tiles of it, whose estimates are averaged (MultiDiffusion, Bar-Tal et al.
2023), so that neither seams nor the size of the window matter.

With eta 0 no noise is added, not even to the guess: the network takes the guess's own flaws
for noise, as in plug-and-play restoration (Zhang et al. 2021, DPIR), and the result is the
faithful one. More eta gives livelier texture, which is invented.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint.catalog import PixelModel
from inpaint.denoiser import Denoiser, seeded_noise
from inpaint.filling import Filler, Pass, Pyramid, Step, Stopped
from inpaint.operators import Operator
from inpaint.regions import Region, tiles
from inpaint.rounding import blocks, grey, unblocked, with_grey, with_sums
from inpaint.samplers import SAMPLERS
from inpaint.schedule import U_MAX, cosine_levels
from inpaint.settings import Settings

SIDE = 192
"""Largest side of a tile's core, in pixels."""
CONTEXT = 32
"""Pixels by which tiles overlap; of windows too, and a multiple of every enlargement."""

GONE = (0.001, 0.02)
"""Responses of a blur between which it is taken to leave nothing; below a picture has little."""
SQUARE, SQUARES = 256, 4
"""Side in pixels of the squares in which power is measured, and their number each way."""

Finish = Callable[[Tensor, Tensor], Tensor]
"""(estimate, window) -> the estimate rounded so that what is promised holds."""


def _as_it_is(estimate: Tensor, window: Tensor) -> Tensor:
    return estimate


@dataclass(frozen=True, slots=True)
class Restorer:
    """A `Filler` that restores.

    Attributes
    ----------
    model : PixelModel
        Its network is used unconditionally.
    operator : callable
        Window (B, 3, H, W) -> what is known of the picture by it. What the operator makes of the
        window itself is the guess to start from.
    finish : callable
        Rounds the result so that a promise holds.
    noise : float or None
        Deviation of the noise that the window carries, of 2 (the span of [-1, 1]). It decides the
        level to start at in place of the strength, and nothing is added to it.
    """

    model: PixelModel
    operator: Callable[[Tensor], Operator]
    finish: Finish = _as_it_is
    noise: float | None = None

    @property
    def batch(self) -> int | None:
        """As the model's."""
        return self.model.batch

    def context(self, side: int) -> int:
        """Return the overlap of the tiles, however large the area."""
        return CONTEXT

    def plan(self, mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
        """List the tiles; as `Filler.plan`."""
        strength = settings.strength if self.noise is None else strength_of(self.noise)
        levels = tuple(cosine_levels(settings.steps, strength))
        evaluations = SAMPLERS[settings.sampler].evaluations(
            settings.steps, settings.resample, settings.jump
        )
        side = max(CONTEXT, int(SIDE * shrunken))
        return [
            Pass(0, region, levels, evaluations, self.model.work(region.crop(mask)))
            for region in tiles(mask, side, CONTEXT)
        ]

    def fill(
        self,
        picture: Tensor,
        mask: Tensor,
        settings: Settings,
        seeds: list[int],
        on_step: Callable[[Step], None] = lambda step: None,
        shrunken: float = 1.0,
    ) -> tuple[Tensor, bool]:
        """Restore what the mask marks; as `Filler.fill`."""
        passes = self.plan(mask[:1], settings, shrunken)
        picture = picture.expand(len(seeds), -1, -1, -1)
        if not passes:
            return picture.clone(), True
        operator, levels = self.operator(picture), passes[0].levels
        guess = operator.project(picture)
        noise = seeded_noise(seeds)
        x = math.sqrt(levels[0]) * guess
        if self.noise is None and settings.eta > 0:
            x = x + settings.eta * math.sqrt(1 - levels[0]) * noise(x)
        tiled = _Tiled(
            self.model.pipeline.denoiser,
            operator,
            [p.region for p in passes],
            on_step,
            sum(p.evaluations for p in passes),
            guess,
        )
        finished = True
        try:
            out = SAMPLERS[settings.sampler].function(
                tiled,
                x,
                levels,
                noise,
                operator,  # type: ignore[arg-type]  # `settled` refuses samplers that do not project
                resample=settings.resample,
                jump=settings.jump,
                eta=settings.eta,
            )
        except Stopped:
            out, finished = tiled.view(), False
        return torch.where(mask > 0, self.finish(out.clamp(-1, 1), picture), picture), finished


@dataclass(slots=True)
class _Tiled:
    """A denoiser of windows made of one of tiles; it reports on every tile."""

    denoiser: Callable[[Tensor, Tensor], Denoiser]
    operator: Operator
    regions: list[Region]
    on_step: Callable[[Step], None]
    total: int
    estimate: Tensor
    """The latest estimate of the whole window."""
    done: int = 0
    sums: Tensor = field(init=False)
    weights: Tensor = field(init=False)

    def __call__(self, x: Tensor, level: float) -> Tensor:
        """Denoise a window tile by tile; the signature is that of a `Denoiser`."""
        self.sums, self.weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        for region in self.regions:
            tile = region.crop(x)
            # Told that nothing is known, the network is an unconditional one.
            nothing, everywhere = torch.zeros_like(tile), torch.ones_like(tile[:1, :1])
            weight = _tent(tile.shape[-2])[:, None] * _tent(tile.shape[-1])
            region.crop(self.sums).add_(weight * self.denoiser(nothing, everywhere)(tile, level))
            region.crop(self.weights).add_(weight)
            self.done += 1
            self.on_step(Step(self.done, self.total, "restoring", self.view))
        self.estimate = self._mean()
        return self.estimate

    def view(self) -> Tensor:
        """Return the window as it stands, held to what is known."""
        return self.operator.project(self._mean())

    def _mean(self) -> Tensor:
        """Average the tiles that are done; where none is, the last estimate stays."""
        mean = self.sums / self.weights.clamp(min=1e-6)
        return torch.where(self.weights > 0, mean, self.estimate)


def _tent(length: int) -> Tensor:
    """Weigh a tile's pixels by their distance from its border, up to the overlap: (length,)."""
    i = torch.arange(length)
    return torch.minimum(i + 1, length - i).clamp(max=CONTEXT).float() / CONTEXT


def strength_of(noise: float) -> float:
    """Return the strength whose level a·x + s·ε has s/a = noise: where x/a carries such noise."""
    return min(math.atan(noise) / (U_MAX * math.pi / 2), 1.0)


def network_of(filler: Filler) -> PixelModel:
    """Return the pixel network of a model's filler, or say that there is none."""
    if isinstance(filler, Pyramid) and isinstance(filler.model, PixelModel):
        return filler.model
    raise ValueError("This task needs a network over pixels; choose the model restore.")


def block_sums_kept(factor: int, maximum: int, single: bool) -> Finish:
    """Make a finish that gives every factor × factor block exactly the mean that the window's has.

    `single` makes the three channels equal, for grey pictures.
    """

    def finish(estimate: Tensor, window: Tensor) -> Tensor:
        made = []
        for values, whole in zip(_values(estimate, maximum), _values(window, maximum), strict=True):
            sums = np.rint(blocks(whole, factor).sum(axis=1)).astype(np.int64)
            if single:
                values = np.repeat(values.mean(axis=2, keepdims=True), 3, axis=2)
            rounded = with_sums(blocks(values, factor), sums, maximum)
            made.append(unblocked(rounded, values.shape, factor))
        return _tensor(np.stack(made), maximum)

    return finish


def grey_kept(maximum: int) -> Finish:
    """Make a finish that gives every pixel exactly the grey that the window's has."""

    def finish(estimate: Tensor, window: Tensor) -> Tensor:
        wanted = grey(np.rint(_values(window, maximum)).astype(np.int64))
        return _tensor(with_grey(_values(estimate, maximum), wanted, maximum), maximum)

    return finish


def _values(x: Tensor, maximum: int) -> NDArray[np.float64]:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) in a picture's own units."""
    return np.asarray((x.permute(0, 2, 3, 1).double().numpy() + 1) / 2 * maximum)


def _tensor(whole: NDArray[np.int64], maximum: int) -> Tensor:
    """Undo `_values`; float32 tells 65536 values apart."""
    return (torch.from_numpy(whole).double() / maximum * 2 - 1).float().permute(0, 3, 1, 2)


def beyond_blur(rgb: NDArray[np.float32], radius: float) -> float:
    """Measure what there is that a Gaussian blur of a radius in pixels would have removed.

    The root of the power density just where the blur's response is `GONE`: the noise's deviation if
    the blur is as stated, more if it is less, or if what came later left traces. By averaged
    periodograms (Welch 1967) of squares all over the picture, in whose units it is. 0 for a radius
    that removes nothing.
    """
    height, width = rgb.shape[:2]
    side = min(SQUARE, height, width)
    down, across = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    response = np.exp(-2 * (np.pi * radius) ** 2 * (down[:, None] ** 2 + across**2))
    gone = (response > GONE[0]) & (response < GONE[1])
    if not gone.any():
        return 0.0
    bell = np.hanning(side + 2)[1:-1]
    window = np.outer(bell, bell)[..., None]
    powers = []
    for top in np.linspace(0, height - side, SQUARES).astype(int):
        for left in np.linspace(0, width - side, SQUARES).astype(int):
            square = rgb[top : top + side, left : left + side]
            spectrum = np.fft.rfft2((square - square.mean((0, 1))) * window, axes=(0, 1))
            powers.append((np.abs(spectrum[gone]) ** 2).mean())
    return float(np.sqrt(np.mean(powers) / (window**2).sum()))


def estimated_noise(rgb: NDArray[np.float32]) -> float:
    """Estimate the deviation of the noise in a picture, in its own units.

    A kernel that is blind to whatever is linear across three pixels (Immerkær 1996) leaves noise
    and some texture; the median of what it leaves is less moved by texture than their mean
    (Donoho & Johnstone 1994). Fine texture is taken for noise all the same.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    rest = np.abs(cv2.filter2D(rgb, -1, kernel, borderType=cv2.BORDER_REFLECT_101))
    return float(np.median(rest, axis=(0, 1)).mean() / 0.6745)

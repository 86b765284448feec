"""`self`: a denoiser that needs no training, made of the picture's own patches.

Under the empirical distribution of the patches Q_j that are wholly known, the posterior mean of a
noisy patch is E[x0 | x] = Σ_j w_j·Q_j with w = softmax_j(−½ Σ π(τ − Q_j)²): in the hole the target
τ is x/√ᾱ at precision π = ᾱ/(1 − ᾱ), on known pixels it is the pixel itself at a precision that
grows as the noise falls. The estimate of the picture is the average of overlapping patches. (Kamb &
Ganguli 2024; Niedoba et al. 2024; kin to Wexler et al. 2007 and to GPNN, Granot et al. 2022.)

Where all pairs of patches are few, the sum runs over all of them. Where they are many, it runs over
a handful of candidates for each patch: the matches of its neighbours, shifted, and random ones
nearby (PatchMatch, Barnes et al. 2009). Neighbours then copy from neighbouring places, and texture
stays whole. A finer level starts from the coarser one's matches: the same places, seen sharper.

A patch may shift in brightness by b ~ N(0, v), as light does across a picture; its known pixels
tell how far. Integrated over b, its score gains ½·p·b̂, where p = Σ π(τ − Q_j) over the known pixels
and b̂ = v·p/(1 + v·Σ π) is the mean shift, and it shows Q_j + b̂.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.denoiser import Denoiser
from inpaint.regions import inscribed_radius, shrink, spread

PATCH_SIDES = (7, 5, 3, 1)
"""Patch sides in pixels; the first that leaves enough known patches is used."""
ENOUGH_KEYS = 32
ALL_PAIRS = 2_000_000
"""Most pairs of patches for which the sum over all of them is taken."""
START_RADIUS = 2.5
"""Inscribed radius in pixels of the holes that a patch can span: where filling begins."""
NEARNESS = 8.0
"""Standard deviation in pixels of where a patch is looked for, a prior on the coarse levels."""
KNOWN_SPREAD = 0.06
"""Standard deviation allowed to known pixels at low noise, in units of [-1, 1]."""
ONE_MATCH = 0.5
"""Noise s/a below which a patch is its best match alone: averages of near matches are blurred."""
BRIGHTNESS = 0.05
"""Standard deviation by which a patch may shift in brightness, in units of [-1, 1]."""
CANDIDATES = 9
NEARBY = 4
"""Pixels around a coarser level's match in which a finer one looks for a better."""
ROUNDS = 2
"""Searches for better candidates per evaluation."""
GATHERING = 24
"""What a gathered value costs, in multiply-adds of a matrix product, as measured."""
VOTE_SPREAD = 0.5
"""Standard deviation in pixels of how much a patch says about what lies off its centre."""
RIM_VOTE_SPREAD = 1.2
"""The same for patches that hold known pixels."""
SMOOTHING = 1
"""Halvings by which the error at the rim is smoothed: texture is no error of brightness."""
MOST_SHIFT = 0.25
"""Largest correction of a pixel, in units of [-1, 1]."""
CHUNK = 512


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Pixels to learn patches from, in place of the known ones of a window.

    Attributes
    ----------
    pixels : Tensor
        (1, 3, h, w) in [-1, 1].
    mask : Tensor
        (1, 1, h, w), 1 = not to be learnt from.
    window : tuple of int
        (height, width) of the window; the source is halved whenever the window is.
    here : bool
        Whether it shows the window itself, place by place.
    """

    pixels: Tensor
    mask: Tensor
    window: tuple[int, int]
    here: bool = False

    def at(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return pixels and mask halved as often as the window was to be of `size`."""
        pixels, mask, (height, width) = self.pixels, self.mask, self.window
        while (height, width) != size:
            pixels, mask = shrink(pixels, mask)
            height, width = -(-height // 2), -(-width // 2)
        return pixels, mask


@dataclass(frozen=True, slots=True, eq=False)
class SelfModel:
    """The picture itself as a model, or another one; see `inpaint.filling.Model`."""

    source: Source | None = None
    tile: int = 1 << 30  # a level is one tile; matches carry over from level to level
    batch: int | None = 1
    refine: float = 0.35

    def context(self, side: int) -> int:
        """Look around by three quarters of the hole, within 48 to 192 pixels."""
        return min(max(side * 3 // 4, 48), 192)

    def halvings(self, mask: Tensor) -> int:
        """Halve until a patch spans the holes or the picture has few patches left."""
        sides = min(mask.shape[-2:]), min(self.source.pixels.shape[-2:]) if self.source else 1 << 30
        most = math.ceil(math.log2(max(min(sides) / (4 * PATCH_SIDES[0]), 1)))
        for count in range(most):
            if inscribed_radius(mask) <= START_RADIUS:
                return count
            mask = shrink(mask, mask)[1]
            if self.source is None and mask.all():
                return count
        return most

    def level(
        self, known: Tensor, mask: Tensor, guess: Tensor, coarser: PatchLevel | None
    ) -> PatchLevel:
        """Prepare a level from its own known patches and the coarser level's matches."""
        if self.source is None:
            level = PatchLevel(known, mask)
        else:
            size = (known.shape[-2], known.shape[-1])
            level = PatchLevel(known, mask, *self.source.at(size), self.source.here)
        level.guess = level.continued(coarser) if coarser else guess
        return level

    def work(self, mask: Tensor) -> float:
        """Multiply-adds of one evaluation on a (1, 1, h, w) level."""
        side = PATCH_SIDES[0]
        if min(mask.shape[-2:]) < side:
            return float(mask.numel())
        touched = F.max_pool2d(mask, side, 1) > 0
        queries = int(touched.sum())
        keys = touched.numel() - queries
        if self.source is not None:
            halved = self.source.window[0] / mask.shape[-2]
            keys = int(self.source.mask.numel() / halved**2)
        pairs = queries * keys
        values = 3 * side * side
        if pairs <= ALL_PAIRS:
            return 2.3 * values * max(pairs, 1)
        return float(GATHERING * CANDIDATES * ROUNDS * values * queries)


class PatchLevel:
    """One level of one picture: its patches, and which of them fits where.

    Parameters
    ----------
    known : Tensor
        (1, 3, H, W) in [-1, 1]; values inside the holes are not read.
    mask : Tensor
        (1, 1, H, W), 1 = repaint.
    source, unusable : Tensor, optional
        (1, 3, h, w) and (1, 1, h, w): what to learn patches from, and where not; `known` and
        `mask` by default.
    here : bool
        Whether the source shows the picture itself, place by place.

    Raises
    ------
    ValueError
        If there is nothing to learn from.
    """

    guess: Tensor

    def __init__(
        self,
        known: Tensor,
        mask: Tensor,
        source: Tensor | None = None,
        unusable: Tensor | None = None,
        here: bool = True,
    ) -> None:
        self.known, self.mask, self.here = known, mask, here
        source = known if source is None else source
        unusable = mask if unusable is None else unusable
        height, width = source.shape[-2:]
        for side in PATCH_SIDES:
            if side <= min(height, width, *known.shape[-2:]):
                usable = F.max_pool2d(unusable, side, 1)[0, 0] == 0
                if usable.sum() >= (ENOUGH_KEYS if side > 1 else 1):
                    break
        else:
            raise ValueError(
                "Everything is painted over; leave a part of the picture to learn from."
            )
        self.side = side
        touched = F.max_pool2d(mask, side, 1)[0, 0] > 0
        self.queries = touched.flatten().nonzero()[:, 0]
        self.is_key = usable.flatten()
        self.keys = self.is_key.nonzero()[:, 0]
        # Positions count row by row: a query's in the picture, a key's in what is learnt from.
        self.rows, self.cols = touched.shape
        self.key_rows, self.key_cols = usable.shape
        self.query_at = torch.full((touched.numel(),), -1)
        self.query_at[self.queries] = torch.arange(len(self.queries))
        # All that changes lies in the box of the queries; nothing outside it is looked at again.
        row, col = self._places(self.queries)
        top, left = (int(row.min()), int(col.min())) if len(row) else (0, 0)
        bottom, right = (int(row.max()), int(col.max())) if len(row) else (0, 0)
        self.box = np.s_[..., top : bottom + side, left : right + side]
        self.positions = (bottom - top + 1) * (right - left + 1)
        self.in_box = (row - top) * (right - left + 1) + col - left
        self.shown = (self._unfolded(self.mask[self.box]) == 0).float()  # (N, side, side, 1)
        self.votes = self._votes()
        self.total_votes = self._folded(self.votes)
        # (H·W, side·3): what lies right of each pixel, so that a patch is gathered in `side` reads.
        pixels = F.pad(source[0].permute(1, 2, 0), (0, 0, 0, side - 1)).contiguous()
        self.strips = (
            pixels.unfold(1, side, 1).transpose(2, 3).reshape(height * width, side * 3).contiguous()
        )
        self.pitch = width
        # Randomness here only orders a search; what differs between seeds is the sampler's noise.
        self.random = torch.Generator().manual_seed(0)
        self.match: Tensor | None = None
        self.search_radius = max(self.key_rows, self.key_cols) / 4
        self.mode: Literal["all pairs", "candidates"] = (
            "all pairs" if len(self.queries) * len(self.keys) <= ALL_PAIRS else "candidates"
        )
        if self.mode == "all pairs":
            self.key_patches = self.patches(self.keys).flatten(1)
            self.key_sums = self.key_patches.view(-1, side * side, 3).sum(-1)
            squares = self.key_patches.square()
            self.key_squares = squares.view(-1, side, side, 3).sum(-1).flatten(1)
            # A place in another picture is neither near nor far.
            self.nearness = self._nearness() if here else torch.zeros(len(self.queries), 1)

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Return the estimate as a denoiser; the level is its own only tile."""
        assert known.shape[-2:] == self.known.shape[-2:]
        return self.estimate

    def estimate(self, x: Tensor, level: float) -> Tensor:
        """Posterior mean of x0 given x, (1, 3, H, W) at noise level ᾱ; known pixels as they are."""
        if len(self.queries) == 0:
            return self.known.clone()
        target, precision = self.targets(x, level)
        blend = math.sqrt((1 - level) / max(level, 1e-12)) > ONE_MATCH
        # Only known pixels tell how far a patch shifts.
        told = (precision * self.shown).expand(-1, -1, -1, 3).flatten(1)
        give = BRIGHTNESS**2 / (1 + BRIGHTNESS**2 * told.sum(1, keepdim=True))
        mean = self._mean_of_all if self.mode == "all pairs" else self._mean_of_candidates
        patches = mean(target, precision, told, give, blend)
        shift = give * _pull((target - patches)[:, None], told)
        return self.assemble(patches + shift[..., None])

    def targets(self, x: Tensor, level: float) -> tuple[Tensor, Tensor]:
        """Return each query's target (N, side, side·3) and precision (N, side, side, 1)."""
        level = min(max(level, 1e-12), 1 - 1e-4)
        hole = level / (1 - level)
        variance = max(KNOWN_SPREAD**2, 0.15 * (1 - level) / level)
        mask, known = self.mask[self.box], self.known[self.box]
        precision = torch.where(mask > 0, hole, 1 / variance)
        target = torch.where(mask > 0, x[self.box] / math.sqrt(level), known)
        return self._unfolded(target).flatten(2), self._unfolded(precision)

    def patches(self, positions: Tensor) -> Tensor:
        """Gather known patches: positions (...) -> (..., side, side·3)."""
        row, col = self._key_places(positions)
        at = row * self.pitch + col
        return self.strips[at[..., None] + torch.arange(self.side) * self.pitch]

    def assemble(self, patches: Tensor) -> Tensor:
        """Average the queries' patches, (N, side, side·3), where they overlap.

        Each counts most at its centre, which it knows best; a plain mean of them all is blurred.
        """
        side, known, mask = self.side, self.known[self.box], self.mask[self.box]
        values = patches.view(-1, side, side, 3).permute(3, 1, 2, 0).reshape(3, side * side, -1)
        total = self._folded((values * self.votes).flatten(0, 1))
        voted = total / self.total_votes.clamp(min=1e-30)  # at a corner votes are few
        # Patches also vote on the known pixels at the rim. Where they are off there, in brightness
        # say, the hole is off likewise: correct it smoothly inwards (Pérez et al. 2003).
        rim = (self.total_votes > 0) & (mask == 0)
        error = torch.where(rim, known - voted, 0.0)
        correction = spread(error, (~rim).to(error), SMOOTHING).clamp(-MOST_SHIFT, MOST_SHIFT)
        estimate = self.known.clone()
        estimate[self.box] = torch.where(mask > 0, voted + correction, known)
        return estimate

    def continued(self, coarser: PatchLevel) -> Tensor:
        """Take over a coarser level's matches at twice their place, and return what they show."""
        if coarser.match is None or len(self.queries) == 0:
            return self.known.clone()
        row, col = self._places(self.queries)
        # The coarse query over this one; at the rim, where there is none, the nearest.
        near_row = (row // 2).clamp(max=coarser.rows - 1)
        near_col = (col // 2).clamp(max=coarser.cols - 1)
        query = coarser.query_at[near_row * coarser.cols + near_col]
        lost = (query < 0).nonzero()[:, 0]
        coarse_row, coarse_col = coarser._places(coarser.queries)
        for some in torch.split(lost, CHUNK):
            down, right = near_row[some, None] - coarse_row, near_col[some, None] - coarse_col
            query[some] = (down**2 + right**2).argmin(1)
        match_row, match_col = coarser._key_places(coarser.match[query])
        match_row = 2 * match_row + row - 2 * coarse_row[query]
        match_col = 2 * match_col + col - 2 * coarse_col[query]
        match_row, match_col = match_row.clamp(0, self.key_rows - 1), match_col.clamp(min=0)
        match = match_row * self.key_cols + match_col.clamp(max=self.key_cols - 1)
        self.match = torch.where(self.is_key[match], match, self._any_keys(len(match)))
        self.search_radius = NEARBY
        return self.assemble(self.patches(self.match))

    def _mean_of_all(
        self, target: Tensor, precision: Tensor, told: Tensor, give: Tensor, blend: bool
    ) -> Tensor:
        """Sum over every known patch, as matrix products, or take the best of them."""
        weight = precision.expand(-1, -1, -1, 3).flatten(1)
        score = (target.flatten(1) * weight) @ self.key_patches.T
        score -= 0.5 * precision.flatten(1) @ self.key_squares.T
        score += self.nearness
        wanted = _pull(target[:, None], told)
        pull = torch.addmm(wanted, told[:, ::3], self.key_sums.T, alpha=-1)
        score.addcmul_(pull.square_(), 0.5 * give)
        best = score.argmax(1)
        self.match = self.keys[best]
        patches = score.softmax(1) @ self.key_patches if blend else self.key_patches[best]
        return patches.view(target.shape)

    def _votes(self) -> Tensor:
        """Weigh each pixel of each query's patch in the average, (side·side, N).

        A patch knows its centre best, and a plain mean of all that overlap is blurred. Patches at
        the rim hold known pixels too, and may say more about their surroundings: a smoother seam.
        """
        offset = torch.arange(self.side) - (self.side - 1) / 2
        distance = (offset[:, None].square() + offset.square()).flatten()
        at_rim = self.shown.flatten(1).any(1)
        inner, rim = (torch.exp(-0.5 * distance / s**2) for s in (VOTE_SPREAD, RIM_VOTE_SPREAD))
        return torch.where(at_rim, rim[:, None], inner[:, None])

    def _nearness(self) -> Tensor:
        """Log-prior of each key for each query: what lies nearer is likelier to continue here."""
        query_row, query_col = (place.float() for place in self._places(self.queries))
        key_row, key_col = (place.float() for place in self._key_places(self.keys))
        away = (query_row[:, None] - key_row).square_()
        away += (query_col[:, None] - key_col).square_()
        return away.mul_(-0.5 / NEARNESS**2)

    def _mean_of_candidates(
        self, target: Tensor, precision: Tensor, told: Tensor, give: Tensor, blend: bool
    ) -> Tensor:
        """Sum over candidates that are found anew each time, or take the best of them."""
        weight = precision.expand(-1, -1, -1, 3).flatten(2)
        if self.match is None:
            self.match = self._any_keys(len(self.queries))
            if self.here:  # what lies in the hole may be learnt from too
                self.match = torch.where(self.is_key[self.queries], self.queries, self.match)
        for turn in range(ROUNDS):
            candidates = self._candidates(self.match, reach=1 + 2 * turn)
            cost = torch.empty(candidates.shape)
            for i in range(0, len(candidates), CHUNK):
                rows = slice(i, i + CHUNK)
                gap = self.patches(candidates[rows]).sub_(target[rows, None])
                pull = _pull(gap, told[rows])
                cost[rows] = (gap.square_() * weight[rows, None]).sum((-1, -2))
                cost[rows] -= pull.square_() * give[rows]
            best = cost.argmin(1, keepdim=True)
            self.match = candidates.gather(1, best)[:, 0]
        if not blend:
            return self.patches(self.match)
        share = (-0.5 * cost).softmax(1)
        out = torch.empty_like(target)
        for i in range(0, len(out), CHUNK):
            rows = slice(i, i + CHUNK)
            out[rows] = (share[rows, :, None, None] * self.patches(candidates[rows])).sum(1)
        return out

    def _candidates(self, match: Tensor, reach: int) -> Tensor:
        """Known patches worth a look for each query, (N, 9); the present match comes first."""
        row, col = self._places(self.queries)
        found = [match]
        for down, right in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
            beside = _position(row + down, col + right, self.rows, self.cols)
            query = torch.where(beside >= 0, self.query_at[beside.clamp(min=0)], -1)
            match_row, match_col = self._key_places(match[query.clamp(min=0)])
            place = _position(match_row - down, match_col - right, self.key_rows, self.key_cols)
            found.append(torch.where((query >= 0) & (place >= 0), place, match))
        match_row, match_col = self._key_places(match)
        radius = self.search_radius
        for _ in range(4):
            shift = (2 * torch.rand(2, len(match), generator=self.random) - 1) * max(radius, 1)
            down, right = shift.round().long()
            place = _position(match_row + down, match_col + right, self.key_rows, self.key_cols)
            found.append(torch.where(place >= 0, place, match))
            radius /= 4
        candidates = torch.stack(found, 1)
        return torch.where(self.is_key[candidates], candidates, match[:, None])

    def _places(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return positions // self.cols, positions % self.cols

    def _key_places(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return positions // self.key_cols, positions % self.key_cols

    def _any_keys(self, count: int) -> Tensor:
        return self.keys[torch.randint(len(self.keys), (count,), generator=self.random)]

    def _folded(self, columns: Tensor) -> Tensor:
        """Add up the queries' patches, (C·side·side, N), where they lie in the box."""
        height, width = self.known[self.box].shape[-2:]
        everywhere = torch.zeros(len(columns), self.positions)
        everywhere[:, self.in_box] = columns
        return F.fold(everywhere[None], (height, width), self.side)

    def _unfolded(self, image: Tensor) -> Tensor:
        """Cut the box of an image, (1, C, h, w), into the queries' patches (N, side, side, C)."""
        side = self.side
        columns = F.unfold(image, side)[0][:, self.in_box]
        patches = columns.view(image.shape[1], side, side, len(self.queries))
        return patches.permute(3, 1, 2, 0).contiguous()


def _pull(gap: Tensor, told: Tensor) -> Tensor:
    """Sum of π(τ − Q): (N, K, side, side·3) and (N, side·side·3) -> (N, K)."""
    return torch.bmm(gap.flatten(2), told[..., None])[..., 0]


def _position(row: Tensor, col: Tensor, rows: int, cols: int) -> Tensor:
    """Turn rows and columns into positions, −1 where they leave the picture."""
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    return torch.where(inside, row * cols + col, -1)

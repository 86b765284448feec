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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.denoiser import Denoiser
from inpaint.fitting import Sight, View
from inpaint.melding import MOST_SHIFT, melded
from inpaint.patches import Band, Cutter, bands, more_ahead, whole_box
from inpaint.scales import inscribed_radius, nearest, shrink, spread

PATCH_SIDES = (7, 5, 3, 1)
"""Patch sides in pixels; the first that leaves enough known patches is used."""
ENOUGH_KEYS = 32
ALL_PAIRS = 2_000_000
"""Most pairs of patches for which the sum over all of them is taken."""
START_RADIUS = 2.5
"""Inscribed radius in pixels of the holes that a patch can span: where filling begins."""
NEARNESS = 8.0
"""Standard deviation in pixels of where a patch is looked for, a prior on the coarse levels."""
STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""Down and right, to the neighbours whose matches are looked at."""
FARTHEST = 3
"""Most pixels between such neighbours."""
DRAWN = 4
"""Random places that are looked at beside them."""
NEARBY = 4
"""Pixels around a coarser level's match in which a finer one looks for a better."""
ROUNDS = 2
"""Searches for better candidates per evaluation."""
GATHERING = 54
"""What a search costs for each value of a query, about, in multiply-adds of a matrix product."""
VOTE_SPREAD = 0.5
"""Standard deviation in pixels of how much a patch says about what lies off its centre."""
RIM_VOTE_SPREAD = 1.2
"""The same for patches that hold known pixels."""
AHEAD = ((0, 0), (0, 1), (1, 0))
"""What patches vote on: the tone of a pixel, and what those so far down and right have more."""
SMOOTHING = 1
"""Halvings by which the error at the rim is smoothed: texture is no error of brightness."""
CHUNK = 1024
"""Patches that are compared at once: 600 KB, which a processor keeps near."""


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
        self,
        known: Tensor,
        mask: Tensor,
        guess: Tensor,
        coarser: PatchLevel | None,
        halved: int = 0,
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
        return float(GATHERING * ROUNDS * values * queries)


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
        # Positions count pixel by pixel: a query's in the picture, a key's in what is learnt from.
        self.rows, self.cols = known.shape[-2:]
        self.key_rows, self.key_cols = source.shape[-2:]
        self.side, usable = _usable(unusable, min(*source.shape[-2:], *known.shape[-2:]))
        self.is_key = F.pad(usable, (0, self.side - 1, 0, self.side - 1)).flatten()
        self.keys = self.is_key.nonzero()[:, 0]
        self.cutter = Cutter.of(source[0], self.side)
        touched = F.max_pool2d(mask, self.side, 1)[0, 0] > 0
        self.bands = list(bands(touched, self.side))
        row, col = touched.nonzero().unbind(1)
        self.queries = row * self.cols + col
        # With room above and below, to look beside the outermost.
        places = (self.rows + 2 * FARTHEST) * self.cols
        self.query_at = torch.full((places,), -1, dtype=torch.int32)
        numbers = torch.arange(len(self.queries), dtype=torch.int32)
        self.query_at[self.queries + FARTHEST * self.cols] = numbers
        self._weigh_votes()
        # By how much the last estimate missed the nearest known pixels: a mean square error.
        self.misfit = torch.zeros_like(mask)
        # Randomness here only orders a search; what differs between seeds is the sampler's noise.
        self.random = torch.Generator().manual_seed(0)
        self.match: Tensor | None = None
        self.search_radius = max(self.key_rows, self.key_cols) / 4
        self.mode: Literal["all pairs", "candidates"] = (
            "all pairs" if len(self.queries) * len(self.keys) <= ALL_PAIRS else "candidates"
        )
        if self.mode == "all pairs":
            self.key_patches = self.cutter.cut(self.keys)
            each = self.key_patches.view(len(self.keys), -1, 3)
            self.key_sums, self.key_squares = each.sum(-1), each.square().sum(-1)

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Return the estimate as a denoiser; the level is its own only tile."""
        assert known.shape[-2:] == self.known.shape[-2:]
        return self.estimate

    def estimate(self, x: Tensor, level: float) -> Tensor:
        """Posterior mean of x0 given x, (1, 3, H, W) at noise level ᾱ; known pixels as they are."""
        means = self._of_all if self.mode == "all pairs" else self._of_candidates
        return self.averaged(means(Sight.of(x, level)))

    def averaged(self, found: Iterable[tuple[Band, Tensor]]) -> Tensor:
        """Average the patches of each band, (n, side·side·3), where they overlap.

        Each counts most at its centre, which it knows best; a plain mean of them all is blurred.
        """
        if not self.bands:
            return self.known.clone()
        known, mask = self.known[self.box], self.mask[self.box]
        sums = known.new_zeros(3, *known.shape)
        for band, patches in found:
            at_rim = self.at_rim[band.span].long()
            for kind, ahead in enumerate(AHEAD):
                told = more_ahead(patches, ahead, self.side) if any(ahead) else patches
                votes = self.votes[kind].index_select(0, at_rim).mul_(told)
                band.within(self.box, sums[kind]).add_(band.laid(votes, self.side))
        voted, across, down = sums.div_(self.total_votes.clamp(min=1e-30))  # few at a corner
        # Patches also vote on the known pixels at the rim. Where they are off there, in brightness
        # say, the hole is off likewise: correct it smoothly inwards (Pérez et al. 2003).
        rim = (self.total_votes[0] > 0) & (mask == 0)
        error = torch.where(rim, known - voted, 0.0)
        error = torch.cat([error, error.square().mean(1, keepdim=True)], 1)
        error = spread(error, (~rim).to(error), SMOOTHING)
        voted.add_(error[:, :3].clamp(-MOST_SHIFT, MOST_SHIFT))
        torch.where(mask > 0, voted, known, out=voted)
        self.misfit[self.box] = error[:, 3:]
        del error
        estimate = self.known.clone()
        estimate[self.box] = melded(voted, across, down, mask)
        return estimate

    def continued(self, coarser: PatchLevel) -> Tensor:
        """Take over a coarser level's matches at twice their place, and return what they show."""
        if coarser.match is None or len(self.queries) == 0:
            return self.known.clone()
        self.match, self.search_radius = self._below(coarser), NEARBY
        return self.averaged((band, self.cutter.cut(self.match[band.span])) for band in self.bands)

    def _below(self, coarser: PatchLevel) -> Tensor:
        """Find the matches, (n,), at twice the place of a coarser level's."""
        assert coarser.match is not None
        row, col = self.queries // self.cols, self.queries % self.cols
        # The coarse query over this one; at the rim, where there is none, the nearest.
        room = FARTHEST * coarser.cols
        over = row // 2 * coarser.cols + col // 2
        query = coarser.query_at[over + room]
        lost = query < 0
        if lost.any():
            asked = (coarser.query_at[room:-room] >= 0).view(coarser.rows, coarser.cols)
            query[lost] = coarser.query_at[nearest(asked)[over[lost]] + room]
        place, match = coarser.queries[query], coarser.match[query]
        match_row = 2 * (match // coarser.key_cols - place // coarser.cols) + row
        match_col = 2 * (match % coarser.key_cols - place % coarser.cols) + col
        match_row = match_row.clamp(0, self.key_rows - self.side)
        match = match_row * self.key_cols + match_col.clamp(0, self.key_cols - self.side)
        return torch.where(self.is_key[match], match, self._any_keys(len(match)))

    def _of_all(self, sight: Sight) -> Iterator[tuple[Band, Tensor]]:
        """Sum over every known patch, as matrix products, or take the best of them."""
        found = torch.empty_like(self.queries)
        for band in self.bands:
            view = self._view(band, sight)
            precision = view.precision()
            score = (view.target * precision) @ self.key_patches.T
            score -= 0.5 * precision[:, ::3] @ self.key_squares.T
            if self.here:  # a place in another picture is neither near nor far
                score += self._nearness(band)
            told = view.sight.known * view.shown
            wanted = (view.target[view.rim] * told).sum(1, keepdim=True)
            pull = torch.addmm(wanted, told[:, ::3], self.key_sums.T, alpha=-1)
            score.index_add_(0, view.rim, pull.square_().mul_(0.5 * view.give[:, None]))
            best = score.argmax(1)
            found[band.span] = self.keys[best]
            patches = score.softmax(1) @ self.key_patches if sight.blend else self.key_patches[best]
            yield band, view.shifted(patches)
        self.match = found

    def _of_candidates(self, sight: Sight) -> Iterator[tuple[Band, Tensor]]:
        """Sum over candidates that are found anew each time, or take the best of them."""
        if self.match is None:
            self.match = self._any_keys(len(self.queries))
            if self.here:  # what lies in the hole may be learnt from too
                self.match = torch.where(self.is_key[self.queries], self.queries, self.match)
        costs = torch.empty(len(self.queries))
        for turn in range(ROUNDS):
            drawn = torch.rand(DRAWN, 2, len(self.queries), generator=self.random)
            drawn.mul_(2).sub_(1)
            found = torch.empty_like(self.match)
            for band in self.bands:
                view = self._view(band, sight)
                candidates = self._candidates(band, 1 + 2 * turn, drawn[..., band.span])
                if turn == 0:  # afterwards it is known
                    costs[band.span] = view.costs(self.cutter.cut(candidates[:, 0]))
                cost = self._costs(view, candidates, costs[band.span])
                costs[band.span], best = cost.min(1)
                found[band.span] = candidates.gather(1, best[:, None])[:, 0]
                if turn == ROUNDS - 1:
                    yield band, view.shifted(self._mean(view, candidates, cost, found[band.span]))
            self.match = found

    def _costs(self, view: View, candidates: Tensor, cost_of_match: Tensor) -> Tensor:
        """Return what each candidate costs, (n, K), given the cost of the first, (n,)."""
        match = candidates[:, :1]
        cost = cost_of_match[:, None].repeat(1, candidates.shape[1])
        # Most are the first again: only the others need a look.
        others = (candidates != match).flatten().nonzero()[:, 0]
        for some in torch.split(others, CHUNK):
            patches = self.cutter.cut(candidates.view(-1)[some])
            cost.view(-1)[some] = view.costs(patches, some // candidates.shape[1])
        return cost

    def _mean(self, view: View, candidates: Tensor, cost: Tensor, best: Tensor) -> Tensor:
        """Average candidates by their likelihood, or take the best: (n, side·side·3)."""
        if not view.sight.blend:
            return self.cutter.cut(best)
        share = (-0.5 * cost).softmax(1)
        mean = torch.zeros_like(view.target)
        for column in range(candidates.shape[1]):
            mean.addcmul_(self.cutter.cut(candidates[:, column]), share[:, column, None])
        return mean

    def _candidates(self, band: Band, reach: int, drawn: Tensor) -> Tensor:
        """Known patches worth a look for each query of a band, (n, 9); its match comes first.

        What leaves the picture on the left or right comes back on the other side: where no patch
        begins, if it is near, else at one more random place.
        """
        assert self.match is not None
        match, queries = self.match[band.span], self.queries[band.span]
        steps = reach * torch.tensor(STEPS)
        away, shift = (steps @ torch.tensor([cols, 1]) for cols in (self.cols, self.key_cols))
        beside = self.query_at[queries + (FARTHEST * self.cols + away)[:, None]]
        theirs = self.match[beside.clamp(min=0)] - shift[:, None]
        radius = torch.tensor([max(self.search_radius / 4**i, 1) for i in range(DRAWN)])
        down, right = (drawn * radius[:, None, None]).round_().long().unbind(1)
        near = match + down * self.key_cols + right
        found = torch.cat([match[None], torch.where(beside >= 0, theirs, match), near])
        last = len(self.is_key) - 1
        found.masked_fill_(found < 0, last).clamp_(max=last)
        return torch.where(self.is_key[found], found, match).T.contiguous()

    def _view(self, band: Band, sight: Sight) -> View:
        """Cut a band's patches out of a noisy picture."""
        mask = self.mask[band.box]
        target = torch.where(mask > 0, sight.x[band.box] / sight.signal, self.known[band.box])
        rim = self.at_rim[band.span].nonzero()[:, 0]
        shown = Cutter.of((mask == 0).float().expand(-1, 3, -1, -1)[0], self.side)
        return View(
            sight,
            Cutter.of(target[0], self.side).cut(band.at),
            rim,
            shown.cut(band.at[rim]),
        )

    def _weigh_votes(self) -> None:
        """Weigh each pixel of each patch in the average.

        A patch knows its centre best, and a plain mean of all that overlap is blurred. Patches at
        the rim hold known pixels too, and may say more about their surroundings: a smoother seam.
        """
        offset = torch.arange(self.side) - (self.side - 1) / 2
        distance = offset[:, None].square() + offset.square()
        spreads = torch.tensor([VOTE_SPREAD, RIM_VOTE_SPREAD])
        tone = torch.exp(-0.5 * distance / spreads[:, None, None] ** 2)
        # A step between two pixels is known as well as both, on the geometric mean.
        across = F.pad((tone[:, :, 1:] * tone[:, :, :-1]).sqrt(), (0, 1))
        down = F.pad((tone[:, 1:] * tone[:, :-1]).sqrt(), (0, 0, 0, 1))
        # (3 kinds, 2, side·side·3): within, and at the rim
        self.votes = torch.stack([tone, across, down]).flatten(2).repeat_interleave(3, 2)
        self.box = whole_box(self.bands)
        self.total_votes = self.mask.new_zeros(3, *self.mask[self.box].shape)
        at_rim = [torch.zeros(0, dtype=torch.bool)]
        for band in self.bands:
            shown = Cutter.of((self.mask[band.box] == 0).float()[0], self.side).cut(band.at)
            at_rim.append(shown.any(1))
            votes = self.votes[:, at_rim[-1].long(), ::3]
            for total, some in zip(self.total_votes, votes, strict=True):
                band.within(self.box, total).add_(band.laid(some, self.side))
        self.at_rim = torch.cat(at_rim)

    def _nearness(self, band: Band) -> Tensor:
        """Log-prior of each key for each query: what lies nearer is likelier to continue here."""
        queries = self.queries[band.span, None]
        away = (queries // self.cols - self.keys // self.key_cols).float().square_()
        away += (queries % self.cols - self.keys % self.key_cols).float().square_()
        return away.mul_(-0.5 / NEARNESS**2)

    def _any_keys(self, count: int) -> Tensor:
        return self.keys[torch.randint(len(self.keys), (count,), generator=self.random)]


def _usable(unusable: Tensor, most: int) -> tuple[int, Tensor]:
    """Choose the side of the patches, at most `most`, and which of their places are known."""
    for side in PATCH_SIDES:
        if side <= most:
            usable = F.max_pool2d(unusable, side, 1)[0, 0] == 0
            if usable.sum() >= (ENOUGH_KEYS if side > 1 else 1):
                return side, usable
    raise ValueError("Everything is painted over; leave a part of the picture to learn from.")

"""Patches of pictures as rows of numbers: cut out, and laid on one another again.

A patch is a row of side·side·C values, pixel by pixel from its upper left corner; its position is
that corner's, row·width + column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType

import torch
from torch import Tensor

Box = tuple[EllipsisType, slice, slice]
"""Index of rows and columns of a (..., H, W) picture."""
BAND = 8192
"""Positions that are worked on at once: their patches, 5 MB each time, stay near the processor."""


@dataclass(frozen=True, slots=True, eq=False)
class Cutter:
    """Cuts patches out of a picture, any number at once.

    Attributes
    ----------
    strips : Tensor
        (H·W, side·C): a view of what begins at each pixel and reaches `side` to the right.
    width, side : int
        Of the picture, and of a patch.
    """

    strips: Tensor
    width: int
    side: int

    @classmethod
    def of(cls, picture: Tensor, side: int) -> Cutter:
        """Prepare a (C, H, W) picture."""
        channels, height, width = picture.shape
        pixels = picture.new_zeros((height * width + side) * channels)
        pixels[: picture.numel()].view(height, width, channels).copy_(picture.permute(1, 2, 0))
        # Strips overlap, so they take no memory, and a patch is `side` reads of whole strips.
        strips = pixels.as_strided((height * width, side * channels), (channels, 1))
        return cls(strips, width, side)

    def cut(self, at: Tensor) -> Tensor:
        """Return the patches at positions (n,): (n, side·side·C)."""
        rows = at[:, None] + torch.arange(self.side) * self.width
        return self.strips.index_select(0, rows.flatten()).view(
            len(at), self.side * self.strips.shape[1]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Patches that are worked on together.

    Attributes
    ----------
    span : slice
        Which of all the patches.
    box : tuple
        Index of the part of a (..., H, W) picture that they cover.
    at : Tensor
        (n,) their positions within the box.
    size : tuple of int
        (rows, columns) of positions in the box.
    """

    span: slice
    box: Box
    at: Tensor
    size: tuple[int, int]

    def within(self, box: Box, picture: Tensor) -> Tensor:
        """View the band's part of a (..., h, w) picture of a larger box."""
        down, right = box[1].start, box[2].start
        rows, columns = self.box[1:]
        return picture[
            ...,
            rows.start - down : rows.stop - down,
            columns.start - right : columns.stop - right,
        ]

    def laid(self, patches: Tensor, side: int) -> Tensor:
        """Add up patches (n, side·side·C) where they lie: (C, h, w) over the box."""
        rows, columns = self.size
        width = columns + side - 1
        if len(patches) < rows * columns:
            everywhere = patches.new_zeros(rows * columns, patches.shape[1])
            cell = self.at // width * columns + self.at % width
            patches = everywhere.index_copy_(0, cell, patches)
        patches = patches.view(rows, columns, side, -1)
        strips = patches.new_zeros(rows + side - 1, columns, patches.shape[-1])
        for down in range(side):
            strips[down : down + rows] += patches[:, :, down]
        strips = strips.view(*strips.shape[:2], side, -1)
        out = patches.new_zeros(rows + side - 1, width, strips.shape[-1])
        for right in range(side):
            out[:, right : right + columns] += strips[:, :, right]
        return out.permute(2, 0, 1)


def more_ahead(patches: Tensor, ahead: tuple[int, int], side: int) -> Tensor:
    """Tell what the pixels so far (down, right) of each pixel have more than it.

    Of patches (n, side·side·C), the same; what lies beyond a patch means nothing.
    """
    down, right = ahead
    far = (down * side + right) * (patches.shape[1] // side**2)
    more = torch.zeros_like(patches)
    torch.sub(patches[:, far:], patches[:, :-far], out=more[:, :-far])
    return more


def bands(touched: Tensor, side: int) -> Iterator[Band]:
    """Divide the patches at the true positions of an (H, W) mask, in their order, into bands.

    A band is a few rows high and only as wide as its patches lie, so that thin slanting holes
    cost little.
    """
    height, width = touched.shape
    counts = touched.sum(1).tolist()
    first = touched.to(torch.uint8).argmax(1).tolist()
    last = (width - 1 - touched.flip(1).to(torch.uint8).argmax(1)).tolist()
    begin, row = 0, 0
    while row < height:
        if not counts[row]:
            row += 1
            continue
        top, left, right, count = row, first[row], last[row], 0
        while row < height and counts[row]:
            near, far = min(left, first[row]), max(right, last[row])
            if row > top and (far - near + 1) * (row - top + 1) > BAND:
                break
            left, right, count, row = near, far, count + counts[row], row + 1
        columns = right - left + 1
        places = touched[top:row, left : right + 1].nonzero()
        at = places[:, 0] * (columns + side - 1) + places[:, 1]
        box = (..., slice(top, row + side - 1), slice(left, right + side))
        yield Band(slice(begin, begin + count), box, at, (row - top, columns))
        begin += count


def whole_box(several: Sequence[Band]) -> Box:
    """Return the box that holds those of all bands."""
    if not several:
        return ..., slice(0, 0), slice(0, 0)
    rows, columns = [band.box[1] for band in several], [band.box[2] for band in several]
    return (
        ...,
        slice(rows[0].start, rows[-1].stop),
        slice(min(c.start for c in columns), max(c.stop for c in columns)),
    )

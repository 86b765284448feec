"""Where to work: windows around holes, and tiles within them.

Geometry is a value. A `Region` knows a box in the picture; it crops any array of the picture's
size and pastes a patch back, and nothing else in the project computes with such coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the last two exclusive."""

W = TypeVar("W", "Tensor", NDArray[Any])

GROUPING = 32
"""Holes nearer to each other than about this many pixels are filled together."""


@dataclass(frozen=True, slots=True)
class Region:
    """A core that is to be filled and the box around it that is looked at.

    Attributes
    ----------
    core : Box
        Every hole pixel inside it is filled.
    box : Box
        The core and its context, within the picture.
    """

    core: Box
    box: Box

    @classmethod
    def around(cls, core: Box, context: int, size: tuple[int, int], multiple: int = 1) -> Region:
        """Give a core `context` pixels on every side, as far as the picture of `size` goes.

        The sides of the box are rounded up to a `multiple` where there is room for it.
        """
        left, right = _widened(core[0], core[2], context, size[0], multiple)
        top, bottom = _widened(core[1], core[3], context, size[1], multiple)
        return cls(core, (left, top, right, bottom))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the box."""
        x0, y0, x1, y1 = self.box
        return x1 - x0, y1 - y0

    def crop(self, tensor: Tensor) -> Tensor:
        """View the box of a (..., H, W) tensor."""
        x0, y0, x1, y1 = self.box
        return tensor[..., y0:y1, x0:x1]

    def crop_array(self, array: NDArray[Any]) -> NDArray[Any]:
        """View the box of an (H, W, ...) array."""
        x0, y0, x1, y1 = self.box
        return array[y0:y1, x0:x1]

    @property
    def bare(self) -> Region:
        """The core without its context."""
        return Region(self.core, self.core)

    def inside(self, window: W) -> W:
        """View the core of a (..., h, w) crop of the box."""
        (x0, y0, _, _), (left, top, right, bottom) = self.box, self.core
        return window[..., top - y0 : bottom - y0, left - x0 : right - x0]

    def paste(
        self,
        canvas: NDArray[Any],
        patch: NDArray[np.float32],
        alpha: NDArray[np.float32],
    ) -> None:
        """Blend a patch into the box of a canvas, in place.

        Parameters
        ----------
        canvas : array
            (H, W, C) uint8 or uint16, the whole picture.
        patch : array
            (h, w, C) in the canvas's units.
        alpha : array
            (h, w) in [0, 1]; where it is 0 the canvas keeps its bytes.
        """
        view = self.crop_array(canvas)
        touched = alpha > 0
        a = alpha[touched][:, None]
        mixed = a * patch[touched] + (1 - a) * view[touched]
        largest = 65535 if view.dtype == np.uint16 else 255
        view[touched] = np.rint(mixed).clip(0, largest).astype(view.dtype)


def _widened(first: int, last: int, context: int, size: int, multiple: int) -> tuple[int, int]:
    """Widen an interval within [0, size) and round its length up."""
    first, last = max(first - context, 0), min(last + context, size)
    length = min(-(-(last - first) // multiple) * multiple, size)
    first = max(0, min(first - (length - (last - first)) // 2, size - length))
    return first, first + length


def batches(regions: list[Region], alike: Callable[[Region], Hashable]) -> list[list[Region]]:
    """Group regions that can be filled at once: of equal windows, and none within another's.

    Parameters
    ----------
    regions : list of Region
        In the order in which they are to be filled, where that matters.
    alike : callable
        A key; only regions of equal keys share a batch.
    """
    found: list[list[Region]] = []
    for region in regions:
        for batch in reversed(found):
            if any(_near(region, other) for other in batch):
                found.append([region])
                break
            if batch[0].size == region.size and alike(batch[0]) == alike(region):
                batch.append(region)
                break
        else:
            found.append([region])
    return found


def around_holes(mask: NDArray[np.bool_], context: Callable[[int], int]) -> list[Region]:
    """Give every group of holes a region of its own.

    Groups are found on cells of `GROUPING` pixels, so a thousand specks of dust are a few groups,
    and joined until none lies in another's context: a region's box then holds no hole but its own.
    Sides of boxes are multiples of `GROUPING`, so that many of them are equal and can be a batch.

    Parameters
    ----------
    mask : array
        (H, W) bool, True = repaint.
    context : callable
        Longest side of a group in pixels -> pixels of context that it wants on every side.

    Returns
    -------
    list of Region
        From top to bottom, then left to right.
    """
    x, y, w, h = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if w == 0:
        return []
    rows, cols = -(-h // GROUPING), -(-w // GROUPING)
    padded = np.zeros((rows * GROUPING, cols * GROUPING), bool)
    padded[:h, :w] = mask[y : y + h, x : x + w]
    cells = padded.reshape(rows, GROUPING, cols, GROUPING).swapaxes(1, 2)
    _, labels = cv2.connectedComponents(cells.any(axis=(2, 3)).astype(np.uint8), connectivity=8)
    size = (mask.shape[1], mask.shape[0])
    found: list[Region] = []
    for label in range(1, int(labels.max(initial=0)) + 1):
        boxes = [
            _tight(cells[row, col], x + col * GROUPING, y + row * GROUPING)
            for row, col in np.argwhere(labels == label)
        ]
        region = _region(boxes, context, size)
        while hit := next((other for other in found if _near(region, other)), None):
            found.remove(hit)
            region = _region([region.core, hit.core], context, size)
        found.append(region)
    return sorted(found, key=lambda region: (region.core[1], region.core[0]))


def _tight(cell: NDArray[np.bool_], x: int, y: int) -> Box:
    """Bound the holes of a cell whose corner lies at (x, y)."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(cell).view(np.uint8))
    return x + left, y + top, x + left + width, y + top + height


def _region(boxes: list[Box], context: Callable[[int], int], size: tuple[int, int]) -> Region:
    x0, y0, _, _ = np.min(boxes, axis=0).tolist()
    _, _, x1, y1 = np.max(boxes, axis=0).tolist()
    return Region.around((x0, y0, x1, y1), context(max(x1 - x0, y1 - y0)), size, GROUPING)


def _near(a: Region, b: Region) -> bool:
    """Say whether one region's core reaches into the other's box."""
    return _overlap(a.core, b.box) or _overlap(b.core, a.box)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def tiles(mask: Tensor, side: int, context: int) -> Iterator[Region]:
    """Cut the holes of a (1, 1, H, W) mask into cores of at most `side` pixels.

    Where one is enough and the picture at most twice as large, the tile is the whole picture.
    Tiles are laid over the holes' bounding box, evenly, and those without a hole are left out, so
    work grows with the masked area. Filled in order, each sees the ones before it as known.
    """
    ys, xs = mask[0, 0].any(1).nonzero(), mask[0, 0].any(0).nonzero()
    if len(ys) == 0:
        return
    size = (mask.shape[-1], mask.shape[-2])
    y0, y1, x0, x1 = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    if max(x1 - x0, y1 - y0) <= side and max(size) <= 2 * side:
        yield Region((0, 0, *size), (0, 0, *size))  # wherever the hole lies: fit for a batch
        return
    for core in cut((x0, y0, x1, y1), side):
        if mask[..., core[1] : core[3], core[0] : core[2]].any():
            yield Region.around(core, context, size)


def cut(box: Box, side: int, multiple: int = 1) -> Iterator[Box]:
    """Cut a box evenly into the fewest parts with sides of at most `side`, row by row.

    Cuts lie at multiples of `multiple` within the box, and `side` is one.
    """
    across, down = (_cuts(box[axis], box[axis + 2], side, multiple) for axis in (0, 1))
    for y0, y1 in pairwise(down):
        for x0, x1 in pairwise(across):
            yield x0, y0, x1, y1


def _cuts(first: int, last: int, side: int, multiple: int) -> list[int]:
    length = last - first
    parts = -(-length // side)
    cuts = (-(-(length * part // parts) // multiple) * multiple for part in range(parts))
    return [*(first + cut for cut in cuts), last]

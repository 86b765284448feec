"""The outline of a mask as a polygon that draws the same mask again."""

from __future__ import annotations

import numpy as np

from inpaint.strokes import Size, Stroke


def trace(mask: np.ndarray, size: Size | None = None, erase: bool = False) -> Stroke | None:
    """Return one polygon along the pixel edges around all parts of a mask, its holes left out.

    Parameters
    ----------
    mask
        (H, W) bool.
    size
        (width, height) that the stroke is for. Default: the mask's own, where
        `masks.rasterize` gives exactly the mask.
    erase
        Whether the stroke takes the mask away.

    Returns
    -------
    The stroke; None for an empty mask.
    """
    # The inside lies to the right of every edge, so that a hole winds the other way and cancels.
    inside = np.pad(mask.astype(np.int8), 1)
    rows, lefts, rights, sense = _runs(np.diff(inside, axis=0)[:, 1:-1])
    across = [(rows, lefts), (rows, rights)]
    columns, tops, bottoms, fall = _runs(-np.diff(inside, axis=1)[1:-1].T)
    down = [(tops, columns), (bottoms, columns)]
    if not rows.size:
        return None
    height, width = mask.shape

    def ends(edges: list[tuple[np.ndarray, np.ndarray]], forward: np.ndarray) -> list[np.ndarray]:
        first, last = (y * (width + 1) + x for y, x in edges)
        return [np.where(forward, first, last), np.where(forward, last, first)]

    begin, end = ends(across, sense > 0)
    fall_begin, fall_end = ends(down, fall > 0)
    # Every edge ends where one of the other direction begins; two do where pixels touch by a
    # corner, and either of them closes a loop.
    following = np.empty((2, len(begin)), np.int64)
    following[0, np.argsort(end)] = np.argsort(fall_begin)
    following[1, np.argsort(fall_end)] = np.argsort(begin)
    onward = following[1, following[0]].tolist()
    corners = np.stack([begin, end], axis=1)
    place = np.stack([corners % (width + 1), corners // (width + 1)], axis=2).astype(float)
    place *= np.array(size or (width, height)) / (width, height)
    points = [((ax, ay), (bx, by)) for (ax, ay), (bx, by) in place.tolist()]

    # From loop to loop and back along the same way: what the way encloses cancels.
    path: list[tuple[float, float]] = []
    doors = []
    seen = [False] * len(onward)
    for start in range(len(onward)):
        if seen[start]:
            continue
        doors.append(points[start][0])
        edge = start
        while not seen[edge]:
            seen[edge] = True
            path.extend(points[edge])
            edge = onward[edge]
        path.append(points[start][0])
    return Stroke("polygon", points=(*path, *doors[-2:0:-1]), erase=erase)


def _runs(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, first columns, ends and values of the longest runs of equal nonzero values."""
    padded = np.pad(edges, ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1) != 0
    starts = np.argwhere(change & (padded[:, 1:] != 0))
    stops = np.argwhere(change & (padded[:, :-1] != 0))
    row, first = starts.T
    return row, first, stops[:, 1], edges[row, first]

"""How the background moves from one frame to the next, in holes too, where it cannot be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inpaint import masks
from inpaint.regions import Box
from inpaint.scales import spread

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

SMALLEST = 16
"""Side in pixels below which no motion is measured: OpenCV's flow needs 12."""
MARGIN = 6
"""Pixels around a hole in which the measured flow still follows what is to be removed."""
ONE_MOTION = 0.5
"""Share of the flow that an affine motion must explain to be taken for the background's."""
SAME_GREY = 6
"""Levels of 255 by which two places without texture may differ and still be the same."""
SAME_SHOT = 0.25
"""Share of what is seen that must be found again; less is a cut."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the background of one frame lies in its neighbour.

    Attributes
    ----------
    box : Box
        Where it was measured.
    flow : array
        (h, w, 2) float32: pixels right and down.
    trusted : array
        (h, w) bool: the way there and back ends where it began.
    """

    box: Box
    flow: Floats
    trusted: Mask

    def step(self, at: Floats) -> tuple[Floats, Mask]:
        """Move (h, w, 2) positions in the frame along; False where that cannot be trusted."""
        flow = sample(self.flow, at, self.box)
        sure = sample(self.trusted.astype(np.float32), at, self.box, outside=0) > 0.99
        return at + flow, sure


def grid(box: Box) -> Floats:
    """Return the positions of a box's pixels, (h, w, 2) float32, x first."""
    x0, y0, x1, y1 = box
    x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    return np.dstack([x, y]).astype(np.float32)


def sample(
    image: NDArray[np.generic],
    at: Floats,
    box: Box | None = None,
    *,
    outside: float | None = None,
    cubic: bool = False,
) -> Floats:
    """Read an image, or the part of it in `box`, between its pixels.

    Beyond its edges it has the value `outside`, or that of the nearest pixel.
    """
    x0, y0 = box[:2] if box else (0, 0)
    return np.asarray(
        cv2.remap(
            image,
            at[..., 0] - x0,
            at[..., 1] - y0,
            cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
            borderValue=0 if outside is None else outside,
        ),
        np.float32,
    )


def between(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    first_hole: Mask,
    second_hole: Mask,
    box: Box,
) -> tuple[Motion, Motion] | None:
    """Measure the motion from the first frame to the second, and back.

    Dense inverse search (Kroeger et al. 2016) sees the motion around the holes. In them it is
    continued: an affine motion where one explains what is around, and a smooth remainder.

    Parameters
    ----------
    first, second : array
        (h, w, 3) uint8, the frames within `box`.
    first_hole, second_hole : array
        (h, w) bool.
    box : Box
        Where in the frame they lie.

    Returns
    -------
    ahead, back
        None where the two have nothing in common: at a cut, or in less than `SMALLEST` pixels.
    """
    if min(first.shape[:2]) < SMALLEST:
        return None
    # To the flow a hole's content is a moving thing like any other; a smooth blob pulls the least.
    greys = [
        cv2.cvtColor(_without(frame, hole), cv2.COLOR_RGB2GRAY)
        for frame, hole in ((first, first_hole), (second, second_hole))
    ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    ahead, back = search.calc(greys[0], greys[1], None), search.calc(greys[1], greys[0], None)
    near = [masks.grow(hole, MARGIN) for hole in (first_hole, second_hole)]
    unseen = [near[0] | _lands_in(near[1], ahead), near[1] | _lands_in(near[0], back)]
    agreed = [_returns(ahead, back) & ~unseen[0], _returns(back, ahead) & ~unseen[1]]
    ahead, ahead_likely = _continued(ahead, unseen[0], agreed[0], greys[0], greys[1])
    back, back_likely = _continued(back, unseen[1], agreed[1], greys[1], greys[0])
    for likely, hidden in ((ahead_likely, unseen[0]), (back_likely, unseen[1])):
        if (likely & ~hidden).sum() <= SAME_SHOT * (~hidden).sum():
            return None
    return (
        Motion(box, ahead, ahead_likely & _returns(ahead, back)),
        Motion(box, back, back_likely & _returns(back, ahead)),
    )


def _continued(
    flow: Floats,
    hidden: Mask,
    agreed: Mask,
    here: NDArray[np.uint8],
    there: NDArray[np.uint8],
) -> tuple[Floats, Mask]:
    """Continue a flow into where it is hidden, and say where it is likely to be right.

    Where there is no texture, flow is arbitrary; there the common motion takes its place if it
    leads to the same brightness. In what is hidden, a flow is as likely as what is around.
    """
    at = grid((0, 0, flow.shape[1], flow.shape[0]))
    common = np.zeros_like(flow)
    steady = agreed
    every = max(1, int(np.sqrt(agreed.sum() / 2000)))
    some = np.zeros_like(agreed)
    some[::every, ::every] = agreed[::every, ::every]
    if some.sum() >= 12:
        matrix, fits = cv2.estimateAffine2D(
            at[some], (at + flow)[some], method=cv2.RANSAC, ransacReprojThreshold=1.0
        )
        if matrix is not None and fits.mean() >= ONE_MOTION:
            common = (at @ matrix[:, :2].T + matrix[:, 2] - at).astype(np.float32)
            steady = agreed & (np.abs(flow - common).max(axis=2) < 2)
    rest = smooth(flow - common, ~steady)
    gap = np.abs(here.astype(np.float32) - sample(there, at + common))
    matched = (cv2.blur(gap, (5, 5)) < SAME_GREY) & ~agreed & ~hidden
    flow = np.where((hidden | matched)[..., None], common + rest, flow).astype(np.float32)
    likely = agreed | matched
    around = smooth(likely[..., None].astype(np.float32), hidden)[..., 0]
    return flow, np.asarray(np.where(hidden, around > 0.5, likely))


def _returns(there: Floats, back: Floats) -> Mask:
    """Say where the way there and back ends where it began (Sundaram et al. 2010)."""
    at = grid((0, 0, there.shape[1], there.shape[0])) + there
    gap = np.linalg.norm(there + sample(back, at), axis=2)
    return np.asarray(gap < 0.5 + 0.05 * np.linalg.norm(there, axis=2))


def _lands_in(hole: Mask, flow: Floats) -> Mask:
    at = grid((0, 0, flow.shape[1], flow.shape[0])) + flow
    return np.asarray(sample(hole.astype(np.float32), at) > 0)


def _without(frame: NDArray[np.uint8], hole: Mask) -> NDArray[np.uint8]:
    if not hole.any():
        return frame
    return np.rint(smooth(frame.astype(np.float32), hole)).clip(0, 255).astype(np.uint8)


def smooth(values: Floats, unknown: Mask, smoothing: int = 0) -> Floats:
    """Fill in (h, w, C) values smoothly where they are unknown; see `scales.spread`."""
    tensor = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
    holes = torch.from_numpy(unknown.astype(np.float32))[None, None]
    known = torch.where(holes > 0, 0.0, tensor)
    filled: Floats = spread(known, holes, smoothing)[0].permute(1, 2, 0).numpy()
    return filled

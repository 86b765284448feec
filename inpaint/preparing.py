"""What a task does before and after the filling: one row for each of `inpaint.tasks.TASKS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint import guides, masks, sources
from inpaint.filling import Filler
from inpaint.pictures import Picture
from inpaint.settings import Settings

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a user asks for.

    Attributes
    ----------
    picture : Picture
        What is to be edited.
    painted : array or None
        (H, W) bool: what was painted on it; None where nothing was, which the task allows.
    guide : Picture or None
        A second picture, for the tasks that take one.
    settings : Settings
        How.
    """

    picture: Picture
    painted: Mask | None
    guide: Picture | None
    settings: Settings


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What is to be worked on.

    Attributes
    ----------
    picture : Picture
        What the result is pasted into: the input, or a larger canvas that holds it.
    mask : array
        (H, W) bool: where pixels may change.
    bare : array or None
        (H, W) bool: where there is nothing to blend with, so that pixels are replaced whole.
    start : Picture or None
        What to start from where the strength is below 1; None for `picture`.
    note : str
        A sentence for the user about it.
    """

    picture: Picture
    mask: Mask
    bare: Mask | None = None
    start: Picture | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Preparation:
    """One row of the table.

    Attributes
    ----------
    prepare : callable
        Turns a request into what is to be worked on.
    filler : callable or None
        (the model's filler, request) -> what works in its place.
    promise : callable or None
        (request, result) -> a sentence that is proved on the result, for the receipt.
    propose : callable or None
        (picture, settings) -> (H, W) bool: what is painted where the user painted nothing.
    """

    prepare: Callable[[Request], Prepared]
    filler: Callable[[Filler, Request], Filler] | None = None
    promise: Callable[[Request, Picture], str] | None = None
    propose: Callable[[Picture, Settings], Mask] | None = None


def _painted_over(request: Request) -> Prepared:
    """Take in the rim of what was painted over: a trace of it left outside would be continued."""
    assert request.painted is not None
    return Prepared(request.picture, masks.grow(request.painted, request.settings.grow))


def _extended(request: Request) -> Prepared:
    """Lay the picture on a larger canvas; a rim of it is repainted too, so that they blend."""
    picture, settings = request.picture, request.settings
    left, top, right, bottom = sides(picture.size, settings)
    if not (left or top or right or bottom):
        raise ValueError("Say how far to extend: left, right, top or bottom in pixels, or aspect.")
    around = ((top, bottom), (left, right))
    # A smooth continuation of the edge, for samplers that start from what is there.
    pixels = np.pad(picture.pixels, (*around, (0, 0)), mode="edge")
    alpha = picture.alpha
    if alpha is not None:
        alpha = np.pad(alpha, around, constant_values=picture.maximum)
    new = np.pad(np.zeros(picture.pixels.shape[:2], bool), around, constant_values=True)
    canvas = replace(picture, pixels=pixels, alpha=alpha)
    return Prepared(canvas, masks.grow(new, settings.grow), bare=new)


def sides(size: tuple[int, int], settings: Settings) -> tuple[int, int, int, int]:
    """How many pixels to add at the left, top, right and bottom of a picture of `size`.

    An aspect ratio adds to what the sides ask for, evenly on both sides, as much as it takes.
    """
    width = size[0] + settings.left + settings.right
    height = size[1] + settings.top + settings.bottom
    more_x = more_y = 0
    if settings.aspect:
        across, down = map(float, settings.aspect.split(":"))
        more_x = max(round(height * across / down) - width, 0)
        more_y = max(round(width * down / across) - height, 0)
    return (
        settings.left + more_x // 2,
        settings.top + more_y // 2,
        settings.right + more_x - more_x // 2,
        settings.bottom + more_y - more_y // 2,
    )


LARGEST_MADE = 384
"""Longer side in pixels of a picture that is made anew, and of one that gives its patches."""


def _found(picture: Picture, settings: Settings) -> Mask:
    from inpaint import damage

    pixels = picture.pixels
    if pixels.shape[2] == 4:
        pixels = np.rint(picture.rgb() * 255).astype(np.uint8)
    return damage.find(pixels[..., 0] if pixels.shape[2] == 1 else pixels, settings.sensitivity)


def _repaired(request: Request) -> Prepared:
    prepared = _painted_over(request)
    note = "Nothing to repair was found; raise the sensitivity or paint over the damage."
    return prepared if prepared.mask.any() else replace(prepared, note=note)


def _replaced(request: Request) -> Prepared:
    """Start from the picture with the guide in it, which the strength then noises."""
    picture, settings = request.picture, request.settings
    if request.guide is None:
        assert request.painted is not None
        return _painted_over(request)
    start, mask, rectangle = guides.laid(picture, request.guide, request.painted, settings.at)
    if rectangle:
        start = guides.blended(picture, start, mask)
    return Prepared(picture, masks.grow(mask, settings.grow), start=start)


def _with_the_guide(filler: Filler, request: Request) -> Filler:
    """Let what was pasted keep its texture; flat paint has none and gets the picture's."""
    if request.guide is None:
        return filler
    args = request.picture, request.guide, request.painted, request.settings.at
    laid, mask, _ = guides.laid(*args)
    return filler if guides.is_flat(laid, mask) else sources.from_both_sides(filler)


def _created(request: Request) -> Prepared:
    """Make the whole anew, or a painted part; a whole is of a size that can be made."""
    if request.painted is not None:
        return _painted_over(request)
    picture = guides.fitted(request.picture, LARGEST_MADE)
    mask = np.ones(picture.size[::-1], bool)
    return Prepared(picture, mask, bare=mask, note=_shrunk(request.picture, picture))


def _restyled(request: Request) -> Prepared:
    """Start from the picture in the colours of the style."""
    if request.guide is None and request.settings.model == "self":
        raise ValueError("Give a second picture that shows the style, or choose a model that does.")
    prepared = _created(request)
    if request.guide is None:
        return prepared
    start = guides.recoloured(prepared.picture, guides.fitted(request.guide, LARGEST_MADE))
    return replace(prepared, start=start)


def _shrunk(before: Picture, after: Picture) -> str:
    if before.size == after.size:
        return ""
    width, height = after.size
    return (
        f"A whole picture is made at up to {LARGEST_MADE} pixels: this one at {width} × {height}."
    )


def _from_this(filler: Filler, request: Request) -> Filler:
    if request.painted is not None:
        return filler
    return sources.from_picture(filler, _tensor(guides.fitted(request.picture, LARGEST_MADE)))


def _from_the_style(filler: Filler, request: Request) -> Filler:
    if request.guide is None:
        return filler
    return sources.from_picture(filler, _tensor(guides.fitted(request.guide, LARGEST_MADE)))


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.rgb()).permute(2, 0, 1)[None] * 2 - 1


PREPARE: dict[str, Preparation] = {
    "fill": Preparation(_painted_over),
    "extend": Preparation(_extended),
    "repair": Preparation(_repaired, propose=_found),
    "replace": Preparation(_replaced, filler=_with_the_guide),
    "create": Preparation(_created, filler=_from_this),
    "restyle": Preparation(_restyled, filler=_from_the_style),
}

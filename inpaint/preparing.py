"""What a task does before and after the filling: one row for each of `inpaint.tasks.TASKS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inpaint import damage, guides, masks, pictures, sources
from inpaint.colouring import spread_colours
from inpaint.filling import Filler
from inpaint.operators import LUMA, Blurred, Grey, Noisy, Shrunk
from inpaint.pictures import Picture, PictureError, georeference
from inpaint.restoring import (
    Restorer,
    beyond_blur,
    block_sums_kept,
    estimated_noise,
    grey_kept,
    network_of,
)
from inpaint.rounding import blocks, grey, unblocked, with_grey, with_sums
from inpaint.settings import Settings, sides

Mask = NDArray[np.bool_]
LARGEST_MADE = 384
"""Longer side in pixels of a picture that is made anew, and of one that gives its patches."""

NOWHERE = "A picture made anew shows no place: its georeference is left out."
OPAQUE = "A picture made anew is opaque: its transparency is left out."
LEAST_NOISE = 0.5
"""Deviation, of 255, taken for that of a picture without visible noise: rounding leaves 0.3."""
ERROR = 12.0
"""Deviation, of 255, from the truth that is expected of the network's estimates."""
FAR = 3.0
"""Difference, of 255, from which on a picture was not blurred as was said: a JPEG's is about 1."""
KEPT_COLOUR = 0.5
"""Noise strength up to which paint keeps its colour; with more the picture's colours take over."""
STROKE = 16
"""Difference, of 255, from which on a copy of the picture counts as painted."""


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
    max_pixels : int
        Make no larger picture.
    """

    picture: Picture
    painted: Mask | None
    guide: Picture | None
    settings: Settings
    max_pixels: int = pictures.MAX_PIXELS

    def groups(self) -> list[Request]:
        """Make a request of each group of bands, whose noise, say, is its own."""
        count = self.picture.groups
        if count == 1:
            return [self]
        return [replace(self, picture=self.picture.group(number)) for number in range(count)]


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
    opaque : array or None
        (H, W) bool: where what is filled covers transparent ground, and becomes opaque.
    start : Picture or None
        What to start from where the strength is below 1; None for `picture`.
    note : str
        A sentence for the user about it.
    """

    picture: Picture
    mask: Mask
    bare: Mask | None = None
    opaque: Mask | None = None
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
    return _covering(request, request.painted)


def _covering(request: Request, painted: Mask, start: Picture | None = None) -> Prepared:
    """Fill what is painted and its rim; what is transparent under the paint becomes opaque.

    A transparent pixel has no colour to blend with: it is replaced whole.
    """
    picture, grow = request.picture, request.settings.grow
    mask, clear = masks.grow(painted, grow), masks.from_alpha(picture)
    bare = painted & clear
    if not bare.any():
        return Prepared(picture, mask, start=start)
    opaque = masks.grow(bare, grow) & (painted | ~clear)  # with the soft edge of the hole
    return Prepared(picture, mask, bare=bare, opaque=opaque, start=start)


def _extended(request: Request) -> Prepared:
    """Lay the picture on a larger canvas; a rim of it is repainted too, so that they blend."""
    picture, settings = request.picture, request.settings
    left, top, right, bottom = sides(picture.size, settings)
    if not (left or top or right or bottom):
        if settings.aspect:
            raise ValueError(f"The picture has the sides {settings.aspect} already.")
        raise ValueError("Say how far to extend: left, right, top or bottom in pixels, or aspect.")
    width, height = picture.size
    pictures.check_size((left + width + right, top + height + bottom), request.max_pixels)
    around = ((top, bottom), (left, right))
    # A smooth continuation of the edge, for samplers that start from what is there.
    pixels = np.pad(picture.pixels, (*around, (0, 0)), mode="edge")
    alpha = picture.alpha
    if alpha is not None:
        alpha = np.pad(alpha, around, constant_values=picture.maximum)
    new = np.pad(np.zeros(picture.pixels.shape[:2], bool), around, constant_values=True)
    exif = georeference.moved(picture.exif, offset=(left, top))
    canvas = replace(picture, pixels=pixels, alpha=alpha, exif=exif)
    sides_extended = (width, bool(left) + bool(right)), (height, bool(top) + bool(bottom))
    depth = min(-(-side // count) for side, count in sides_extended if count)
    # Of a narrow picture something is left, to continue.
    return Prepared(canvas, masks.grow(new, min(settings.grow, depth - 1)), bare=new)


def _where(request: Request) -> Mask:
    """Return what is painted with its rim, or everything."""
    if request.painted is None:
        return np.ones(request.picture.size[::-1], bool)
    return masks.grow(request.painted, request.settings.grow)


# Enlarge: the mean of every scale × scale block is a pixel of the original.


def _enlarged(request: Request) -> Prepared:
    """Enlarge by Lanczos's filter, with exact means: what is shown wherever it is stopped."""
    picture, scale = _inkless(request.picture), request.settings.scale
    width, height = picture.size
    pictures.check_size((width * scale, height * scale), request.max_pixels)
    pixels = _by_lanczos(picture.pixels, scale, picture.maximum)
    alpha = picture.alpha
    if alpha is not None:
        alpha = _by_lanczos(alpha[..., None], scale, picture.maximum)[..., 0]
    exif = georeference.moved(picture.exif, (scale, scale))
    mask = np.ones(pixels.shape[:2], bool)
    return Prepared(replace(picture, pixels=pixels, alpha=alpha, exif=exif), mask)


def _inkless(picture: Picture) -> Picture:
    """Turn CMYK into RGB: a mean of inks is not the ink of a mean."""
    cmyk = picture.pixels.shape[2] == 4 and not picture.bands
    return picture.in_rgb() if cmyk else picture


def _by_lanczos(pixels: NDArray[Any], scale: int, maximum: int) -> NDArray[Any]:
    """Enlarge (H, W, C) whole values so that each block's sum is exactly scale² times its pixel."""
    size = pixels.shape[1] * scale, pixels.shape[0] * scale
    smooth = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_LANCZOS4)
    smooth = smooth.reshape(size[1], size[0], -1)  # OpenCV drops a single channel
    sums = pixels.astype(np.int64).reshape(-1) * scale**2
    rows = with_sums(blocks(smooth, scale), sums, maximum)
    return unblocked(rows, smooth.shape, scale).astype(pixels.dtype)


def _enlarger(own: Filler, request: Request) -> Filler:
    scale, picture = request.settings.scale, request.picture
    return Restorer(
        network_of(own),
        lambda window: Shrunk(F.avg_pool2d(window, scale), scale),
        block_sums_kept(scale, picture.maximum, single=picture.pixels.shape[2] == 1),
    )


def _shrinks_back(request: Request, result: Picture) -> str:
    scale, before = request.settings.scale, _inkless(request.picture).pixels
    means = blocks(result.pixels, scale).mean(axis=1).reshape(before.shape)
    worst = float(np.abs(means - before).max()) * 255 / result.maximum
    how = "exactly" if worst == 0 else f"to within {worst:.2g} of 255"
    return f"Shrunk by {scale} it is the original, {how}"


# Colourise: the grey of every pixel is that of the original.


def _coloured(request: Request) -> Prepared:
    """Start from grey, with the strokes' colours spread over it."""
    _refuse_bands(request.picture)
    picture = request.picture.in_rgb()
    tones = grey(picture.pixels.astype(np.int64))
    start = np.repeat(tones[..., None], 3, axis=2)
    if request.guide is not None:
        colours, painted = strokes(request.guide, request.picture)
        if painted.any():
            luma = (tones / picture.maximum).astype(np.float32)
            spread = spread_colours(luma, colours, painted) * picture.maximum
            start = with_grey(spread, tones, picture.maximum)
    guess = replace(picture, pixels=start.astype(picture.pixels.dtype))
    mask = _where(request)
    return Prepared(picture, mask, bare=mask, start=guess)  # a blend would not keep the grey


def _refuse_bands(picture: Picture) -> None:
    """Say of bands, before any work, that they take no colours."""
    if picture.bands:
        raise PictureError(
            f"This picture has {picture.pixels.shape[2]} bands, which take no colours: "
            "save one of them as grey or three as RGB first, and use that."
        )


def strokes(guide: Picture, picture: Picture) -> tuple[NDArray[np.float32], Mask]:
    """Find the strokes of colour in a guide of the picture's size.

    Returns
    -------
    colours, painted
        (H, W, 3) in [0, 1], and (H, W) bool: where the guide is opaque, or, of a copy of the
        picture, where it was painted on.
    """
    if guide.size != picture.size:
        raise ValueError(
            f"The colours have {guide.size[0]} × {guide.size[1]} pixels and the picture "
            f"{picture.size[0]} × {picture.size[1]}; give them the same size."
        )
    painted = guides.painted_on(guide, picture, STROKE / 255)
    return guide.rgb(), ~masks.from_alpha(guide) if painted is None else painted


def _colourer(own: Filler, request: Request) -> Filler:
    luma = torch.tensor(LUMA).reshape(1, 3, 1, 1)
    return Restorer(
        network_of(own),
        lambda window: Grey((luma * window).sum(dim=1, keepdim=True)),
        grey_kept(request.picture.maximum),
    )


def _keeps_grey(request: Request, result: Picture) -> str:
    tones = grey(request.picture.in_rgb().pixels.astype(np.int64))
    differ = int((grey(result.pixels.astype(np.int64)) != tones).sum())
    if differ:
        return f"Turned to grey {differ} of its pixels differ from the original's grey"
    return "Turned to grey it is the original's grey, exactly"


# Denoise and deblur.


def noise_level(request: Request) -> float:
    """Return the deviation of the picture's noise, of 255: the one given, or estimated.

    Of bands, that of the first group.
    """
    if request.settings.noise is not None:
        return request.settings.noise
    return 255 * estimated_noise(request.picture.rgb())


def _denoiser(own: Filler, request: Request) -> Filler:
    noise = max(noise_level(request), LEAST_NOISE) * 2 / 255
    return Restorer(network_of(own), lambda window: Noisy(), noise=noise)


def _deblurrer(own: Filler, request: Request) -> Filler:
    radius = request.settings.blur

    @cache  # by the first window that is worked on: a plan does without
    def ratio() -> float:
        noise = noise_level(request)
        if request.settings.noise is None:
            # What no such blur would have left counts as noise too: a picture that is less blurred,
            # or the blocks of a JPEG, would become stripes.
            noise = max(noise, 255 * beyond_blur(request.picture.rgb(), radius))
        return (max(noise, LEAST_NOISE) / ERROR) ** 2

    return Restorer(network_of(own), lambda window: Blurred(window, radius, ratio()))


def _took_away(request: Request, result: Picture) -> str:
    levels = [f"{noise_level(group):.1f}" for group in request.groups()]
    taken = _root_mean_square((_values(result) - _values(request.picture))[_where(request)])
    noise = ", ".join(dict.fromkeys(levels))
    return f"Noise of {noise} of 255 was looked for, and {taken:.1f} taken away"


def _blurs_back(request: Request, result: Picture) -> str:
    if request.painted is not None and not request.painted.all():
        return ""  # what is around it is still blurred
    sharp = torch.from_numpy(_values(result)).permute(2, 0, 1)[None]
    again = Blurred(sharp, request.settings.blur, 1).blur(sharp)[0].permute(1, 2, 0).numpy()
    rest = _root_mean_square(again - _values(request.picture))
    advice = ", which is not blurred so much: try a smaller radius" if rest > FAR else ""
    return f"Blurred again it differs from the original by {rest:.1f} of 255{advice}"


def _values(picture: Picture) -> NDArray[np.float32]:
    """Return (H, W, C) in [0, 1]: RGB, or every band."""
    if not picture.bands:
        return picture.rgb()
    return picture.pixels.astype(np.float32) / np.float32(picture.maximum)


def _root_mean_square(difference: NDArray[np.float32]) -> float:
    return 255 * float(np.sqrt(np.mean(difference.astype(np.float64) ** 2)))


def _as_painted(request: Request) -> Prepared:
    return Prepared(request.picture, _where(request))


def _found(picture: Picture, settings: Settings) -> Mask:
    groups = (picture.rgb(group=group) for group in range(picture.groups))
    found = [damage.find(rgb, settings.sensitivity) for rgb in groups]
    return np.asarray(np.any(found, axis=0))


def _repaired(request: Request) -> Prepared:
    prepared = replace(_painted_over(request), bare=None, opaque=None)  # damage is no hole
    note = "Nothing to repair was found; raise the sensitivity or paint over the damage."
    return prepared if prepared.mask.any() else replace(prepared, note=note)


def _replaced(request: Request) -> Prepared:
    """Start from the picture with the guide in it, which the strength then noises."""
    picture, settings = request.picture, request.settings
    if request.guide is None and request.painted is None:
        raise ValueError("Paint in colour, or give a second picture: a painted copy or an object.")
    if request.guide is None:
        return _painted_over(request)
    _refuse_bands(picture)
    start, mask, rectangle = guides.laid(picture, request.guide, request.painted, settings.at)
    if rectangle:
        start = guides.blended(picture, start, mask)
    return _covering(request, mask, start)


def _with_the_guide(filler: Filler, request: Request) -> Filler:
    """Let what was pasted keep its texture; flat paint keeps its colour and gets the picture's."""
    if request.guide is None:
        return filler
    args = request.picture, request.guide, request.painted, request.settings.at
    laid, mask, _ = guides.laid(*args)
    if guides.is_flat(laid, mask):
        return sources.tinted(filler) if request.settings.strength <= KEPT_COLOUR else filler
    return sources.from_both_sides(filler, request.settings.grow)


def _created(request: Request) -> Prepared:
    """Make the whole anew, or a painted part; a whole is of a size that can be made."""
    if request.painted is not None:
        return _painted_over(request)
    picture = replace(guides.fitted(request.picture, LARGEST_MADE), alpha=None)
    mask, note = np.ones(picture.size[::-1], bool), _shrunk(request.picture, picture)
    if request.settings.strength == 1:  # nothing stays where it was
        exif = georeference.without(picture.exif)
        if exif != picture.exif:
            note = f"{note} {NOWHERE}".lstrip()
            picture = replace(picture, exif=exif)
    if (request.picture.opacity() < 1).any():
        note = f"{note} {OPAQUE}".lstrip()
    return Prepared(picture, mask, bare=mask, note=note)


def _restyled(request: Request) -> Prepared:
    """Start from the picture in the colours of the style."""
    if request.guide is None and request.settings.model in ("self", "blend"):
        raise ValueError("Give a second picture that shows the style, or choose a model that does.")
    if request.guide is not None:
        _refuse_bands(request.picture)
    prepared = _created(request)
    if request.guide is None:
        return prepared
    style = guides.fitted(request.guide, LARGEST_MADE)
    if masks.from_alpha(style).all():
        raise ValueError("The second picture is wholly transparent: choose another.")
    start = guides.recoloured(prepared.picture, style)
    return replace(prepared, start=start)


def _shrunk(before: Picture, after: Picture) -> str:
    if before.size == after.size:
        return ""
    width, height = after.size
    return (
        f"A whole picture is made at up to {LARGEST_MADE} pixels: this one at {width} × {height}."
    )


def _all_new(request: Request, result: Picture) -> str:
    return "the whole picture was made anew" if request.painted is None else ""


def _from_this(filler: Filler, request: Request) -> Filler:
    if request.painted is not None:
        return filler
    return sources.from_itself(filler)


def _from_the_style(filler: Filler, request: Request) -> Filler:
    if request.guide is None:
        return filler
    style = guides.fitted(request.guide, LARGEST_MADE)
    hidden = torch.from_numpy(masks.from_alpha(style))[None, None].float()
    return sources.from_picture(filler, _tensor(style), hidden)


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.rgb()).permute(2, 0, 1)[None] * 2 - 1


PREPARE: dict[str, Preparation] = {
    "fill": Preparation(_painted_over),
    "extend": Preparation(_extended),
    "repair": Preparation(_repaired, propose=_found),
    "replace": Preparation(_replaced, filler=_with_the_guide),
    "create": Preparation(_created, filler=_from_this, promise=_all_new),
    "restyle": Preparation(_restyled, filler=_from_the_style, promise=_all_new),
    "enlarge": Preparation(_enlarged, _enlarger, _shrinks_back),
    "colourise": Preparation(_coloured, _colourer, _keeps_grey),
    "denoise": Preparation(_as_painted, _denoiser, _took_away),
    "deblur": Preparation(_as_painted, _deblurrer, _blurs_back),
}

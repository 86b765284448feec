"""The second picture of an edit: laid on the first, matched to it in light and colour."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inpaint import masks, pictures
from inpaint.pictures import Picture, georeference
from inpaint.regions import Box
from inpaint.scales import spread

Mask = NDArray[np.bool_]
RGB = NDArray[np.float32]

VISIBLE = 8 / 255
"""Where a painted copy differs by more it was painted on: a JPEG copy differs a little anywhere."""
SMOOTHING = 3
"""Halvings by which the error at the border is smoothed: texture is no error of light."""


def laid(
    picture: Picture, guide: Picture, painted: Mask | None, at: str
) -> tuple[Picture, Mask, bool]:
    """Lay a guide on a picture.

    Parameters
    ----------
    picture, guide : Picture
        A guide is a painted copy as `painted_on` says. Any other is an object to be pasted, its
        transparent pixels left out.
    painted : array or None
        (H, W) bool: of a copy, what is taken over, by default where it differs; of an object, what
        it is fitted into, by default the middle half of the picture.
    at : str
        "x,y" or "x,y,width,height" of an object, in pixels; "" for the above.

    Returns
    -------
    picture, mask, cut
        The picture with the guide in it; (H, W) bool, where; and whether it is an object that
        comes with surroundings of its own, a rectangle, and not cut out.

    Raises
    ------
    ValueError
        If nothing of it lies on the picture, or both a mask and a place are given.
    """
    if at and painted is not None:
        raise ValueError("Give the second picture a place or a mask to fit it into, not both.")
    found = None if at else painted_on(guide, picture, VISIBLE)
    if found is not None:
        mask = found if painted is None else painted
        if not mask.any():
            raise ValueError("The second picture shows nothing new: paint on it, or give a mask.")
        return _with(picture, guide.rgb(), mask.astype(np.float32)), mask, False
    left, top, right, bottom = _box(picture, guide, painted, at)
    x0, y0, x1, y1 = (
        max(left, 0),
        max(top, 0),
        min(right, picture.size[0]),
        min(bottom, picture.size[1]),
    )
    if x0 >= x1 or y0 >= y1:
        raise ValueError("The second picture lies outside of the first: choose another place.")
    layer = np.zeros((*picture.size[::-1], 4), np.float32)
    part = pictures.resampled(guide, (left, top, right, bottom), (x0, y0, x1, y1))
    layer[y0:y1, x0:x1] = part
    share = layer[..., 3]
    mask = share >= 0.5
    if not mask.any():
        raise ValueError("The second picture is wholly transparent: choose another.")
    return _with(picture, layer[..., :3], share), mask, bool(guide.opacity().all())


def painted_on(guide: Picture, picture: Picture, least: float) -> Mask | None:
    """Find what was painted on a copy of a picture.

    A guide of its size that is nowhere more transparent is a copy.

    Returns
    -------
    array or None
        (H, W) bool: where what is seen differs by more than `least`, of 1, in colour, or in opacity
        if the guide has any transparency itself. None if the guide is no copy.
    """
    if guide.size != picture.size:
        return None
    opacity, own = guide.opacity(), picture.opacity()
    if (opacity < own).any():
        return None
    differs = np.abs(guide.rgb() - picture.rgb()).max(axis=2) > least
    if opacity.min() == 1:  # what was saved without transparency: it was not painted all over
        return np.asarray(differs)
    return np.asarray((differs & (opacity > 0)) | (opacity - own > least))


def _box(picture: Picture, guide: Picture, painted: Mask | None, at: str) -> Box:
    """Return where an object goes, in pixels of the picture; it may reach beyond it."""
    if at:
        x, y, *size = map(int, at.split(","))
        width, height = size or guide.size
        return x, y, x + width, y + height
    width, height = picture.size
    room = (width // 4, height // 4, width - width // 4, height - height // 4)
    if painted is not None:
        room = masks.bounding_box(painted) or room
    elif guide.size == picture.size:
        room = (0, 0, width, height)
    scale = min((room[2] - room[0]) / guide.size[0], (room[3] - room[1]) / guide.size[1])
    if painted is None:
        scale = min(scale, 1.0)
    width, height = (max(1, round(side * scale)) for side in guide.size)
    x, y = (room[0] + room[2] - width) // 2, (room[1] + room[3] - height) // 2
    return x, y, x + width, y + height


def _with(picture: Picture, rgb: RGB, share: NDArray[np.float32]) -> Picture:
    """Lay (H, W, 3) in [0, 1] over a picture; where the share is 0 it keeps its bytes.

    What the picture hides in transparent pixels does not show through.
    """
    pixels = picture.pixels.copy()
    there = share > 0
    part = share[there, None]
    if picture.alpha is not None:
        part = part / (part + (1 - part) * picture.opacity()[there, None])
    mixed = part * picture.native(rgb[there][None])[0] + (1 - part) * pixels[there]
    pixels[there] = np.rint(mixed).clip(0, picture.maximum).astype(pixels.dtype)
    return replace(picture, pixels=pixels)


def is_flat(picture: Picture, mask: Mask) -> bool:
    """Say whether most of what lies in a mask is flat paint: pixels equal to their neighbours."""
    inside = masks.shrink(mask, 1)
    pixels = picture.pixels
    equal = np.ones(mask.shape, bool)
    equal[1:] &= (pixels[1:] == pixels[:-1]).all(axis=2)
    equal[:, 1:] &= (pixels[:, 1:] == pixels[:, :-1]).all(axis=2)
    return bool(equal[inside].mean() > 0.5) if inside.any() else True


def blended(picture: Picture, guided: Picture, mask: Mask) -> Picture:
    """Shift what was pasted in light and colour until it meets its surroundings smoothly.

    Its gradients stay: seamless cloning (Pérez et al. 2003), with the membrane of the error at its
    border in place of a Poisson solver.
    """
    rim = mask & ~masks.shrink(mask, 1) & ~masks.from_alpha(picture)
    before, after = picture.rgb(), guided.rgb()
    error = torch.from_numpy(np.where(rim[..., None], before - after, 0)).permute(2, 0, 1)[None]
    unknown = torch.from_numpy(~rim)[None, None].float()
    shift = spread(error, unknown, SMOOTHING)[0].permute(1, 2, 0).numpy()
    return _with(picture, (after + shift).clip(0, 1), mask.astype(np.float32))


def recoloured(picture: Picture, style: Picture) -> Picture:
    """Give a picture the colours of another: the mean and covariance of its RGB values.

    The linear map that moves the values least (Pitié & Kokaram 2007). What the other hides in
    transparent pixels does not count.
    """
    rgb, others = picture.rgb(), style.rgb()[~masks.from_alpha(style)]
    ours, theirs = (values.reshape(-1, 3).astype(np.float64) for values in (rgb, others))
    a, b = (np.cov(values.T, bias=True) + 1e-6 * np.eye(3) for values in (ours, theirs))
    root = _root(a)
    inverse = np.linalg.inv(root)
    map_ = inverse @ _root(root @ b @ root) @ inverse
    moved = (ours - ours.mean(0)) @ map_ + theirs.mean(0)
    return _with(
        picture,
        moved.reshape(rgb.shape).astype(np.float32).clip(0, 1),
        np.ones(rgb.shape[:2], np.float32),
    )


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(values.clip(0)) @ vectors.T)


def fitted(picture: Picture, side: int) -> Picture:
    """Shrink a picture until its longer side is at most `side` pixels."""
    width, height = picture.size
    scale = side / max(width, height)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    alpha = None
    if picture.alpha is None:
        pixels = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
    else:
        whole = (0, 0, *size)
        layer = pictures.resampled(picture, whole, whole)
        pixels = np.rint(picture.native(layer[..., :3])).astype(picture.pixels.dtype)
        alpha = np.rint(layer[..., 3] * picture.maximum).astype(picture.pixels.dtype)
    exif = georeference.moved(picture.exif, (size[0] / width, size[1] / height))
    return replace(picture, pixels=pixels.reshape(size[1], size[0], -1), alpha=alpha, exif=exif)

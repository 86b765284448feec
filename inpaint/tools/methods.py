"""What `evaluate` compares: our models through `edit`, and others' methods on the same holes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaint import catalog, devices
from inpaint.catalog import PixelModel
from inpaint.editing import edit, estimate
from inpaint.models import listed
from inpaint.schedule import evaluations
from inpaint.tools import patchmatch
from inpaint.tools.repaint import DEFAULT, RePaint, cheaper

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SAMPLES = 4
"""Fills of each crop by a method that draws them."""
FEW = 8
"""Crops for a method that takes minutes for each."""
PEERS = ("telea", "ns", "biharmonic", "patchmatch")
REPAINTS = ("repaint", "repaint-short")


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table.

    Attributes
    ----------
    name : str
        As it is chosen and printed.
    fill : callable
        (picture with a grey hole (H, W, 3) uint8, mask (H, W) bool, seed) -> fills, and the
        network evaluations that each took.
    most : int or None
        Crops per family of masks, if not all.
    trained : bool
        Whether it could have memorised pictures.
    """

    name: str
    fill: Callable[[Picture, Mask, int], tuple[list[Picture], int]]
    most: int | None = None
    trained: bool = False


def methods(names: Sequence[str], model: str | None, size: int) -> list[Method]:
    """Return the methods by name, or all that can run here.

    Parameters
    ----------
    names
        Names of models in the list, of `PEERS` and of `REPAINTS`; none for every one that is here.
    model
        One more model, a name or a folder; the RePaints use its network where it is one over
        pixels, else that of `photo`.
    size
        Side of the crops.

    Raises
    ------
    ValueError
        If a name is unknown, or what a method needs is not here.
    """
    ours = [name for name, spec in listed().items() if spec.here() and spec.fills]
    if model is not None and model not in ours:
        ours.append(model)
    network = model if model is not None and _network(model) is not None else "photo"
    known = [*ours, *PEERS, *(REPAINTS if network in ours else ())]
    for name in names:
        if name in REPAINTS and name not in known:
            raise ValueError(f"{name} needs a network; name one with --model.")
        if name not in known:
            raise ValueError(f"There is no method {name!r} here; choose from {', '.join(known)}.")
    chosen = list(names) or [n for n in known if n != "biharmonic" or find_spec("skimage")]
    if model is not None and model not in chosen:
        chosen.insert(0, model)
    return [_method(name, network, size) for name in chosen]


def _method(name: str, network: str, size: int) -> Method:
    if name == "biharmonic":
        return Method(name, _biharmonic())
    if name in ("telea", "ns"):
        return Method(name, partial(_opencv, cv2.INPAINT_TELEA if name == "telea" else 0))
    if name == "patchmatch":
        return Method(name, lambda *crop: ([patchmatch.complete(*crop)], 0))
    if name in REPAINTS:
        return _repaint(name, network, size)
    catalog.load(name, devices.pick())  # a broken model must not end a long run half-way
    short = name if name in listed() else Path(name).name
    return Method(short, partial(_edit, name), trained=name != "self")


def _edit(model: str, picture: Picture, mask: Mask, seed: int) -> tuple[list[Picture], int]:
    """Fill by `edit` with default settings, in exactly the hole that the peers see."""
    # A feathered rim would mix in what the picture shows in the hole, here the grey that hides it.
    result = edit(
        picture, mask, model=model, seed=seed, candidates=SAMPLES, grow=0, feather=0, task="fill"
    )
    fills = [candidate.picture().pixels for candidate in result.candidates]
    return fills, result.evaluations // SAMPLES


def _opencv(flag: int, picture: Picture, mask: Mask, seed: int) -> tuple[list[Picture], int]:
    """Telea 2004, or Bertalmío et al. 2001 (Navier-Stokes), with the usual radius of 3 pixels."""
    return [np.asarray(cv2.inpaint(picture, mask.astype(np.uint8), 3, flag), np.uint8)], 0


def _biharmonic() -> Callable[[Picture, Mask, int], tuple[list[Picture], int]]:
    """Damelin & Hoang 2018, as in scikit-image."""
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise ValueError(
            "The method biharmonic needs scikit-image: pip install scikit-image."
        ) from None

    def fill(picture: Picture, mask: Mask, seed: int) -> tuple[list[Picture], int]:
        filled = inpaint_biharmonic(picture / 255, mask, channel_axis=-1)
        return [np.rint(np.clip(filled, 0, 1) * 255).astype(np.uint8)], 0

    return fill


def _network(name: str) -> PixelModel | None:
    """Load a model; None if it is no network over pixels."""
    loaded = getattr(catalog.load(name, devices.pick()).filler, "model", None)
    return loaded if isinstance(loaded, PixelModel) else None


def _repaint(name: str, network: str, size: int) -> Method:
    loaded = _network(network)
    assert loaded is not None  # `methods` chose it so
    if size % 16:
        raise ValueError(f"{name} needs crops whose size is a multiple of 16, not {size}.")
    repaint = RePaint(loaded.pipeline.unet, loaded.pipeline.scheduler)
    samples, most = (1, FEW) if name == "repaint" else (SAMPLES, None)

    def fill(picture: Picture, mask: Mask, seed: int) -> tuple[list[Picture], int]:
        walk = DEFAULT
        if name != "repaint":  # as many evaluations as we would take for this hole
            ours = estimate(mask.shape, mask, model=network, grow=0)
            walk = cheaper(ours.evaluations)
        steps, jump, times = walk
        fills = [repaint(picture, mask, seed + k, walk) for k in range(samples)]
        return fills, evaluations(steps, times, jump)

    return Method(name, fill, most)

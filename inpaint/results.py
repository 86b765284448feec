"""What an edit tells while it works, and what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import pictures
from inpaint.pictures import Picture
from inpaint.regions import Box, Region

Mask = NDArray[np.bool_]
ROWS = 128
"""Rows of a picture that are compared at once."""
DOWNLOADING = "downloading the model"


class Stopped(Exception):
    """Raised by a progress callback to end the work; what there is by then is kept."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is reported after every evaluation of the model, and during a download.

    Attributes
    ----------
    number, total : int
        Evaluations done and planned, over all regions and candidates; megabytes of a download.
    stage : str
        What is being done, for people.
    candidate : int
        Which candidate is being made, from 0.
    seconds_left : float
        From the speed so far.
    preview : callable or None
        () -> (box in the picture, (h, w, 3) uint8): the estimate as it stands. None during a
        download, whose stage is `DOWNLOADING`.
    """

    number: int
    total: int
    stage: str
    candidate: int
    seconds_left: float
    preview: Callable[[], tuple[Box, NDArray[np.uint8]]] | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that nothing else was touched, counted on the result itself.

    Attributes
    ----------
    outside : int
        Pixels outside the repainted area.
    changed : int
        Those of them that differ from the input. 0 unless the software is at fault.
    promise : str
        What else the task proves of its result.
    """

    outside: int
    changed: int
    promise: str = ""

    def __str__(self) -> str:
        """Return the receipt as a sentence."""
        if self.outside == 0 and self.promise:
            return self.promise
        outside = f"{self.outside:,}".replace(",", " ")
        counted = f"{self.changed} of {outside} pixels outside the mask changed"
        return f"{counted}; {self.promise}" if self.promise else counted


@dataclass(frozen=True, slots=True)
class Patch:
    """A repainted part: its place, and its pixels and alpha in the picture's own units."""

    region: Region
    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fill the holes; only what differs from the original is stored.

    Attributes
    ----------
    original : Picture
        What was filled.
    patches : tuple of Patch
        What it was filled with.
    recipe : dict
        How to make it again.
    opaque : array or None
        (H, W) bool: where the patches make it opaque.
    """

    original: Picture
    patches: tuple[Patch, ...]
    recipe: dict[str, Any]
    opaque: Mask | None = None

    def picture(self) -> Picture:
        """Return the whole picture with this fill in it, marked as edited if there is any."""
        pixels = self.original.pixels.copy()
        alpha = None if self.original.alpha is None else self.original.alpha.copy()
        for patch in self.patches:
            patch.region.paste(pixels, patch.pixels, patch.alpha)
            if alpha is not None and self.opaque is not None:
                solid = np.full((*patch.alpha.shape, 1), self.original.maximum, np.float32)
                share = patch.alpha * patch.region.crop_array(self.opaque)
                patch.region.paste(alpha[..., None], solid, share)
        made = replace(self.original, pixels=pixels, alpha=alpha)
        return pictures.marked(made) if self.patches else made

    def encode(self, format: str, *, with_recipe: bool = True) -> bytes:
        """Encode the picture with its recipe. See `inpaint.pictures.encode`."""
        text = self.text() if with_recipe else None
        return pictures.encode(self.picture(), format, text=text)

    def save(self, path: str | Path) -> Path:
        """Write the picture with its recipe. See `inpaint.pictures.write`."""
        return pictures.write(self.picture(), path, text=self.text())

    def text(self) -> dict[str, str]:
        """Return its recipe as it is embedded."""
        return {"inpaint": json.dumps(self.recipe)}


@dataclass(frozen=True, slots=True)
class Result:
    """What an edit returns.

    Attributes
    ----------
    candidates : list of Candidate
        The fills, in the order of their seeds; fewer than asked for if stopped.
    picture : Picture
        The original with the first candidate in it.
    mask : array
        (H, W) bool: where pixels may have changed, the blend included.
    receipt : Receipt
        Counted on `picture`.
    seconds : float
        What it took.
    evaluations : int
        Times the model was asked.
    finished : bool
        False if it was stopped; the picture then holds the estimate as it stood.
    notes : tuple of str
        Sentences about what was done otherwise than asked.
    """

    candidates: list[Candidate]
    picture: Picture
    mask: Mask
    receipt: Receipt
    seconds: float
    evaluations: int
    finished: bool
    notes: tuple[str, ...]

    @property
    def recipe(self) -> dict[str, Any]:
        """How to make `picture` again."""
        return self.candidates[0].recipe

    def diversity(self) -> NDArray[np.float32]:
        """Say where the candidates disagree: (H, W), their spread in units of white, 0 to 0.5.

        The standard deviation over the candidates, the mean of the channels. 0 outside of the
        mask, and where all agree; which is no proof that they are right.
        """
        return diversity(self.candidates, self.mask)

    def loss(self, path: str | Path) -> str:
        """Say in a sentence what saving it under a name does not keep of `picture`; "" if all."""
        format, whole = pictures.format_of(path), self.receipt.outside == 0
        text = self.candidates[0].text()
        return pictures.loss(self.picture, format, text=text, whole=whole)

    def save(self, path: str | Path, *, mask: bool = False) -> Path:
        """Write the picture with its recipe in it; the suffix says the format.

        `mask` puts the mask of the pixels that may have been invented beside it, as
        `<name>-mask.png`.
        """
        written = self.candidates[0].save(path)
        if mask:
            self.save_mask(written.with_name(f"{written.stem}-mask.png"))
        return written

    def save_mask(self, path: str | Path) -> Path:
        """Write the mask: white where a pixel may have been invented, black where none was."""
        return pictures.write(pictures.read(self.mask), path)

    def save_diversity(self, path: str | Path) -> Path:
        """Write `diversity` as a grey picture of 16 bits, 65535 for 0.5; PNG or TIFF."""
        return pictures.write(drawn(self.diversity()), path)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an edit will cost.

    Attributes
    ----------
    evaluations : int
        Times the model will be asked.
    seconds : float
        From this machine's speed, measured.
    regions : int
        Separate places that will be filled.
    """

    evaluations: int
    seconds: float
    regions: int


def numbered(path: Path, count: int) -> tuple[Path, ...]:
    """Name a file for each candidate: out.png alone, else out-1.png, out-2.png and so on."""
    if count == 1:
        return (path,)
    return tuple(path.with_stem(f"{path.stem}-{number}") for number in range(1, count + 1))


def diversity(candidates: Sequence[Candidate], mask: Mask) -> NDArray[np.float32]:
    """Return `Result.diversity` of candidates whose pixels are the same outside of a mask."""
    spread = np.zeros(mask.shape, np.float32)
    made = [candidate.picture() for candidate in candidates]
    for top in range(0, len(mask), ROWS):
        rows = np.s_[top : top + ROWS]
        where = mask[rows]
        values = np.stack([one.pixels[rows][where] for one in made]).astype(np.float64)
        spread[rows][where] = values.std(axis=0).mean(axis=1) / made[0].maximum
    return spread


def drawn(diversity: NDArray[np.float32]) -> Picture:
    """Draw `Result.diversity` as a grey picture of 16 bits, 65535 for 0.5."""
    return pictures.read(np.rint(diversity * 2 * 65535).clip(0, 65535).astype(np.uint16))


def receipt(before: Picture, after: Picture, mask: Mask, promise: str = "") -> Receipt:
    """Count the pixels outside the (H, W) mask that differ between two pictures, alpha included."""
    changed = 0
    for top in range(0, len(mask), ROWS):
        rows = np.s_[top : top + ROWS]
        pairs = [(before.pixels[rows], after.pixels[rows])]
        if before.alpha is not None and after.alpha is not None:
            pairs.append((before.alpha[rows, :, None], after.alpha[rows, :, None]))
        if all(np.array_equal(old, new) for old, new in pairs):
            continue  # as most rows are, far from the hole
        differs = [(old != new).any(2) for old, new in pairs]
        changed += int((np.logical_or.reduce(differs) & ~mask[rows]).sum())
    return Receipt(mask.size - int(np.count_nonzero(mask)), changed, promise)

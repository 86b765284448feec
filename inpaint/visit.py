"""The history of one visit: every run with what it started from, to go back to and branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import masks, reviewing
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.results import Candidate, Result

Mask = NDArray[np.bool_]

MAX_RUNS = 60
MAX_BYTES = 1 << 30
"""Pixels and patches kept in memory for one visit; the oldest runs make room."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is masked: strokes, over a mask that they began with."""

    strokes: Strokes
    base: Mask | None = None

    @property
    def empty(self) -> bool:
        """Whether there is surely nothing in it."""
        return self.base is None and not self.strokes.strokes

    def mask(self) -> Mask:
        """Return (H, W) bool at the size of the picture drawn on."""
        return masks.rasterize(self.strokes, base=self.base)

    def painted_on(self, picture: Picture) -> Picture:
        """Return a copy of the picture with what was painted in colour or pasted on it."""
        full = picture.maximum
        rgb = np.rint(picture.rgb() * full).astype(picture.pixels.dtype)
        return Picture(masks.paint(self.strokes, rgb), icc=picture.icc)


@dataclass(slots=True, eq=False)
class Run:
    """One run: what it started from, how, and what came of it.

    Attributes
    ----------
    number
        From 1, in the order of the runs.
    before
        The picture that was edited, for comparing.
    drawing
        The mask; None where the task does without.
    candidates, seams
        Best seam first; see `inpaint.reviewing.seam`.
    receipt, said
        The proof, and what else there is to say, in sentences.
    chosen
        Index of the candidate that counts.
    origin
        The run whose result was edited; None where it was the original.
    """

    number: int
    before: Picture
    drawing: Drawing | None
    candidates: list[Candidate]
    seams: list[float | None]
    receipt: str
    said: str
    chosen: int = 0
    origin: Run | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the chosen candidate."""
        found: dict[str, Any] = self.candidates[self.chosen].recipe["settings"]
        return found

    def picture(self) -> Picture:
        """Return the chosen candidate as a whole picture."""
        return self.candidates[self.chosen].picture()


@dataclass(slots=True, eq=False)
class Visit:
    """What one visitor works on.

    Attributes
    ----------
    name, source
        The file's name without its suffix, and its bytes; empty for a picture made here.
    original, picture
        As it was opened, and what is painted on now: that, or a result gone on with.
    base
        A mask to begin with, under the strokes.
    guide
        A second picture.
    runs, shown
        All runs, and the one whose candidates are on show.
    origin
        The run whose result is painted on; None while it is the original.
    """

    name: str
    source: bytes
    original: Picture
    picture: Picture
    base: Mask | None = None
    guide: Picture | None = None
    runs: list[Run] = field(default_factory=list)
    shown: Run | None = None
    origin: Run | None = None

    @classmethod
    def begin(cls, name: str, source: bytes, picture: Picture) -> Visit:
        """Start with a picture."""
        return cls(name, source, picture, picture)

    def add(self, result: Result, drawing: Drawing | None, before: Picture, said: str) -> Run:
        """Append a run and show it."""
        pairs = reviewing.ranked(result.candidates)
        number = 1 + max((run.number for run in self.runs), default=0)
        run = Run(
            number,
            before,
            drawing,
            [candidate for candidate, _ in pairs],
            [seam for _, seam in pairs],
            f"{result.receipt}.",
            said,
            origin=self.origin,
        )
        self.runs.append(run)
        self.shown = run
        self._make_room()
        return run

    def proceed(self) -> None:
        """Go on from the chosen candidate with an empty mask."""
        if self.shown is None:
            raise ValueError("There is no result to go on from.")
        self.origin = self.shown
        self.picture, self.base, self.shown = self.shown.picture(), None, None

    def back_to(self, run: Run | None) -> Drawing | None:
        """Return to what a run started from, or with None to the original; give its mask."""
        self.shown = run
        self.picture = run.before if run else self.original
        self.origin = run.origin if run else None
        drawing = run.drawing if run else None
        self.base = drawing.base if drawing else None
        return drawing

    def delete(self, run: Run) -> None:
        """Forget a run; the picture painted on stays."""
        self.runs.remove(run)
        for later in self.runs:
            later.origin = None if later.origin is run else later.origin
        self.origin = None if self.origin is run else self.origin
        if self.shown is run:
            self.shown = None

    def _make_room(self) -> None:
        while len(self.runs) > 1 and (len(self.runs) > MAX_RUNS or self._bytes() > MAX_BYTES):
            self.delete(self.runs[0])

    def _bytes(self) -> int:
        whole = {id(p.pixels): p.pixels.nbytes for run in self.runs for p in _pictures(run)}
        patches = (patch for run in self.runs for c in run.candidates for patch in c.patches)
        return sum(whole.values()) + sum(p.pixels.nbytes + p.alpha.nbytes for p in patches)


def _pictures(run: Run) -> list[Picture]:
    return [run.before, *(candidate.original for candidate in run.candidates)]

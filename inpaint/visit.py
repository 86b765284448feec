"""The history of one visit: every run with what it started from, to go back to and branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import masks, reviewing
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.recipes import digest
from inpaint.results import Candidate, Result
from inpaint.settings import sides
from inpaint.tasks import TASKS, settled

Mask = NDArray[np.bool_]

MAX_RUNS = 60
MAX_BYTES = 1 << 30
"""Pixels and patches kept in memory for one visit; the oldest runs make room."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """What is masked: strokes, over a mask that they began with."""

    strokes: Strokes
    base: Mask | None = None

    @cached_property
    def empty(self) -> bool:
        """Whether nothing is masked, be it that all of it was taken away again."""
        return not self.strokes.strokes and self.base is None or not self.mask().any()

    def is_like(self, other: Drawing) -> bool:
        """Whether it was painted alike, over the same mask."""
        return self.base is other.base and self.strokes == other.strokes

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
    marked
        (H, W) bool: the pixels of its results that it, or a run before it, may have invented; None
        where only the results tell.
    earlier
        The same of `before`; None where that is as it was opened.
    chosen
        Index of the candidate that counts.
    origin
        The run whose result was edited; None where it was the original.
    guide
        The second picture, where the task takes one and it was given.
    """

    number: int
    before: Picture
    drawing: Drawing | None
    candidates: list[Candidate]
    seams: list[float | None]
    receipt: str
    said: str
    marked: Mask | None
    earlier: Mask | None = None
    chosen: int = 0
    origin: Run | None = None
    guide: Picture | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the chosen candidate."""
        found: dict[str, Any] = self.candidates[self.chosen].recipe["settings"]
        return found

    @property
    def repeatable(self) -> bool:
        """Whether going back to it brings all that is needed to make it again.

        A variation began with another picture than `before`; a second picture may be gone.
        """
        recipe = self.candidates[self.chosen].recipe
        second, colored = recipe.get("guide_sha256"), self.drawing and self.drawing.strokes.colored
        there = digest(self.guide.pixels) if self.guide else second if colored else ""
        began = digest(self.before.pixels)
        return "merged" not in recipe and (began, there) == (recipe.get("picture_sha256"), second)

    def picture(self) -> Picture:
        """Return the chosen candidate as a whole picture."""
        return self.candidates[self.chosen].picture()

    def invented(self) -> Mask:
        """Return (H, W) bool: which pixels of its results may have been invented."""
        if self.marked is not None:
            return self.marked
        each = [reviewing.touched(candidate) for candidate in self.candidates]
        return np.asarray(np.logical_or.reduce(each))


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
    invented
        (H, W) bool: the pixels of `picture` that runs may have invented; None while it is the
        original.
    left
        A mask that no run has, and the picture that it was painted on.
    controls
        What the page's controls stood at when it was last saved, by their names.
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
    invented: Mask | None = None
    left: tuple[Picture, Drawing] | None = None
    controls: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, name: str, source: bytes, picture: Picture) -> Visit:
        """Start with a picture."""
        return cls(name, source, picture, picture)

    def add(
        self,
        result: Result,
        drawing: Drawing | None,
        before: Picture,
        said: str,
        varied: Run | None = None,
    ) -> Run:
        """Append a run and show it; `varied` is the run whose result it started from, if any."""
        pairs = reviewing.ranked(result.candidates)
        start = varied.invented() if varied else self.invented
        number = 1 + max((run.number for run in self.runs), default=0)
        guide = varied.guide if varied else self.guide
        run = Run(
            number,
            before,
            drawing,
            [candidate for candidate, _ in pairs],
            [seam for _, seam in pairs],
            f"{result.receipt}.",
            said,
            _with_earlier(result, start),
            self.invented,
            origin=self.origin,
            guide=guide if _takes_guide(result.recipe) else None,
        )
        self.runs.append(run)
        self.shown = run
        self._make_room()
        return run

    def leave(self, drawing: Drawing | None) -> None:
        """Keep a mask that no run has for when its picture is painted on again."""
        if self.left and _alike(self.left[0], self.picture):
            self.left = None
        known = (run.drawing for run in self.runs)
        if drawing and not drawing.empty and not any(one and drawing.is_like(one) for one in known):
            self.left = self.picture, drawing

    def proceed(self) -> Drawing | None:
        """Go on from the chosen candidate with an empty mask, or give the one that was left."""
        if self.shown is None:
            raise ValueError("There is no result to go on from.")
        self.origin = self.shown
        self.picture, self.invented = self.shown.picture(), self.shown.invented()
        self.shown = None
        return self._begun(None)

    def back_to(self, run: Run | None) -> Drawing | None:
        """Return to what a run started from, or with None to the original; give the mask."""
        if run and _takes_guide(run.candidates[run.chosen].recipe):
            self.guide = run.guide
        self.shown = run
        self.picture = run.before if run else self.original
        self.origin = run.origin if run else None
        self.invented = run.earlier if run else None
        return self._begun(run)

    def _begun(self, run: Run | None) -> Drawing | None:
        """Return the mask to begin with: a run's own, or what was left with the picture."""
        drawing = run.drawing if run else None
        if run is None and self.left and _alike(self.left[0], self.picture):
            drawing = self.left[1]
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
        marks = (mark for run in self.runs for mark in (run.marked, run.earlier))
        whole |= {id(mark): mark.nbytes for mark in marks if mark is not None}
        return sum(whole.values()) + sum(p.pixels.nbytes + p.alpha.nbytes for p in patches)


def _takes_guide(recipe: dict[str, Any]) -> bool:
    task = TASKS.get(recipe["settings"].get("task"))
    return task is not None and task.guide != "unused"


def _alike(one: Picture, other: Picture) -> bool:
    return one is other or np.array_equal(one.pixels, other.pixels)


def _pictures(run: Run) -> list[Picture]:
    second = [run.guide] if run.guide else []
    return [run.before, *second, *(candidate.original for candidate in run.candidates)]


def _with_earlier(result: Result, earlier: Mask | None) -> Mask:
    """Mark what a run may have invented, and what was invented in the picture it started from."""
    mask = result.mask
    if earlier is None:
        return mask
    if earlier.shape != mask.shape:
        settings = settled(result.recipe["settings"])
        height, width = earlier.shape
        left, top, right, bottom = sides((width, height), settings)
        earlier = np.pad(earlier, ((top, bottom), (left, right)))
        if settings.task != "extend" or earlier.shape != mask.shape:
            return np.ones_like(mask)  # all of it was made anew
    return np.asarray(mask | earlier)

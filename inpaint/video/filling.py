"""Fills a clip frame by frame, with as many of its neighbours at hand as reach and memory allow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import editing, masks
from inpaint.editing import Stopped
from inpaint.pictures import Picture
from inpaint.regions import Region
from inpaint.settings import Settings
from inpaint.video.borrowing import RIM, Borrowing, Look, ahead, behind
from inpaint.video.carrying import Memory, Origins
from inpaint.video.clips import Clip, Frame
from inpaint.video.motion import between, grid, sample, smooth
from inpaint.video.results import VideoMoment
from inpaint.video.saving import Writer

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

MEMORY = 1 << 30
"""Bytes that the frames in reach may take; of large frames fewer are looked at."""
CONTEXT = 64
"""Pixels around a hole, at least, in which motion is measured."""
KEPT = 0.2
"""Noise to start from where the frame before gives a first guess, though no sure one.

With more of it little of the guess is left, and the fill flickers."""


class Work:
    """One clip under way: the frames in reach, and what was counted."""

    def __init__(
        self,
        clip: Clip,
        holes: Iterator[Mask],
        writer: Writer,
        wanted: Settings,
        asked: dict[str, Any],
        reach: int,
        progress: Callable[[VideoMoment], None],
    ) -> None:
        self.clip, self.holes, self.writer = clip, holes, writer
        self.wanted, self.asked, self.progress = wanted, asked, progress
        self.reach = reach
        self.past: deque[Look] = deque(maxlen=reach)
        self.memory = Memory(reach)
        self.coming: deque[tuple[Frame, Look]] = deque()
        self.written = self.total = 0
        self.parts = np.zeros(3)
        self.changes = {name: [0.0, 0] for name in ("after", "before", "around")}
        self.notes: list[str] = []
        self.began = time.perf_counter()

    def run(self) -> None:
        """Read, fill and write all frames; those in reach are held."""
        for frame in self.clip.frames():
            if not self.written and not self.coming:
                self._fit(frame)
            look = Look(frame.pixels, self._hole(frame))
            if self.coming:
                self._join(self.coming[-1][1], look)
            self.coming.append((frame, look))
            if len(self.coming) > self.reach:
                self._next()
        while self.coming:
            self._next()

    def shares(self) -> tuple[float, float, float]:
        """Say what came from other frames, from earlier fills and from diffusion."""
        borrowed, carried, invented = self.parts / max(self.total, 1)
        return float(borrowed), float(carried), float(invented)

    def flickers(self) -> tuple[float, float, float]:
        """Say how much changes: after, before, and around the hole."""
        after, before, around = (
            change / max(pixels, 1) for change, pixels in self.changes.values()
        )
        return after, before, around

    def _fit(self, frame: Frame) -> None:
        """Reach only as far as memory does: pixels and a native copy of every frame, and flows."""
        each = frame.pixels.nbytes * 2 + frame.pixels.shape[0] * frame.pixels.shape[1] * 16
        self.reach = max(1, min(self.reach, MEMORY // (3 * each)))
        self.past = deque(maxlen=self.reach)
        self.memory = Memory(self.reach)

    def _hole(self, frame: Frame) -> Mask:
        painted = next(self.holes, None)
        if painted is None:
            note = "There are fewer masks than frames; the last frames are as they were."
            self.notes += [note] * (note not in self.notes)
            painted = np.zeros(frame.pixels.shape[:2], bool)
        return masks.grow(painted, self.wanted.grow)

    def _join(self, first: Look, second: Look) -> None:
        """Measure the motion between two frames, and how much changes with it accounted for."""
        connect(first, second)
        if second.back is not None:
            self._count("before", first, second, second.hole)
            hidden = first.hole | second.hole
            self._count("around", first, second, masks.grow(hidden, RIM) & ~hidden)

    def _count(self, name: str, first: Look, second: Look, where: Mask) -> None:
        motion = second.back
        if motion is None or not where.any():
            return
        crop = Region(motion.box, motion.box).crop_array
        at = grid(motion.box) + motion.flow
        counted = crop(where) & motion.trusted
        now, then = crop(second.pixels).astype(np.float32), sample(first.pixels, at, cubic=True)
        change = np.abs(now - then)[counted].mean(axis=1) * (255 / first.maximum)
        self.changes[name][0] += float(change.sum())
        self.changes[name][1] += int(counted.sum())

    def _next(self) -> None:
        """Fill and write the frame that waits longest."""
        frame, look = self.coming.popleft()
        origins = None
        pixels = frame.pixels
        if look.hole.any():
            hole, origins = self._filled(look)
            crop = Region(hole.box, hole.box).crop_array
            filled = hole.colours * look.maximum
            # Later frames look at the fill; the file gets it blended with what was there.
            alpha = masks.feather(look.hole, self.wanted.feather)
            if isinstance(frame.native, Picture):  # what is transparent has no colour to blend with
                alpha[look.hole & masks.from_alpha(frame.native)] = 1
            pixels = frame.pixels.copy()
            Region(hole.box, hole.box).paste(pixels, filled, crop(alpha))
            look.pixels = frame.pixels.copy()
            inside = crop(look.hole)
            crop(look.pixels)[inside] = np.rint(filled[inside])
            if self.past:
                self._count("after", self.past[-1], look, look.hole)
        self.writer.write(frame, pixels, look.hole)
        self.memory.keep(look, origins)
        self.past.append(look)
        self.written += 1
        self._tell("filling from other frames", pixels)

    def _filled(self, look: Look) -> tuple[Borrowing, Origins]:
        """Return the hole of a frame, filled, and what came from where."""
        later = [look, *(other for _, other in self.coming)]
        earlier = [*self.past, look]
        hole = Borrowing.of(look)
        left = [int(hole.todo.sum())]
        hole.take([ahead(later), behind(earlier)])
        left.append(int(hole.todo.sum()))
        origins = self.memory.recall(look, hole)
        left.append(int(hole.todo.sum()))
        if hole.todo.any():
            hole.colours = self._invent(look, hole)
        self.total += left[0]
        self.parts += [before - after for before, after in pairwise([*left, 0])]
        return hole, origins

    def _invent(self, look: Look, hole: Borrowing) -> Floats:
        """Fill what no frame shows, and return the colours of the hole's box."""
        region = Region(hole.box, hole.box)
        if not masks.shrink(hole.todo, 1).any():  # specks, for which their surroundings suffice
            return smooth(hole.colours, hole.todo)
        picture = look.pixels.copy()
        strength = self.wanted.strength
        guess = self._guess(look, hole)
        if guess is not None:
            hole.colours[hole.todo] = guess[hole.todo]
            strength = min(strength, KEPT)
        region.crop_array(picture)[:] = np.rint(hole.colours * look.maximum)
        todo = np.zeros_like(look.hole)
        region.crop_array(todo)[:] = hole.todo

        def told(moment: editing.Moment) -> None:
            self._tell("inventing what no frame shows", picture)

        result = editing.edit(
            picture,
            todo,
            progress=told,
            max_pixels=picture.size,
            **{**self.asked, "strength": strength, "grow": 0, "feather": 0},
        )
        if not result.finished:
            raise Stopped
        self.notes += [note for note in result.notes if note not in self.notes]
        filled: Floats = region.crop_array(result.picture.pixels).astype(np.float32)
        return filled / look.maximum

    def _guess(self, look: Look, hole: Borrowing) -> Floats | None:
        """Show the frame before as it has moved, if that covers all that is to do."""
        if look.back is None or not self.past:
            return None
        at, _ = look.back.step(grid(hole.box))
        height, width = look.hole.shape
        x, y = at[hole.todo].T
        if ((x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)).any():
            return None
        shown = sample(self.past[-1].pixels, at, cubic=True) / look.maximum
        return np.asarray(shown.clip(0, 1))

    def _tell(self, stage: str, pixels: NDArray[Any]) -> None:
        total = max(self.clip.expected, self.written)
        spent = time.perf_counter() - self.began
        left = spent / max(self.written, 1) * (total - self.written)

        self.progress(VideoMoment(self.written, total, stage, left, partial(_eight_bit, pixels)))


def connect(first: Look, second: Look) -> None:
    """Measure the motion between two neighbours around their holes."""
    box = masks.bounding_box(first.hole | second.hole)
    if box is None:
        return
    height, width = first.hole.shape
    side = max(box[2] - box[0], box[3] - box[1])
    region = Region.around(box, max(CONTEXT, side // 2), (width, height))
    first.ahead, second.back = between(
        _eight_bit(region.crop_array(first.pixels)),
        _eight_bit(region.crop_array(second.pixels)),
        region.crop_array(first.hole),
        region.crop_array(second.hole),
        region.box,
    ) or (None, None)


def _eight_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)

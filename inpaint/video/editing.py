"""`edit` for clips: what happens to each frame, in which order.

frame + mask → motion to its neighbours → what they show of the hole → what was invented before →
diffusion for the rest → written, one frame after another.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import inpaint
from inpaint import catalog, devices, editing, masks, pictures
from inpaint.editing import Stopped
from inpaint.pictures import PictureError
from inpaint.recipes import digest
from inpaint.regions import Region
from inpaint.settings import Settings
from inpaint.video.borrowing import RIM, Borrowing, Look, ahead, behind
from inpaint.video.carrying import Memory, Origins
from inpaint.video.clips import Clip, Frame, masks_of, open_clip
from inpaint.video.motion import between, grid, sample, smooth
from inpaint.video.saving import Writer, open_writer

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

REACH = 24
"""Frames that are looked at on either side: a second, about."""
MEMORY = 1 << 30
"""Bytes that the frames in reach may take; of large frames fewer are looked at."""
CONTEXT = 64
"""Pixels around a hole, at least, in which motion is measured."""
KEPT = 0.2
"""Noise to start from where the frame before gives a first guess, though no sure one.

With more of it little of the guess is left, and the fill flickers."""


@dataclass(frozen=True, slots=True)
class VideoMoment:
    """What is reported after every frame, and after every evaluation of the model.

    Attributes
    ----------
    number, total : int
        Frames done, and how many there are.
    stage : str
        What is being done, for people.
    seconds_left : float
        From the speed so far.
    preview : callable
        () -> (H, W, 3) uint8: the frame that was worked on last.
    """

    number: int
    total: int
    stage: str
    seconds_left: float
    preview: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What `edit` returns.

    Attributes
    ----------
    path : Path
        The file or folder that was written.
    frames : int
        Frames in it.
    seconds : float
        What it took.
    borrowed : float
        Share of the hole's pixels that other frames showed.
    carried : float
        Share that the fills of earlier frames gave.
    invented : float
        Share that diffusion filled. The three add up to 1.
    flicker : float
        Mean absolute change inside the hole from frame to frame, once motion is accounted for, in
        levels of 255.
    flicker_before : float
        The same in the clip as it was.
    flicker_around : float
        The same in the rim around the hole: what is natural in this clip.
    finished : bool
        False if it was stopped; the file then ends with the last frame that was done.
    notes : tuple of str
        Sentences about what was done otherwise than asked.
    recipe : dict
        How to make it again.
    """

    path: Path
    frames: int
    seconds: float
    borrowed: float
    carried: float
    invented: float
    flicker: float
    flicker_before: float
    flicker_around: float
    finished: bool
    notes: tuple[str, ...]
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VideoEstimate:
    """What `edit` will cost.

    Attributes
    ----------
    frames : int
        How many there are.
    fastest, slowest : float
        Seconds if other frames show all of the hole, and if diffusion fills it in every frame.
    """

    frames: int
    fastest: float
    slowest: float


def edit(
    source: str | os.PathLike[str],
    mask: Any,
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    progress: Callable[[VideoMoment], None] = lambda moment: None,
    lossless: bool = False,
    reach: int = REACH,
    max_pixels: int = pictures.MAX_PIXELS,
    **settings: Any,
) -> VideoResult:
    """Repaint a part of a clip.

    Frames are read, filled and written one after another; a clip may have any length.

    Parameters
    ----------
    source : path
        A video file, or a folder of numbered pictures of one size.
    mask : Strokes, (H, W) array, picture or path
        What to repaint, white: one for all frames, or a folder or a video with one for each.
    out : path
        .mp4, .m4v, .mov, .mkv or .webm for a video; for a folder, a folder.
    device : str
        auto, cuda, xpu, mps or cpu.
    progress : callable
        Called with a `VideoMoment`; raise `inpaint.editing.Stopped` in it to end the work. The
        frames done by then are kept, as a shorter clip that plays.
    lossless : bool
        Encode without any loss; the file is many times larger.
    reach : int
        Frames that are looked at on either side, 1 to 250; fewer of large ones.
    max_pixels : int
        Refuse clips with larger frames.
    **settings
        Fields of `inpaint.settings.Settings`. `candidates` is 1: a clip is filled once.

    Returns
    -------
    VideoResult

    Raises
    ------
    PictureError, ValueError
        With one sentence that says what to do. No video has the name `out` then; pictures in a
        folder are whole, as far as there are any.
    """
    began = time.perf_counter()
    wanted = _settings(settings)
    if not 1 <= reach <= 250:
        raise ValueError(f"reach must be a whole number from 1 to 250, got {reach}")
    model = catalog.load(wanted.model, devices.pick(device))
    clip = open_clip(source, max_pixels)
    holes, count = masks_of(mask, clip.size)
    if count and count != clip.expected:
        raise ValueError(
            f"There are {count} masks and {clip.expected} frames. "
            "Give one mask for all frames, or one for each."
        )
    recipe = {
        "inpaint": inpaint.__version__,
        "task": "video",
        "settings": wanted.as_dict(),
        "reach": reach,
        "lossless": lossless,
        "model_sha256": model.digest,
        "video_sha256": _digest(source),
        "mask_sha256": _digest(mask),
        "size": list(clip.size),
    }
    path = Path(out)
    writer = open_writer(clip, path, lossless=lossless, recipe=json.dumps(recipe))
    try:
        work = _Work(clip, holes, writer, wanted, {**settings, "device": device}, reach, progress)
        finished = True
        try:
            work.run()
        except Stopped:
            finished = False
        if work.written == 0:
            raise PictureError("The work was stopped before the first frame was done.")
        if finished and work.total == 0:
            raise ValueError("Nothing is painted in any frame; paint over what should be filled.")
        writer.finish(finished)
    except av.FFmpegError as error:
        raise PictureError(
            f"The video '{source}' cannot be worked on: {error.strerror}. Convert it to MP4 first."
        ) from error
    finally:
        writer.drop()
    return VideoResult(
        path,
        work.written,
        time.perf_counter() - began,
        *work.shares(),
        *work.flickers(),
        finished,
        (*clip.notes(), *writer.notes(), *work.notes),
        recipe,
    )


def estimate(
    source: str | os.PathLike[str], mask: Any, *, device: str = "auto", **settings: Any
) -> VideoEstimate:
    """Say what `edit` would cost, from two frames of the clip and this machine's speed."""
    _settings(settings)
    clip = open_clip(source)
    holes, _ = masks_of(mask, clip.size)
    hole = next((hole for hole in islice(holes, clip.expected) if hole.any()), None)
    if hole is None:
        raise ValueError("Nothing is painted in any frame; paint over what should be filled.")
    frames, clock = clip.frames(), [time.perf_counter()]
    first = Look(next(frames).pixels, hole)
    following = next(frames, None)
    second = Look(first.pixels if following is None else following.pixels, hole)
    clock.append(time.perf_counter())
    _connect(first, second)
    second.ahead = first.ahead
    clock.append(time.perf_counter())
    Borrowing.of(first).take([ahead([first, *[second] * REACH])])
    clock.append(time.perf_counter())
    reading, moving, looking = np.diff(clock)
    each = float(reading / 2 + moving + 2 * looking)  # looking goes both ways
    fill = editing.estimate(clip.size, hole, device=device, **settings).seconds
    count = clip.expected
    return VideoEstimate(count, count * each, count * (each + fill))


class _Work:
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
            elif self.past:
                self._join(self.past[-1], look)
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
        _connect(first, second)
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
        if look.hole.any():
            before = self.past[-1] if self.past else None
            filled, origins = self._filled(look)
            # Later frames look at the fill; the file gets it blended with what was there.
            alpha = masks.feather(look.hole, self.wanted.feather)[..., None]
            blended = alpha * filled + (1 - alpha) * frame.pixels
            blended = np.rint(blended).astype(frame.pixels.dtype)
            look.pixels = np.rint(filled).astype(frame.pixels.dtype)
            if before is not None:
                self._count("after", before, look, look.hole)
        else:
            blended, origins = frame.pixels, None
        self.writer.write(frame, blended, look.hole)
        self.memory.keep(look, origins)
        self.past.append(look)
        self.written += 1
        self._tell("filling from other frames", blended)

    def _filled(self, look: Look) -> tuple[Floats, Origins]:
        """Return the frame with its hole filled, in its own units, and what came from where."""
        later = [look, *(other for _, other in self.coming)]
        earlier = [*self.past, look]
        hole = Borrowing.of(look)
        crop = Region(hole.box, hole.box).crop_array
        size = int(hole.todo.sum())
        hole.take([ahead(later), behind(earlier)])
        left = [size, int(hole.todo.sum())]
        origins = self.memory.recall(look, hole)
        left += [int(hole.todo.sum()), 0]
        if hole.todo.any():
            hole.colours = self._invent(look, hole)
        filled, inside = look.pixels.astype(np.float32), crop(look.hole)
        crop(filled)[inside] = hole.colours[inside] * look.maximum
        self.total += size
        self.parts += [before - after for before, after in pairwise(left)]
        return filled, origins

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


def _connect(first: Look, second: Look) -> None:
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


def _settings(values: dict[str, Any]) -> Settings:
    wanted = Settings.of(**values)
    if wanted.candidates != 1:
        raise ValueError("A clip is filled once: leave candidates at 1.")
    return wanted


def _digest(thing: Any) -> str:
    """SHA-256 of a file, of a folder's files one after another, of an array, or of strokes."""
    if isinstance(thing, np.ndarray):
        return digest(thing)
    total = hashlib.sha256()
    if isinstance(thing, str | os.PathLike):
        path = Path(thing)
        files = (
            sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
    else:
        total.update(repr(thing).encode())
    return total.hexdigest()

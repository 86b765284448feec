"""`edit` for clips: what happens to each frame, in which order.

frame + mask → motion to its neighbours → what they show of the hole → what was invented before →
diffusion for the rest → written, one frame after another.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

import inpaint
from inpaint import catalog, devices, editing, pictures
from inpaint.editing import Stopped
from inpaint.hub import timed
from inpaint.pictures import PictureError
from inpaint.recipes import digest
from inpaint.results import DOWNLOADING
from inpaint.settings import Settings
from inpaint.video.borrowing import Borrowing, Look, ahead
from inpaint.video.clips import masks_of, open_clip
from inpaint.video.filling import Work, connect
from inpaint.video.results import VideoEstimate, VideoMoment, VideoResult
from inpaint.video.saving import Marking, open_writer

REACH = 24
"""Frames that are looked at on either side: a second, about."""


def edit(
    source: str | os.PathLike[str],
    mask: Any,
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    progress: Callable[[VideoMoment], None] = lambda moment: None,
    lossless: bool = False,
    reach: int = REACH,
    mask_out: str | os.PathLike[str] | None = None,
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
    mask_out : path
        A new folder, for a picture of each frame that is white where the frame was filled, whether
        from other frames or by invention.
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

    def report(done: int, total: int, left: float) -> None:
        progress(VideoMoment(done, total, DOWNLOADING, left, None))

    if isinstance(mask, str | os.PathLike) and Path(out).resolve() == Path(mask).resolve():
        raise PictureError("The result would overwrite its masks: choose another name for it.")
    model = catalog.load(wanted.model, devices.pick(device), timed(report))
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
        "dtype": model.dtype,
        "video_sha256": _digest(source),
        "mask_sha256": _digest(mask),
        "size": list(clip.size),
    }
    path = Path(out)
    if mask_out is not None and Path(mask_out).resolve() == path.resolve():
        raise ValueError("Choose another folder for the masks than the one of the result.")
    writer = open_writer(clip, path, lossless=lossless, recipe=json.dumps(recipe))
    try:
        if mask_out is not None:
            writer = Marking(writer, Path(mask_out))
        work = Work(clip, holes, writer, wanted, {**settings, "device": device}, reach, progress)
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
    connect(first, second)
    second.ahead = first.ahead
    clock.append(time.perf_counter())
    Borrowing.of(first).take([ahead([first, *[second] * REACH])])
    clock.append(time.perf_counter())
    reading, moving, looking = np.diff(clock)
    each = float(reading / 2 + moving + 2 * looking)  # looking goes both ways
    fill = editing.estimate(clip.size, hole, device=device, **settings).seconds
    count = clip.expected
    return VideoEstimate(count, count * each, count * (each + fill))


def _settings(values: dict[str, Any]) -> Settings:
    wanted = Settings.of(**values)
    if wanted.task != Settings().task:
        raise ValueError(f"A clip can only be filled, and {wanted.task} is for pictures.")
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

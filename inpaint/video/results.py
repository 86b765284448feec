"""What an edit of a clip tells while it works, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VideoMoment:
    """What is reported after every frame and every evaluation of the model, and in a download.

    Attributes
    ----------
    number, total : int
        Frames done, and how many there are; megabytes of a download, whose stage is
        `inpaint.results.DOWNLOADING`.
    stage : str
        What is being done, for people.
    seconds_left : float
        From the speed so far.
    preview : callable or None
        () -> (H, W, 3) uint8: the frame that was worked on last, if any.
    """

    number: int
    total: int
    stage: str
    seconds_left: float
    preview: Callable[[], NDArray[np.uint8]] | None


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

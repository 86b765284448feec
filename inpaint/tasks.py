"""What can be done to a picture: one row for each task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inpaint import masks
from inpaint.settings import Settings

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table.

    Attributes
    ----------
    title, tip : str
        For people: two words and a sentence.
    prepare : callable
        (mask (H, W) bool as painted, settings) -> the mask to repaint.
    """

    title: str
    tip: str
    prepare: Callable[[Mask, Settings], Mask]


def _widened(mask: Mask, settings: Settings) -> Mask:
    """Take in the rim of what was painted over: a trace of it left outside would be continued."""
    return masks.grow(mask, settings.grow)


TASKS: dict[str, Task] = {
    "fill": Task(
        "Fill",
        "Paint over what should go, its shadow too, and it is replaced by what fits around it.",
        _widened,
    ),
}

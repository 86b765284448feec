"""Edits on a Hugging Face ZeroGPU Space, whose GPU is lent to one function in another process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import gradio as gr
from numpy.typing import NDArray

import inpaint
from inpaint.regions import Box
from inpaint.results import Moment, Result, Stopped
from inpaint.ui.job import Job

F = TypeVar("F", bound=Callable[..., Any])


def lent() -> bool:
    """Whether this is a Space whose GPU is lent by the function."""
    wanted = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return wanted and importlib.util.find_spec("spaces") is not None


def gpu(function: F) -> F:
    """Let a function have the lent GPU; elsewhere it is the function itself."""
    if not lent():
        return function
    import spaces

    decorated: F = spaces.GPU(function)
    return decorated


def edit(*arguments: Any, progress: Callable[[Moment], None], **settings: Any) -> Result:
    """Edit as `inpaint.edit` does, on the lent GPU where there is one, else here."""
    if not lent():
        return inpaint.edit(*arguments, progress=progress, **settings)
    try:
        for event in _edited_there(arguments, {**settings, "device": "auto"}):
            if isinstance(event, Result):
                return event
            progress(event)
    except Stopped:
        raise ValueError("It was stopped.") from None
    except gr.Error:  # there is no GPU to lend; or the work went wrong, then it does so here too
        pass
    result = inpaint.edit(*arguments, progress=progress, **{**settings, "device": "cpu"})
    return replace(result, notes=(*result.notes, "No GPU was free: this was made on the CPU."))


def _edited(arguments: tuple[Any, ...], settings: dict[str, Any]) -> Iterator[Moment | Result]:
    """Do the work over there: what it yields, and what it is given, can be pickled."""
    job: Job[Moment, Result] = Job(
        lambda progress: inpaint.edit(*arguments, progress=progress, **settings)
    )
    for moment in job.moments():
        if moment:
            drawn = moment.preview and _Drawn(*moment.preview())
            yield replace(moment, preview=drawn)
    yield job.result()


_edited_there = gpu(_edited)
"""Decorated on import: a Space without such a function is not lent a GPU."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A preview that has been drawn."""

    box: Box
    array: NDArray[Any]

    def __call__(self) -> tuple[Box, NDArray[Any]]:
        return self.box, self.array

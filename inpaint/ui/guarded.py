"""What stands between strangers and the handlers: files are checked, faults become a sentence."""

from __future__ import annotations

import asyncio
import errno
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.context import LocalContext
from gradio.state_holder import SessionState
from gradio_client.utils import is_file_obj, traverse

from inpaint.ui.turns import LineFull
from inpaint.ui.uploads import checked
from inpaint.ui.words import say

LONGEST = 500
"""Letters of a sentence that is shown; some of Gradio's own repeat what they were sent."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)
orders: WeakKeyDictionary[SessionState, asyncio.Lock] = WeakKeyDictionary()
"""One for each tab, held by the event that may change what it works on."""


class Guarded(gr.Blocks):
    """Blocks whose events take uploaded files alone, come in order, and fail in one sentence.

    Gradio refuses paths from elsewhere too, but downloads public addresses, and lets dictionaries
    pass that do not call themselves files. What is raised in an event it prints with its traceback.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        """Check every file of a request before anything else looks at it."""
        if not explicit_call:
            inputs = traverse(inputs, checked, is_file_obj)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    async def process_api(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Do the work of an event; whatever goes wrong in it is one sentence."""
        try:
            async with in_order(more.get("block_fn"), more.get("state")):
                return await super().process_api(*arguments, **more)
        except Exception as error:
            LocalContext.request.set(more.get("request"))  # Gradio tells it to the handlers alone
            raise gr.Error(sentence(error), print_exception=False) from None


@asynccontextmanager
async def in_order(event: Any, state: SessionState | None) -> AsyncIterator[None]:
    """Let what changes a tab's session happen one after another, each step of a run by itself.

    What a late answer showed would not be so any more. And what its events use is kept for an hour
    from the last: to Gradio a tab whose line once broke is closed from then on.
    """
    if state is None:
        yield
        return
    for key in list(state.state_data):
        state[key] = state[key]
    if not any(isinstance(part, gr.State) for part in getattr(event, "outputs", ())):
        yield
        return
    async with orders.setdefault(state, asyncio.Lock()):
        yield


def sentence(error: Exception) -> str:
    """Say in one sentence what went wrong; the operator is told of what was not foreseen."""
    if isinstance(error, gr.Error):
        said = str(error.message)
    elif isinstance(error, LineFull):
        said = say("full")
    elif disk_is_full(error):
        said = say("disk_full")
    elif isinstance(error, MemoryError):
        said = say("memory_full")
    else:
        log.warning("an event failed: %s", where(error))
        said = say("failed")
    line = " ".join(said.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def disk_is_full(error: Exception) -> bool:
    """Whether an error is about room on a disk."""
    return isinstance(error, OSError) and error.errno in FULL


def where(error: Exception) -> str:
    """Say in one line what was raised, and on which line of which file."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {str(error)[:200]!r}{place}"

"""Ends the work of whoever does not listen: what nobody will hear need not be computed.

Gradio notices a client that hangs up. It works on, and keeps every message, for one that began an
event and never asks for its answers, or stopped reading them.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import gradio as gr

PATIENCE = 15.0
"""Seconds for which the oldest message to a client may lie unread while it is worked for."""
LOOK = 0.5
"""Seconds between two looks."""


class Ear:
    """Knows for how long a client has left its messages unread.

    Parameters
    ----------
    queue
        Gradio's queue of events.
    """

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._unread: dict[str, tuple[object, float]] = {}

    def look(self, now: float) -> None:
        """End what is done for clients who were silent for too long; `now` in seconds."""
        events = [event for job in list(self._queue.active_jobs) for event in job or ()]
        unread = {}
        for client in {event.session_hash for event in events if event.alive}:
            oldest = self._oldest(client)
            known, since = self._unread.get(client, (None, now))
            if oldest is None:
                continue
            unread[client] = oldest, since if oldest is known else now
            if now - unread[client][1] >= PATIENCE:
                self._end(client, events)
        self._unread = unread

    def _oldest(self, client: str) -> object:
        messages = self._queue.pending_messages_per_session.get(client)
        try:
            return messages._queue[0] if messages else None
        except IndexError:
            return None

    def _end(self, client: str, events: list[Any]) -> None:
        for event in events:
            if event.session_hash == client:
                event.alive = False  # Gradio closes the handler at its next yield
        # Whoever asks now is told that there is nothing, instead of waiting for ever.
        self._queue.pending_messages_per_session.pop(client, None)


def keep_heard(demo: gr.Blocks) -> None:
    """End what nobody listens to as long as the program runs."""

    def work() -> None:
        ear = Ear(demo._queue)
        while not demo._queue.stopped:
            ear.look(time.monotonic())
            time.sleep(LOOK)

    threading.Thread(target=work, daemon=True).start()

"""One job at a time on this machine: whoever comes later waits in line, and is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class LineFull(Exception):
    """More people are waiting than may."""


class Line:
    """First come, first served.

    Parameters
    ----------
    longest : int
        How many may wait behind the one whose turn it is.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._tickets: list[object] = []
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[Callable[[], int]]:
        """Take a place in the line, and leave it in the end.

        Yields a function that tells how many are ahead; at 0 it is one's turn.

        Raises
        ------
        LineFull
            There is no place left.
        """
        ticket = object()
        with self._lock:
            if len(self._tickets) > self._longest:
                raise LineFull
            self._tickets.append(ticket)
        try:
            yield lambda: self._ahead(ticket)
        finally:
            with self._lock:
                self._tickets.remove(ticket)

    def _ahead(self, ticket: object) -> int:
        with self._lock:
            return self._tickets.index(ticket)

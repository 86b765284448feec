"""Work in a thread of its own, so that the page stays alive and Stop acts within one step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from inpaint.results import Stopped

M = TypeVar("M")
R = TypeVar("R")

POLL = 0.25
"""Seconds between signs of life; a closed tab is noticed at the next one."""

PAUSE = 0.1
"""Least seconds from one moment that is shown to the next: previews take time from the work."""


class Job(Generic[M, R]):
    """Run `work(progress)` in a thread.

    Parameters
    ----------
    work : callable
        Takes a callback for its moments, which raises `Stopped` once it is told to stop; returns
        the result.
    """

    def __init__(self, work: Callable[[Callable[[M], None]], R]) -> None:
        self._work = work
        self._stop = threading.Event()
        # Only the latest moment matters: a slow browser must not make a queue grow.
        self._latest: queue.Queue[M | None] = queue.Queue(maxsize=1)
        self._result: R | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def stop(self) -> None:
        """End the work at its next step."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def wait(self) -> None:
        """Wait a moment, or less if it is told to stop."""
        self._stop.wait(POLL)

    def moments(self) -> Iterator[M | None]:
        """Start, and yield the latest moment as it comes, None while there is no new one.

        Leaving the loop early, as a closed tab does, stops the work.
        """
        self._thread.start()
        try:
            while self._thread.is_alive():
                try:
                    moment = self._latest.get(timeout=POLL)
                except queue.Empty:
                    yield None
                else:
                    if moment:
                        yield moment
                        self._thread.join(PAUSE)  # returns at once when the work is done
        finally:
            self.stop()
            self._thread.join()

    def result(self) -> R:
        """Return what the work returned, or raise what it raised."""
        if self._error:
            raise self._error
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work(self._progress)
        except BaseException as error:  # carried over to the thread that asks for the result
            self._error = error
        finally:
            self._put(None)

    def _progress(self, moment: M) -> None:
        if self._stop.is_set():
            raise Stopped
        self._put(moment)

    def _put(self, moment: M | None) -> None:
        while True:
            try:
                self._latest.put_nowait(moment)
                return
            except queue.Full:
                try:
                    self._latest.get_nowait()
                except queue.Empty:
                    pass

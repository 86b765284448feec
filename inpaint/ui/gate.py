"""What a request must pass before Gradio sees it: doors that stay shut, sizes and rates."""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict, deque
from typing import Any

from inpaint.ui.guarded import disk_is_full, where
from inpaint.ui.words import say

CLOSED = ("/gradio_api/file=http", "/gradio_api/proxy=", "/gradio_api/process_recording")
"""Where Gradio would fetch addresses for strangers, or convert their videos."""
CLIENTS = 10_000
"""Clients remembered at once; who was silent longest is forgotten first."""
MINUTE = 60.0


log = logging.getLogger(__name__)


class TooLarge(Exception):
    """A request has a longer body than it may have."""


class Gate:
    """ASGI middleware.

    Parameters
    ----------
    app
        What comes behind.
    rate : int
        POST requests that a client may send in a minute; 0 for any number. Looking costs nothing.
    largest : int
        Bytes of a request's body.
    """

    def __init__(self, app: Any, rate: int, largest: int) -> None:
        self._app, self._rate, self._largest = app, rate, largest
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].lower().startswith(CLOSED):
            await _refuse(send, 403, "This page opens no addresses.")
            return
        client = (scope.get("client") or ("",))[0]
        if scope["method"] == "POST" and not self._may(client):
            sentence = f"At most {self._rate} requests a minute are served; wait a little."
            await _refuse(send, 429, sentence, ((b"retry-after", b"10"),))
            return
        received, refused = 0, False

        async def counted() -> Any:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest and not refused:
                refused = True
                sentence = f"At most {self._largest >> 20} MB can be sent at once."
                await _refuse(send, 413, sentence)
            if refused:
                raise TooLarge
            return message

        begun = done = False

        async def heard(message: Any) -> None:
            nonlocal begun, done
            begun = True
            done = message["type"] == "http.response.body" and not message.get("more_body")
            if not refused:  # else it has its answer
                await send(message)

        try:
            await self._app(scope, counted, heard)
        except TooLarge:
            pass
        except Exception as error:  # a request that Gradio is not prepared for
            log.warning("a request failed: %s", where(error))
            if not begun:
                await _refuse(send, *_answer(error))
            elif not done:
                await send({"type": "http.response.body", "body": b""})

    def _may(self, client: str) -> bool:
        """Count a request, unless there were too many in the last minute."""
        if not self._rate:
            return True
        now = time.monotonic()
        times = self._times.setdefault(client, deque())
        self._times.move_to_end(client)
        if len(self._times) > CLIENTS:
            self._times.popitem(last=False)
        while times and times[0] < now - MINUTE:
            times.popleft()
        if len(times) >= self._rate:
            return False
        times.append(now)
        return True


def _answer(error: Exception) -> tuple[int, str]:
    if disk_is_full(error):
        return 507, say("disk_full")
    if isinstance(error, MemoryError):
        return 507, say("memory_full")
    return 400, "This request cannot be understood; /gradio_api/info says what can be asked for."


async def _refuse(
    send: Any, status: int, sentence: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    body = json.dumps({"detail": sentence}).encode()
    kind = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": body})

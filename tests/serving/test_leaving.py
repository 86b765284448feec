"""Whoever leaves, or never listens, is not worked for: the next one's turn comes within a step."""

import time

import httpx
import pytest

from inpaint.ui import listening
from inpaint.ui.listening import Ear

ENDLESS = {"steps": 250, "resample": 10, "sampler": "repaint", "candidates": 4}
SOON = 20.0
"""Seconds in which the next must be done; the endless job takes minutes."""


@pytest.fixture(scope="module")
def raw(plain, serve):
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(listening, "PATIENCE", 1.5)
        yield plain(serve(rate=0))


@pytest.fixture(scope="module")
def given(raw, files):
    return {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}


def begin(raw, given):
    url = f"{raw.address}/gradio_api/call/v2/fill"
    answer = httpx.post(url, json={**given, **ENDLESS}).raise_for_status()
    return f"{url}/{answer.json()['event_id']}"


def test_a_job_that_nobody_listens_to_ends(raw, given):
    events = begin(raw, given)
    began = time.monotonic()
    kind, (_, report) = raw.call("fill", **given, steps=1)[-1]
    assert kind == "complete" and report["finished"]
    assert 1 < time.monotonic() - began < SOON
    late = httpx.get(events, timeout=20).text
    assert late.startswith("event: error") and "Traceback" not in late


def test_a_job_whose_listener_hangs_up_ends(raw, given):
    with httpx.stream("GET", begin(raw, given), timeout=20) as stream:
        next(line for line in stream.iter_lines() if '"step"' in line)
    began = time.monotonic()
    assert raw.call("fill", **given, steps=1)[-1][0] == "complete"
    assert time.monotonic() - began < SOON


def test_whoever_listens_is_worked_for_longer_than_the_patience(raw, given):
    with httpx.stream("GET", begin(raw, given), timeout=20) as stream:
        until = time.monotonic() + 3 * listening.PATIENCE
        for line in stream.iter_lines():
            assert "event: error" not in line
            if time.monotonic() > until and '"step"' in line:
                break
        else:
            pytest.fail("it ended")


class Queue:
    """Gradio's queue as far as it is looked at: one event, and its messages."""

    def __init__(self):
        self.event = Event()
        self.active_jobs = [None, [self.event]]
        self.pending_messages_per_session = {"a": Messages()}


class Event:
    session_hash, alive = "a", True


class Messages:
    def __init__(self):
        self._queue = []


def test_only_unread_messages_count(monkeypatch):
    monkeypatch.setattr(listening, "PATIENCE", 15.0)
    queue = Queue()
    ear, unread = Ear(queue), queue.pending_messages_per_session["a"]._queue
    for now in range(100):  # a slow reader reads
        unread.append(object())
        if now % 10 == 9:
            del unread[0]
        ear.look(float(now))
        assert queue.event.alive
    unread.clear()
    for now in range(100, 200):  # nothing to read
        ear.look(float(now))
    assert queue.event.alive
    unread.append(object())
    ear.look(200.0)
    ear.look(214.0)
    assert queue.event.alive
    ear.look(215.5)
    assert not queue.event.alive and not queue.pending_messages_per_session

"""Events of one tab that come close together: each finds what the one before it left."""

import asyncio
import datetime
from inspect import signature
from threading import Event

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import SessionState

import inpaint
from inpaint import edit
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.ui import review
from inpaint.ui.options import Options
from inpaint.ui.page import create_demo
from inpaint.ui.session import Session
from inpaint.visit import Drawing, Visit

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
STROKES = Strokes((44, 40), (Stroke("brush", 3, ((10, 10),)),))
SHEET = {"width": 44, "height": 40, "strokes": STROKES.plain()}
"""The same as the browser sends it."""
HOUR = datetime.timedelta(hours=1)


class Tab:
    """One open tab: what it sends is worked for as the server would."""

    def __init__(self, demo, session=None):
        self.demo, self.state = demo, SessionState(demo)
        self.events = {event.name: event for event in demo.fns.values()}
        (self.key,) = (key for key, block in demo.blocks.items() if isinstance(block, gr.State))
        self.state[self.key] = session
        self.answered = []

    @property
    def session(self):
        return self.state[self.key]

    async def send(self, name, data=(), **said):
        """Fire an event with what the browser sends beside the session; return all it is told."""
        event, given = self.events[name], iter(data)
        inputs = [None if isinstance(part, gr.State) else next(given) for part in event.inputs]
        told = gr.EventData(None, said)
        iterator, going, shown = None, True, []
        while going:
            answer = await self.demo.process_api(
                block_fn=event,
                inputs=list(inputs),
                state=self.state,
                event_data=told,
                iterator=iterator,
            )
            iterator, going = answer.get("iterator"), answer["is_generating"]
            shown += answer["data"]
        self.answered.append(name)
        return shown


@pytest.fixture(scope="module")
def demo():
    return create_demo(Options())


@pytest.fixture
def tab(demo):
    return Tab(demo, Session(Visit.begin("name", b"", Picture(PIXELS))))


def ran(session):
    made = edit(session.visit.picture, STROKES, steps=1, candidates=2, device="cpu")
    run = session.visit.add(made, Drawing(STROKES), session.visit.picture, "Done.")
    session.cards[run.number] = [review.card(one.picture()) for one in run.candidates]
    return run


def held(monkeypatch, what, name):
    """Let a function wait; return what tells that it does, and what lets it go on."""
    real, begun, go = getattr(what, name), Event(), Event()

    def waiting(*arguments, **more):
        begun.set()
        assert go.wait(20)
        return real(*arguments, **more)

    monkeypatch.setattr(what, name, waiting)
    return begun, go


async def meanwhile(first, begun, go, second):
    """Send the second while the first is held."""
    task = asyncio.create_task(first)
    while not begun.is_set():
        await asyncio.sleep(0.01)
    other = asyncio.create_task(second)
    await asyncio.sleep(0.1)
    go.set()
    await other
    return await task


def test_what_changes_a_session_waits_for_what_came_before(tab, monkeypatch):
    run = ran(tab.session)
    hold = held(monkeypatch, review, "comparison")
    pick = tab.send("on_pick", [SHEET], index=1, value=None)
    asyncio.run(meanwhile(pick, *hold, tab.send("on_merge", [SHEET])))
    assert tab.answered == ["on_pick", "on_merge"]
    assert tab.session.draft is run.candidates[1]


def test_a_merge_is_kept_that_is_still_being_made(tab, monkeypatch):
    run = ran(tab.session)
    asyncio.run(tab.send("on_merge", [SHEET]))
    tab.answered.clear()
    hold = held(monkeypatch, review.reviewing, "merged")
    pick = tab.send("on_pick", [SHEET], index=1, value=None)
    asyncio.run(meanwhile(pick, *hold, tab.send("on_merge", [SHEET])))
    assert tab.answered == ["on_pick", "on_merge"]
    assert len(run.candidates) == 3 and tab.session.draft is None


def test_another_tab_and_what_only_asks_do_not_wait(demo, tab, monkeypatch):
    other = Tab(demo, Session(Visit.begin("name", b"", Picture(PIXELS))))
    other.answered = tab.answered
    ran(tab.session)
    begun, go = held(monkeypatch, review, "comparison")

    async def both():
        await asyncio.gather(
            other.send("on_guide_remove", ["fill"]), tab.send("mask_file", [SHEET])
        )
        assert sorted(tab.answered) == ["mask_file", "on_guide_remove"]
        go.set()

    pick = tab.send("on_pick", [SHEET], index=1, value=None)
    asyncio.run(meanwhile(pick, begun, Event(), both()))


def test_what_is_open_is_kept_for_an_hour_from_the_last_event(tab):
    tab.state.is_closed = True

    def expired():
        ((_, _, gone),) = tab.state.state_components
        return gone

    lives, set_at = tab.state._state_ttl[tab.key]
    tab.state._state_ttl[tab.key] = lives, set_at - HOUR
    assert expired()
    asyncio.run(tab.send("on_guide_remove", ["fill"]))
    assert not expired() and tab.session.visit.name == "name"


def test_what_damage_is_found_lies_on_the_picture_that_was_searched(tab, monkeypatch):
    damage = PIXELS[..., 0] > 200
    monkeypatch.setattr(inpaint, "proposal", lambda *_, **__: damage)
    hold = held(monkeypatch, inpaint, "proposal")
    ran(tab.session)
    find, proceed = tab.send("on_find", finding(tab)), tab.send("on_proceed", [SHEET])
    found = asyncio.run(meanwhile(find, *hold, proceed))
    values = [part["value"] for part in found if isinstance(part, dict) and "value" in part]
    (sheet,) = [value for value in values if isinstance(value, dict) and "base" in value]
    assert sheet["base"] and sheet["width"] == 44
    assert not any("review" in part for part in found if isinstance(part, dict)), (
        "it hides the mask"
    )
    assert tab.session.job is None and tab.session.visit.base is None
    assert tab.session.visit.picture.pixels is not PIXELS


def finding(tab):
    """What the browser sends to look for damage."""
    values = tab.events["on_find"].inputs[3:]
    return [SHEET, "repair", *(part.value for part in values)]


def test_a_search_for_damage_can_be_stopped(tab, monkeypatch):
    def proposal(*_, **__):
        tab.session.job.stop()
        return PIXELS[..., 0] > 200

    monkeypatch.setattr(inpaint, "proposal", proposal)
    asyncio.run(tab.send("on_find", finding(tab)))
    assert tab.session.visit.base is None and tab.session.job is None


@pytest.mark.parametrize(
    "name", ["on_upload", "on_open_project", "on_clip", "on_example", "on_guide"]
)
def test_a_run_keeps_its_picture_and_its_second_one(tab, name):
    tab.session.job = "a run"
    event = tab.events[name]
    given = [tab.session if isinstance(part, gr.State) else "fill" for part in event.inputs]
    told = [gr.EventData(None, None)] * (len(signature(event.fn).parameters) - len(given))
    with pytest.raises(gr.Error, match="A run is going on"):
        event.fn(*given, *told)


@pytest.mark.parametrize(
    "name",
    [
        "on_pick",
        "on_merge",
        "on_proceed",
        "on_history",
        "on_back",
        "on_delete",
        "on_more",
    ],
)
def test_a_session_that_is_gone_is_said_in_a_sentence(demo, name):
    gone = Tab(demo)
    count = sum(not isinstance(part, gr.State) for part in gone.events[name].inputs)
    with pytest.raises(gr.Error, match="Open a picture first"):
        asyncio.run(gone.send(name, [None] * count, index=0, value=None))

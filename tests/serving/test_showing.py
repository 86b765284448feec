"""What the page shows of a session, as the updates that its events answer with."""

import gradio as gr
import numpy as np
import pytest

from inpaint import edit, project
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.tasks import TASKS
from inpaint.tools import fuzz
from inpaint.ui import clips, controls, running, showing, studio
from inpaint.ui.canvas import MaskCanvas
from inpaint.ui.layout import Parts, make_page
from inpaint.ui.options import Options
from inpaint.ui.page import create_demo
from inpaint.ui.session import Session
from inpaint.ui.turns import Line
from inpaint.visit import Drawing, Visit

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)


@pytest.fixture(scope="module")
def parts() -> Parts:
    with gr.Blocks():
        return make_page()


@pytest.fixture
def session() -> Session:
    return Session(Visit.begin("name", b"", Picture(PIXELS)))


def locks(updates) -> set:
    """What is not to be pressed."""
    changes = {part: update for part, update in updates.items() if isinstance(update, dict)}
    return {part for part, change in changes.items() if change.get("interactive") is False}


def test_another_picture_ends_the_merging(parts, session):
    merging = showing.merging(parts, True)
    page = showing.opened(parts, session, None, "fill")
    opening = locks(merging) - {parts.proceed}  # there is no result to go on from
    assert opening and all(page[part]["interactive"] for part in opening)
    assert (merging[parts.history]["visible"], page[parts.history]["visible"]) == (False, True)
    assert (merging[parts.canvas]["merging"], page[parts.canvas]["merging"]) == (True, False)
    assert page[parts.merge] == showing.merging(parts, False)[parts.merge] != merging[parts.merge]


def test_what_begins_something_rests_while_candidates_are_merged_and_during_a_run(parts):
    beginning = {parts.fill, parts.clip_fill, parts.more, parts.grow_again, parts.delete}
    changing = {parts.find, parts.see_through}
    for updates in (showing.merging(parts, True), running.busy(parts, True)):
        assert beginning | changing <= locks(updates)


def test_nothing_is_painted_while_damage_is_looked_for(session):
    (event,) = (event for event in create_demo(Options()).fns.values() if event.name == "on_find")
    task = next(name for name, row in TASKS.items() if row.proposes)
    values = controls.defaults(task)
    strokes = Strokes((44, 40), (Stroke("brush", 3, ((10, 10),)),))
    steps = event.fn(session, strokes, task, *(values[name] for name in controls.NAMES))
    canvas = [
        change for step in steps for part, change in step.items() if isinstance(part, MaskCanvas)
    ]
    assert [change["busy"] for change in canvas] == [True, False]
    assert canvas[-1]["value"].strokes == strokes


def test_a_wider_mask_is_filled_with_the_settings_of_what_is_on_show(session):
    strokes = Strokes((44, 40), (Stroke("brush", 3, ((10, 10),)),))
    wanted = {"task": "repair", "model": "self", "steps": 1, "seed": 7, "strength": 0.3}
    result = edit(session.visit.picture, strokes, device="cpu", **wanted)
    session.visit.add(result, Drawing(strokes), session.visit.picture, "Done.")
    work = studio.again(strokes, session, Line(2), "cpu")
    for _ in work:
        pass
    made = session.visit.runs[-1]
    assert len(session.visit.runs) == 2 and wanted.items() <= made.settings.items()


@pytest.mark.parametrize(
    "unlike, found",
    [
        ({}, {}),
        ({"model": "gone", "steps": 10**9}, {"model": "blend"}),
        ({"seed": -1, "locked": 7}, {"seed": 0, "locked": False}),
    ],
    ids=str,
)
def test_a_project_brings_the_settings_that_it_was_saved_with(session, unlike, found, tmp_path):
    demo = create_demo(Options())
    events = {event.name: event for event in demo.fns.values()}
    wanted = controls.defaults("replace", model="self", steps=7, at="3,4", candidates=3)
    values = [wanted[name] for name in controls.NAMES]
    path = events["on_project"].fn(session, None, 5, True, "replace", *values)
    assert session.visit.controls["steps"] == 7
    session.visit.controls |= unlike
    path = tmp_path / "work.zip"
    path.write_bytes(project.save(session.visit, None))
    answer = events["on_open_project"].fn(session, str(path), "fill")
    page = {part.elem_id: change for part, change in answer.items()}
    assert page["task"] == "replace"
    assert (page["seed"], page["lock"]) == (found.get("seed", 5), found.get("locked", True))
    for name in {"model", "steps", "at", "candidates"} - unlike.keys():
        assert page[name]["value"] == wanted[name]
    assert page["model"]["value"] == found.get("model", "self")


def test_masks_of_a_clip_can_be_left_for_what_is_painted(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = tmp_path / "clip.mp4"
    path.write_bytes(fuzz.sample_clips()[0][1])
    session = clips.from_clip(path, 10**6)
    events = {event.name: event.fn for event in create_demo(Options()).fns.values()}
    shown = []
    for event in (events["on_masks"], events["on_masks_remove"]):
        arguments = (session, [str(path)]) if not shown else (session,)
        page = {part.elem_id: change for part, change in event(*arguments).items()}
        shown.append((session.clip_masks, page["clip-masks-remove"]["visible"], page["clip-told"]))
    assert shown[0][:2] == (path, True) and shown[1] == (None, False, session.clip_told)
    with pytest.raises(gr.Error, match="Open a picture"):
        events["on_masks_remove"](Session(session.visit))


def test_a_second_picture_is_shown_whatever_task_was_chosen_meanwhile(parts, session):
    session.visit.guide = session.visit.picture
    for task in ("fill", "replace"):
        page = showing.task_chosen(parts, session, task, controls.defaults(task))
        assert "<img" in page[parts.guide_view] and page[parts.guide_remove]["visible"]
        assert set(page) == set(showing.task_parts(parts))
    other = Session(Visit.begin("name", b"", Picture(PIXELS)))
    page = showing.opened(parts, other, None, "replace")
    assert page[parts.guide_view] == showing.guide_tip("replace") != ""
    assert not page[parts.guide_remove]["visible"]

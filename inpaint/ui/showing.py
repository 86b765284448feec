"""What the page shows of a session: the answers that several events have in common."""

from __future__ import annotations

from typing import Any

import gradio as gr

from inpaint.tasks import TASKS
from inpaint.ui import controls, review, studio
from inpaint.ui.canvas import Sheet
from inpaint.ui.layout import Parts
from inpaint.ui.opening import is_see_through
from inpaint.ui.session import Session, sheet, thumbnail
from inpaint.ui.words import mark, say
from inpaint.visit import Drawing

Updates = dict[Any, Any]
"""From components to what becomes of them."""
SAVE = "file => file && window.inpaintSave(file)"
"""JavaScript that hands a file to the visitor."""


def quiet(parts: Parts) -> dict[str, Any]:
    """Return how an event runs whose progress is told in words, if at all.

    The browser tells every component that has ever shown progress of each step of every event: so
    one shows it for all.
    """
    hidden = {"show_progress": "hidden", "show_progress_on": parts.status}
    return {**hidden, "api_visibility": "private"}


def on_canvas(parts: Parts) -> dict[str, Any]:
    """Return how an event runs that brings a picture: the canvas shows that it is coming."""
    return {"show_progress_on": parts.canvas, "api_visibility": "private"}


def together(*updates: Updates) -> Updates:
    """Join updates, also of what several of them have a word on."""
    found: Updates = {}
    for update in updates:
        for part, change in update.items():
            mixed = isinstance(change, dict) and isinstance(found.get(part), dict)
            found[part] = {**found[part], **change} if mixed else change
    return found


def nothing(parts: Parts) -> Updates:
    """Change nothing; Gradio does not take an empty answer."""
    return {parts.status: gr.skip()}


def locked(parts: Parts, now: bool) -> Updates:
    """While a run goes on or candidates are merged nothing else begins, and no mask is added to."""
    buttons = (
        parts.fill,
        parts.clip_fill,
        parts.more,
        parts.grow_again,
        parts.delete,
        parts.find,
        parts.see_through,
    )
    return {button: gr.update(interactive=not now) for button in buttons}


def merging(parts: Parts, now: bool) -> Updates:
    """Show whether candidates are being merged, which another picture ends too."""
    return {
        **locked(parts, now),
        parts.canvas: gr.update(merging=now),
        parts.history: gr.update(visible=not now),
        parts.proceed: gr.update(interactive=not now),
        parts.merge: gr.update(
            value=mark("merge_keep" if now else "merge"),
            variant="primary" if now else "secondary",
        ),
    }


def opened(parts: Parts, session: Session, drawing: Drawing | None, task: str) -> Updates:
    """Show a picture that was opened, with an empty desk, or as far as its project was."""
    return together(
        {
            parts.session: session,
            parts.canvas: gr.update(value=sheet(session, drawing)),
            parts.shelf: gr.update(visible=False),
            parts.see_through: gr.update(visible=is_see_through(session.visit.picture)),
            parts.cost: "",
            parts.status: "",
            parts.clip_box: gr.update(visible=session.clip is not None),
        },
        guide(parts, session, task),
        merging(parts, False),
        shown(parts, session),
    )


def guide(parts: Parts, session: Session | None, task: str) -> Updates:
    """Show the second picture, or say what it would be to a task that takes one."""
    second = session.visit.guide if session else None
    seen = f'<img src="{thumbnail(second)}" alt="">' if second else guide_tip(task)
    return {parts.guide_view: seen, parts.guide_remove: gr.update(visible=second is not None)}


def guide_tip(task: str) -> str:
    """Say what a second picture is to a task that takes one."""
    row = TASKS.get(task)  # an event's word
    return mark(f"task_{task}_guide") if row and row.guide_tip else ""


def task_parts(parts: Parts) -> list[Any]:
    """Return what `task_chosen` writes: each output more is work for the browser."""
    named = (parts.tip, parts.fill, parts.find, parts.guide_box, parts.canvas)
    return [*named, parts.guide_view, parts.guide_remove, *parts.values]


def task_chosen(
    parts: Parts,
    session: Session | None,
    name: str,
    values: dict[str, Any],
    sheet: Sheet | None = None,
) -> Updates:
    """Draw the page for a task; without another sheet the picture and its mask stay.

    What it writes is `task_parts`: the choice of the task itself is the caller's.
    """
    row = TASKS[name]
    canvas = {"guide": row.guide != "unused", "grow": values["grow"], "feather": values["feather"]}
    if sheet is not None:
        canvas["value"] = sheet
    shown = zip(parts.values, controls.updates(name, values), strict=True)
    return {
        parts.tip: mark(f"task_{name}_tip"),
        parts.fill: gr.update(value=mark(f"task_{name}")),
        parts.find: gr.update(visible=TASKS[name].proposes),
        parts.guide_box: gr.update(visible=row.guide != "unused"),
        **guide(parts, session, name),
        parts.canvas: gr.update(**canvas),
        **dict(shown),
    }


def shown(parts: Parts, session: Session) -> Updates:
    """Show the run that is on show, its candidates, and the history."""
    run = session.visit.shown
    past = {
        parts.past: gr.update(visible=bool(session.visit.runs)),
        parts.history: gr.update(
            value=review.history_cards(session) if session.visit.runs else [],
            selected_index=session.visit.runs.index(run) + 1 if run else None,
        ),
        parts.delete: gr.update(visible=run is not None),
    }
    earlier = session.visit.origin is not None
    actions = {
        part: gr.update(interactive=run is not None) for part in (parts.download, parts.proceed)
    }
    if run is None:
        canvas = {parts.canvas: gr.update(review=None, earlier=earlier)}
        return past | actions | canvas | {parts.results: gr.update(visible=False)}
    own, loss = review.own_format(run)
    return past | {
        parts.canvas: gr.update(review=review.comparison(session, run), earlier=earlier),
        parts.results: gr.update(visible=True),
        parts.outcome: gr.update(visible=True),
        parts.receipt: f"{run.receipt} {loss}".strip(),
        parts.gallery: gr.update(
            value=review.candidate_cards(session, run),
            label=mark("candidates"),
            selected_index=run.chosen,
        ),
        parts.hint: gr.update(visible=review.is_tight(run)),
        parts.save_diversity: gr.update(visible=len(review.own_candidates(run)) > 1),
        parts.merge: gr.update(visible=len(run.candidates) > 1, value=mark("merge")),
        parts.more: gr.update(
            visible=TASKS[run.settings["task"]].mask != "unused", interactive=True
        ),
        parts.download: gr.update(value=say("download", format=own), interactive=True),
        parts.proceed: gr.update(interactive=True),
        parts.exact: gr.update(visible=bool(loss)),
    }


def estimating(parts: Parts, device: str) -> dict[str, Any]:
    """Return the event that brings the cost up to date."""

    def on_estimate(strokes: Any, session: Any, task: str, *values: Any) -> str:
        return studio.estimate(strokes, session, device, task, *values)

    inputs = [parts.canvas, parts.session, parts.task, *parts.values]
    return {"fn": on_estimate, "inputs": inputs, "outputs": parts.cost, **quiet(parts)}

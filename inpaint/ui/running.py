"""Runs: what starts one, and what the page shows while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import gradio as gr

from inpaint.masks import Strokes
from inpaint.results import Moment
from inpaint.ui import controls, opening, studio
from inpaint.ui.layout import Parts
from inpaint.ui.session import Session, sheet
from inpaint.ui.showing import Updates, locked, quiet, shown, together
from inpaint.ui.turns import Line
from inpaint.ui.words import mark, say
from inpaint.visit import Run

R = TypeVar("R")


def wire_running(parts: Parts, device: str, line: Line) -> None:
    """Let runs be started, varied and stopped."""
    picking = gr.on(
        parts.fill.click, controls.new_seed, [parts.locked, parts.seed], parts.seed, **quiet(parts)
    )
    then_run(picking, parts, device, line)

    def on_wider(strokes: Strokes | None, session: Session | None) -> Iterator[Updates]:
        """Grow the mask by a step that can be undone, and do what is on show again."""
        session = opening.at_rest(session)
        drawing = opening.widened(session, strokes)
        yield {parts.canvas: gr.update(value=sheet(session, drawing))}
        work = studio.again(drawing.strokes, session, line, device)
        yield from running(parts, session, work)

    parts.grow_again.click(
        on_wider,
        [parts.canvas, parts.session],
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet(parts),
    )

    def on_more(session: Session | None) -> Iterator[Updates]:
        session = opening.at_rest(session)
        seed = int(controls.new_seed(False, None) or 0)
        yield from running(parts, session, studio.more_like(session, line, device, seed))

    parts.more.click(
        on_more,
        parts.session,
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet(parts),
    )
    parts.stop.click(studio.stop, parts.session, None, queue=False, api_visibility="private")


def then_run(event: Any, parts: Parts, device: str, line: Line) -> None:
    """Run with what the page shows, after an event."""

    def on_run(
        strokes: Strokes | None, session: Session | None, seed: Any, task: str, *values: Any
    ) -> Iterator[Updates]:
        work = studio.run(strokes, session, line, device, seed, task, *values)
        yield from running(parts, session, work)

    event.success(
        on_run,
        [parts.canvas, parts.session, parts.seed, parts.task, *parts.values],
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet(parts),
    )


def running(parts: Parts, session: Session | None, work: studio.Running) -> Iterator[Updates]:
    """Show a run as it goes, and its candidates in the end."""
    previews: list[str] = []

    def ended(run: Run | str) -> Updates:
        assert session is not None
        said = run if isinstance(run, str) else run.said
        return together(freed(parts, said), shown(parts, session))

    def moved(moment: Moment) -> Updates:
        return _moment(parts, moment, previews)

    yield from followed(work, parts.status, _begun(parts), moved, ended)


def followed(
    work: Generator[Any, None, R | None],
    status: gr.HTML,
    begun: Updates,
    moved: Callable[[Any], Updates],
    ended: Callable[[R | str], Updates],
) -> Iterator[Updates]:
    """Show a job as it goes, and free the page again whatever happens.

    Parameters
    ----------
    work
        Yields how many are ahead, and moments; returns the result, None if it was stopped before
        it had any.
    status
        Where it says how many are ahead.
    begun, moved, ended
        What to show at first, for each moment, and in the end: for the result, or for a sentence
        in its place.
    """
    result = None

    def events() -> Iterator[Any]:
        nonlocal result
        result = yield from work

    started = False
    try:
        for event in events():
            if not started:
                started = True
                yield begun
            if isinstance(event, int):
                yield {status: say("ahead", count=event) if event else bar(say("starting"), 0)}
            elif event is not None:
                yield moved(event)
    except Exception:
        if started:  # without this the page would stay locked
            yield ended("")
        raise
    if started:
        yield ended(say("stopped_waiting") if result is None else result)


def _begun(parts: Parts) -> Updates:
    return {
        **busy(parts, True),
        parts.proceed: gr.update(interactive=False),
        parts.download: gr.update(interactive=False),
        parts.results: gr.update(visible=True),
        parts.gallery: gr.update(value=[], label=mark("previews")),
    }


def freed(parts: Parts, said: str) -> Updates:
    """Let the next run begin, and say something about the last."""
    return {**busy(parts, False), parts.status: said}


def busy(parts: Parts, now: bool) -> Updates:
    """While something runs the page is locked, and no other picture takes its place."""
    opening = (parts.open_project, parts.open_clip)
    buttons = (parts.merge, *opening, parts.guide, parts.guide_remove)
    return {
        **locked(parts, now),
        parts.canvas: gr.update(busy=now),
        **{button: gr.update(interactive=not now) for button in buttons},
        parts.stop: gr.update(interactive=now),
    }


def _moment(parts: Parts, moment: Moment, previews: list[str]) -> Updates:
    """Show progress on the canvas, in the status and in the gallery."""
    told = {parts.status: bar(studio.progress_text(moment), moment.number / max(moment.total, 1))}
    seen = studio.views(moment)
    if seen is None:
        return told
    canvas, card = seen
    previews.append(card)
    if len(previews) > studio.GALLERY:
        del previews[1::2]
    return told | {
        parts.canvas: gr.update(preview=canvas),
        parts.gallery: gr.update(value=list(previews)),
    }


def bar(text: str, share: float) -> str:
    """Return a line over a bar of which a share is full."""
    return f'<div class="bar" style="--share:{100 * share:.0f}%">{text}</div>'

"""The page: opening and settings, and how its parts are put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.routes import App

from inpaint import models, pictures
from inpaint.masks import Strokes
from inpaint.settings import Settings
from inpaint.ui import address, controls, opening
from inpaint.ui.api import wire_api
from inpaint.ui.canvas import Sheet, added, rough_strokes, uploaded_file
from inpaint.ui.clips import is_clip, shown_clip, wire_clips
from inpaint.ui.examples import examples
from inpaint.ui.guarded import Guarded
from inpaint.ui.layout import Parts, make_page, shelf
from inpaint.ui.options import Options
from inpaint.ui.outcome import wire_downloads, wire_history, wire_results
from inpaint.ui.running import busy, followed, freed, then_run, wire_running
from inpaint.ui.session import Session
from inpaint.ui.showing import (
    Updates,
    estimating,
    guide,
    nothing,
    on_canvas,
    opened,
    quiet,
    task_chosen,
    task_parts,
    together,
)
from inpaint.ui.specialising import make_specialising
from inpaint.ui.turns import Line
from inpaint.ui.words import TITLE, language, say

CSS = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
COPY_LINK = "() => { navigator.clipboard?.writeText(location.href) }"
REMEMBER = "(model, candidates, recipe) => ({ model, candidates, recipe })"


@contextmanager
def _unserved() -> Iterator[None]:
    """Build no server yet: Gradio builds three for a page, and `launch` another that serves it."""
    build = App.create_app
    App.create_app = staticmethod(lambda *_, **__: None)  # type: ignore
    try:
        yield
    finally:
        App.create_app = staticmethod(build)  # type: ignore[method-assign]


@_unserved()
def create_demo(options: Options) -> gr.Blocks:
    """Build the page."""
    demo: gr.Blocks
    with Guarded(title=TITLE, fill_width=True) as demo:
        parts = make_page()
        line = Line(options.queue)
        _wire_opening(parts, options, line)
        _wire_settings(parts, options, demo)
        wire_running(parts, options.device, line)
        wire_results(parts, options.device)
        wire_history(parts, options.device)
        wire_downloads(parts)
        wire_clips(parts, options, line)
        make_specialising(parts, options, line)
        wire_api(options, line)
    # Whoever waits for a turn does so inside a running event: see `inpaint.ui.turns`.
    demo.queue(max_size=None, api_open=False, default_concurrency_limit=options.queue + 2)
    return demo


def _wire_opening(parts: Parts, options: Options, line: Line) -> None:
    def on_open(path: Path, task: str) -> Updates:
        session, drawing = opening.opened(path, options.max_pixels)
        told = say("manifest") if pictures.has_manifest(session.visit.source) else ""
        page = opened(parts, session, drawing, task) | {parts.status: told}
        kept = session.visit.controls
        if not kept:
            return page
        name, values = address.settings_in(kept, {}, options.model)
        seed, locked = controls.kept_seed(kept)
        chosen = {parts.task: name, parts.seed: seed, parts.locked: locked}
        return together(page, chosen, task_chosen(parts, session, name, values))

    def on_upload(before: Session | None, task: str, event: gr.EventData) -> Updates:
        opening.idle(before)
        path = uploaded_file(event)
        if is_clip(path):
            return shown_clip(parts, path, options.max_pixels, task)
        return on_open(path, task)

    def on_open_project(before: Session | None, path: str, task: str) -> Updates:
        opening.idle(before)
        return on_open(Path(path), task)

    parts.canvas.upload(
        on_upload, [parts.session, parts.task], parts.outputs, **on_canvas(parts)
    ).then(**estimating(parts, options.device))
    parts.open_project.upload(
        on_open_project,
        [parts.session, parts.open_project, parts.task],
        parts.outputs,
        **on_canvas(parts),
    ).then(**estimating(parts, options.device))

    drawn = [parts.session, parts.canvas]

    def on_mask(session: Session | None, strokes: Strokes | None, event: gr.EventData) -> Updates:
        return {parts.canvas: opening.with_mask(session, strokes, uploaded_file(event))}

    parts.canvas.mask_upload(on_mask, drawn, parts.outputs, **on_canvas(parts)).then(
        **estimating(parts, options.device)
    )

    def on_see_through(session: Session | None, strokes: Strokes | None) -> Updates:
        return {parts.canvas: opening.with_transparent(session, strokes)}

    parts.see_through.click(on_see_through, drawn, parts.outputs, **quiet(parts)).then(
        **estimating(parts, options.device)
    )

    def on_snap(session: Session | None, event: gr.EventData) -> Updates:
        found = opening.snapped(opening.present(session), rough_strokes(event), options.device)
        return {parts.canvas: gr.update(append=added(*found))}

    parts.canvas.snap(on_snap, parts.session, parts.canvas, trigger_mode="multiple", **quiet(parts))

    def on_find(
        session: Session | None, strokes: Strokes | None, task: str, *values: Any
    ) -> Iterator[Updates]:
        """Look for damage; nothing is painted meanwhile, which the answer would not know of."""

        def found(sheet: Sheet | str) -> Updates:
            assert session is not None
            page = {parts.proceed: gr.update(interactive=session.visit.shown is not None)}
            if isinstance(sheet, str):
                return {**freed(parts, sheet), **page}
            return together(freed(parts, ""), page, {parts.canvas: gr.update(value=sheet)})

        work = opening.find(session, strokes, line, task, *values)
        begun = {**busy(parts, True), parts.proceed: gr.update(interactive=False)}
        yield from followed(work, parts.status, begun, lambda _: nothing(parts), found)

    parts.find.click(
        on_find,
        [*drawn, parts.task, *parts.values],
        parts.outputs,
        concurrency_limit=None,
        **quiet(parts),
    ).then(**estimating(parts, options.device))

    def on_guide(path: str, session: Session | None, task: str) -> Updates:
        opening.take_guide(session, Path(path), options.max_pixels)
        return guide(parts, session, task)

    parts.guide.upload(
        on_guide, [parts.guide, parts.session, parts.task], parts.outputs, **on_canvas(parts)
    ).then(**estimating(parts, options.device))

    def on_guide_remove(session: Session | None, task: str) -> Updates:
        if session:
            opening.at_rest(session).visit.guide = None
        return guide(parts, session, task)

    parts.guide_remove.click(
        on_guide_remove, [parts.session, parts.task], parts.outputs, **quiet(parts)
    ).then(**estimating(parts, options.device))

    def on_example(before: Session | None, task: str, event: gr.SelectData) -> Updates:
        opening.idle(before)
        example = examples()[event.index]
        session, drawing = opening.from_example(example)
        page = opened(parts, session, drawing, task)
        if task == example.task and not example.settings:
            return page
        values = controls.defaults(example.task, **example.settings)
        chosen = {parts.task: example.task, **task_chosen(parts, session, example.task, values)}
        return together(page, chosen)

    then_run(
        parts.shelf.select(
            on_example, [parts.session, parts.task], parts.outputs, **on_canvas(parts)
        ),
        parts,
        options.device,
        line,
    )


def _wire_settings(parts: Parts, options: Options, demo: gr.Blocks) -> None:
    values, task = parts.values, parts.task

    def on_task(session: Session | None, name: str, model: str, candidates: int | None) -> Updates:
        found = controls.for_task(name, model, candidates, options.model)
        return task_chosen(parts, session, name, found)

    kept = [parts.settings["model"], parts.settings["candidates"]]
    # Once the answer to the first of two choices is there, the second is asked for.
    follow: dict[str, Any] = {"queue": False, "trigger_mode": "always_last", **quiet(parts)}
    task.input(on_task, [parts.session, task, *kept], task_parts(parts), **follow)
    gr.on(
        [parts.canvas.input, task.change, *(control.change for control in values)],
        **estimating(parts, options.device),
        trigger_mode="always_last",
    )
    gr.on(
        [task.change, *(control.change for control in values)],
        None,
        [task, *values],
        js=address.script(options.model),
        **quiet(parts),
    )
    for name in ("grow", "feather"):
        parts.settings[name].change(
            lambda value, name=name: gr.update(**{name: value}),
            parts.settings[name],
            parts.canvas,
            trigger_mode="always_last",
            **quiet(parts),
        )
    parts.settings["sampler"].input(
        controls.sampler_defaults,
        parts.settings["sampler"],
        [parts.settings[name] for name in controls.SAMPLER_DEFAULTS],
        **follow,
    )

    model = parts.settings["model"]

    def on_model(name: str, chosen: str) -> Updates:
        found = controls.updates(name, controls.defaults(name, model=chosen))
        own = models.defaults(chosen)
        led = controls.SAMPLER_DEFAULTS if "sampler" in own else ()
        changed = {"model", *controls.FOR_MODELS, *own, *led}
        named = dict(zip(controls.NAMES, found, strict=True))
        return {parts.settings[key]: named[key] for key in changed}

    model.input(on_model, [task, model], values, **follow)

    def on_load(remembered: dict[str, Any] | None, request: gr.Request) -> Updates:
        captions = {} if language() == "en" else {parts.shelf: gr.update(value=shelf())}
        if not request.query_params and not remembered and options.model == Settings().model:
            # A visitor who is quick has changed something meanwhile.
            return nothing(parts) | captions
        kept = remembered or {}
        name, found = address.settings_in(dict(request.query_params), kept, options.model)
        return {
            task: name,
            parts.with_recipe: bool(kept.get("recipe", True)),
            **captions,
            **task_chosen(parts, None, name, found),
        }

    demo.load(on_load, parts.remembered, parts.outputs, **quiet(parts))
    demo.load(None, js=SCRIPT.read_text("utf-8"))
    kept = [*kept, parts.with_recipe]
    gr.on(
        [control.input for control in kept],
        None,
        kept,
        parts.remembered,
        js=REMEMBER,
        **quiet(parts),
    )
    parts.link.click(lambda: say("linked"), None, parts.status, js=COPY_LINK, **quiet(parts))

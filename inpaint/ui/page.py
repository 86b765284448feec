"""The page: which event calls which handler, and what the answer changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from inpaint import models, pictures
from inpaint.editing import Moment
from inpaint.masks import Strokes
from inpaint.settings import OPTIONS
from inpaint.tasks import TASKS
from inpaint.ui import address, controls, studio
from inpaint.ui.canvas import Sheet, uploaded_file
from inpaint.ui.examples import examples
from inpaint.ui.layout import Parts, make_page, proposes, tip, views
from inpaint.ui.studio import Session
from inpaint.ui.turns import Line
from inpaint.ui.words import say
from inpaint.visit import Drawing, Run

CSS = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
SHOW_VIEW = "view => document.querySelector('#stack').className = "
SHOW_VIEW += "document.querySelector('#stack').className.replace(/view-\\w+/, `view-${view}`)"
SAVE_FILE = "file => file && window.inpaintSave(file)"
COPY_LINK = "() => { navigator.clipboard?.writeText(location.href) }"
REMEMBER = "(model, candidates, recipe) => ({ model, candidates, recipe })"
GROWN = 8
"""Pixels by which a mask that is too tight is widened."""

Updates = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator sets when the page is started."""

    device: str = "auto"
    max_pixels: int = pictures.MAX_PIXELS
    queue: int = 16


def create_demo(options: Options) -> gr.Blocks:
    """Build the page."""
    demo: gr.Blocks
    with gr.Blocks(title=say("title"), fill_width=True, delete_cache=(600, 3600)) as demo:
        parts = make_page()
        line = Line(options.queue)
        _wire_opening(parts, options, line)
        _wire_settings(parts, options, demo)
        _wire_running(parts, options, line)
        _wire_results(parts)
        _wire_history(parts, options)
        _wire_downloads(parts)
    # Whoever waits for a turn does so inside a running event: see `inpaint.ui.turns`.
    demo.queue(max_size=None, default_concurrency_limit=options.queue + 2)
    return demo


quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


# Opening


def _wire_opening(parts: Parts, options: Options, line: Line) -> None:
    def on_open(path: Path) -> Updates:
        session, drawing = studio.opened(path, options.max_pixels)
        told = say("manifest") if pictures.has_manifest(session.visit.source) else ""
        return _opened(parts, session, drawing) | {parts.status: told}

    def on_upload(event: gr.EventData) -> Updates:
        return on_open(uploaded_file(event))

    parts.canvas.upload(on_upload, outputs=parts.outputs, api_visibility="private").then(
        **_estimating(parts, options)
    )
    parts.open_project.upload(
        lambda path: on_open(Path(path)),
        parts.open_project,
        parts.outputs,
        api_visibility="private",
    ).then(**_estimating(parts, options))

    def on_mask(session: Session, event: gr.EventData) -> Updates:
        return {parts.canvas: studio.with_mask(session, uploaded_file(event))}

    parts.canvas.mask_upload(on_mask, parts.session, parts.outputs, api_visibility="private").then(
        **_estimating(parts, options)
    )

    def on_find(session: Session | None, task: str, *values: Any) -> Updates:
        return {parts.canvas: studio.find(session, task, *values), parts.view: "paint"}

    parts.find.click(
        on_find,
        [parts.session, parts.task, *parts.values],
        parts.outputs,
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=parts.status,
    ).then(**_estimating(parts, options))

    def on_guide(path: str, session: Session | None) -> Updates:
        picture = studio.take_guide(session, Path(path), options.max_pixels)
        return {parts.guide_view: _guide(studio.thumbnail(picture))} | _guide_buttons(parts, True)

    parts.guide.upload(
        on_guide, [parts.guide, parts.session], parts.outputs, api_visibility="private"
    ).then(**_estimating(parts, options))

    def on_guide_remove(session: Session | None, task: str) -> Updates:
        if session:
            session.visit.guide = None
        return {parts.guide_view: TASKS[task].guide_tip} | _guide_buttons(parts, False)

    parts.guide_remove.click(
        on_guide_remove, [parts.session, parts.task], parts.outputs, **quiet
    ).then(**_estimating(parts, options))

    def on_example(task: str, event: gr.SelectData) -> Updates:
        example = examples()[event.index]
        session, drawing = studio.from_example(example)
        opened = _opened(parts, session, drawing)
        if task == example.task and not example.settings:
            return opened
        values = controls.defaults(example.task, **example.settings)
        return opened | _task_chosen(parts, example.task, values, opened[parts.canvas])

    _then_run(
        parts.shelf.select(on_example, parts.task, parts.outputs, api_visibility="private"),
        parts,
        options,
        line,
    )


def _opened(parts: Parts, session: Session, drawing: Drawing | None) -> Updates:
    """Show a picture that was opened, with an empty desk, or as far as its project was."""
    return {
        parts.session: session,
        parts.canvas: studio.sheet(session, drawing),
        parts.shelf: gr.update(visible=False),
        parts.view: gr.update(value="paint"),
        parts.guide_view: "",
        parts.cost: "",
        parts.status: "",
        **_guide_buttons(parts, False),
        **_shown(parts, session),
    }


def _guide(path: str) -> str:
    return f'<img src="/gradio_api/file={path}" alt="">'


def _guide_buttons(parts: Parts, there: bool) -> Updates:
    return {parts.guide_remove: gr.update(visible=there)}


def _nothing(parts: Parts) -> Updates:
    """Change nothing; Gradio does not take an empty answer."""
    return {parts.status: gr.skip()}


# Settings


def _wire_settings(parts: Parts, options: Options, demo: gr.Blocks) -> None:
    values, task = parts.values, parts.task

    def on_task(name: str, model: str, candidates: int) -> Updates:
        kept = {"model": model, "candidates": candidates}
        found = controls.defaults(name, **kept, **TASKS[name].defaults)
        return _task_chosen(parts, name, found) | {parts.view: "paint"}

    kept = [parts.settings["model"], parts.settings["candidates"]]
    task.input(on_task, [task, *kept], parts.outputs, **quiet)
    gr.on(
        [parts.canvas.input, task.change, *(control.change for control in values)],
        **_estimating(parts, options),
        trigger_mode="always_last",
    )
    gr.on(
        [task.change, *(control.change for control in values)],
        None,
        [task, *values],
        js=address.script(),
        **quiet,
    )
    for name in ("grow", "feather"):
        parts.settings[name].change(
            lambda value, name=name: gr.update(**{name: value}),
            parts.settings[name],
            parts.canvas,
            trigger_mode="always_last",
            **quiet,
        )
    parts.settings["sampler"].input(
        controls.sampler_defaults,
        parts.settings["sampler"],
        [parts.settings[name] for name in controls.SAMPLER_DEFAULTS],
        **quiet,
    )

    model = parts.settings["model"]

    def on_model(name: str, chosen: str) -> Updates:
        found = controls.updates(name, controls.defaults(name, model=chosen))
        follow = ("model", *controls.FOR_MODELS, *models.defaults(chosen))
        named = dict(zip(controls.NAMES, found, strict=True))
        return {parts.settings[key]: named[key] for key in follow}

    model.input(on_model, [task, model], parts.outputs, **quiet)

    def on_load(remembered: dict[str, Any] | None, request: gr.Request) -> Updates:
        if not request.query_params and not remembered:
            return _nothing(parts)  # a visitor who is quick has changed something meanwhile
        kept = dict(remembered or {})
        with_recipe = kept.pop("recipe", True)
        name, found = address.settings_in(dict(request.query_params), kept)
        return {
            task: name,
            parts.with_recipe: bool(with_recipe),
            **_task_chosen(parts, name, found),
        }

    demo.load(on_load, parts.remembered, parts.outputs, **quiet)
    demo.load(None, js=SCRIPT.read_text("utf-8"))
    kept = [*kept, parts.with_recipe]
    gr.on(
        [control.input for control in kept],
        None,
        kept,
        parts.remembered,
        js=REMEMBER,
        **quiet,
    )
    parts.link.click(lambda: say("linked"), None, parts.status, js=COPY_LINK, **quiet)


def _estimating(parts: Parts, options: Options) -> dict[str, Any]:
    """Return the event that brings the cost up to date."""

    def on_estimate(strokes: Any, session: Any, task: str, *values: Any) -> str:
        return studio.estimate(strokes, session, options.device, task, *values)

    inputs = [parts.canvas, parts.session, parts.task, *parts.values]
    return {"fn": on_estimate, "inputs": inputs, "outputs": parts.cost, **quiet}


def _task_chosen(
    parts: Parts, name: str, values: dict[str, Any], sheet: Sheet | None = None
) -> Updates:
    """Draw the page for a task; without another sheet the picture and its mask stay."""
    row = TASKS[name]
    canvas = {"guide": row.guide != "unused", "grow": values["grow"], "feather": values["feather"]}
    if sheet is not None:
        canvas["value"] = sheet
    shown = zip(parts.values, controls.updates(name, values), strict=True)
    return {
        parts.task: name,
        parts.tip: tip(row),
        parts.fill: gr.update(value=row.title),
        parts.find: gr.update(visible=proposes(name)),
        parts.guide_box: gr.update(visible=row.guide != "unused"),
        parts.guide_view: row.guide_tip,
        parts.canvas: gr.update(**canvas),
        **dict(shown),
    }


# Running


def _wire_running(parts: Parts, options: Options, line: Line) -> None:
    picking = gr.on(
        parts.fill.click, controls.new_seed, [parts.locked, parts.seed], parts.seed, **quiet
    )
    _then_run(picking, parts, options, line)

    def on_wider(grow: float) -> float:
        return min(grow + GROWN, OPTIONS["grow"].high)

    grow = parts.settings["grow"]
    _then_run(parts.grow_again.click(on_wider, grow, grow, **quiet), parts, options, line)

    def on_more(session: Session) -> Iterator[Updates]:
        seed = int(controls.new_seed(False, None) or 0)
        yield from _running(parts, session, studio.more_like(session, line, options.device, seed))

    parts.more.click(
        on_more,
        parts.session,
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet,
    )
    parts.stop.click(studio.stop, parts.session, None, queue=False, api_visibility="private")


def _then_run(event: Any, parts: Parts, options: Options, line: Line) -> None:
    """Run with what the page shows, after an event."""

    def on_run(
        strokes: Strokes | None, session: Session | None, seed: Any, task: str, *values: Any
    ) -> Iterator[Updates]:
        work = studio.run(strokes, session, line, options.device, seed, task, *values)
        yield from _running(parts, session, work)

    event.success(
        on_run,
        [parts.canvas, parts.session, parts.seed, parts.task, *parts.values],
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet,
    )


def _running(parts: Parts, session: Session | None, work: Iterator[Any]) -> Iterator[Updates]:
    """Show a run as it goes, and free the page again whatever happens."""
    shown: list[str] = []
    begun = False
    try:
        for event in work:
            if not begun:
                begun = True
                yield _begun(parts)
            if isinstance(event, Moment):
                yield _moment(parts, event, shown)
            elif isinstance(event, Run):
                assert session is not None
                yield _freed(parts, event.said) | _shown(parts, session, view="compare")
                return
            elif isinstance(event, int):
                yield {
                    parts.status: say("ahead", count=event) if event else _bar(say("starting"), 0)
                }
    except Exception:
        # Without this the page would stay locked after an error.
        if begun and session:
            yield _freed(parts, "") | _shown(parts, session)
        raise
    if begun and session:  # it was stopped while it waited
        yield _freed(parts, say("stopped_waiting")) | _shown(parts, session)


def _begun(parts: Parts) -> Updates:
    return {
        parts.canvas: gr.update(busy=True),
        parts.view: gr.update(value="paint"),
        parts.fill: gr.update(interactive=False),
        parts.more: gr.update(interactive=False),
        parts.grow_again: gr.update(interactive=False),
        parts.stop: gr.update(interactive=True),
        parts.results: gr.update(visible=True),
        parts.gallery: gr.update(value=[], label=say("previews")),
    }


def _freed(parts: Parts, said: str) -> Updates:
    return {
        parts.canvas: gr.update(busy=False),
        parts.fill: gr.update(interactive=True),
        parts.more: gr.update(interactive=True),
        parts.grow_again: gr.update(interactive=True),
        parts.stop: gr.update(interactive=False),
        parts.status: said,
    }


def _moment(parts: Parts, moment: Moment, shown: list[str]) -> Updates:
    """Show progress on the canvas, in the status and in the gallery."""
    canvas, card = studio.views(moment)
    shown.append(card)
    if len(shown) > studio.GALLERY:
        del shown[1::2]
    return {
        parts.canvas: gr.update(preview=canvas),
        parts.status: _bar(studio.progress_text(moment), moment.number / moment.total),
        parts.gallery: gr.update(value=list(shown)),
    }


def _bar(text: str, share: float) -> str:
    return f'<div class="bar" style="--share:{100 * share:.0f}%">{text}</div>'


# Results


def _shown(parts: Parts, session: Session, view: str | None = None) -> Updates:
    """Show the run that is on show, its candidates, and the history."""
    run = session.visit.shown
    past = {
        parts.past: gr.update(visible=bool(session.visit.runs)),
        parts.history: gr.update(
            value=studio.history_cards(session) if session.visit.runs else [],
            selected_index=session.visit.runs.index(run) + 1 if run else None,
        ),
        parts.delete: gr.update(visible=run is not None),
    }
    if run is None:
        return past | {parts.results: gr.update(visible=False), parts.view: "paint"}
    several = len(run.candidates) > 1
    seen: dict[str, Any] = {"value": view} if view else {}
    label, lossy = studio.own_label(session)
    return past | {
        parts.results: gr.update(visible=True),
        parts.outcome: gr.update(visible=True),
        parts.files: gr.update(visible=True),
        parts.view: gr.update(choices=views(len(run.candidates)), **seen),
        parts.receipt: run.receipt,
        parts.gallery: gr.update(
            value=studio.candidate_cards(session, run),
            label=say("candidates"),
            selected_index=run.chosen,
        ),
        parts.compare: studio.before_after(run),
        parts.sure: studio.how_sure(run),
        parts.hint: gr.update(visible=studio.is_tight(run)),
        parts.merge: gr.update(visible=several, value=say("merge")),
        parts.more: gr.update(
            visible=TASKS[run.settings["task"]].mask != "unused", interactive=True
        ),
        parts.download: gr.update(value=label),
        parts.exact: gr.update(visible=lossy),
    }


def _wire_results(parts: Parts) -> None:
    parts.view.change(None, parts.view, None, js=SHOW_VIEW, **quiet)

    def on_pick(session: Session, strokes: Any, event: gr.SelectData) -> Updates:
        run = session.visit.shown
        if session.job or run is None or event.index >= len(run.candidates):
            return _nothing(parts)
        if session.draft is not None:
            taken = studio.merge(session, strokes, event.index)
            return {parts.canvas: taken, parts.status: say("merge_taken")}
        run.chosen = event.index
        return _shown(parts, session)

    parts.gallery.select(on_pick, [parts.session, parts.canvas], parts.outputs, **quiet)

    def on_merge(session: Session, strokes: Any) -> Updates:
        if session.draft is None:
            return {
                parts.canvas: studio.begin_merging(session, strokes),
                parts.view: "paint",
                parts.status: say("merging"),
                parts.merge: gr.update(value=say("merge_keep"), variant="primary"),
                **_locked(parts, True),
            }
        return {
            parts.canvas: studio.end_merging(session),
            parts.status: "",
            **_shown(parts, session, view="compare"),
            parts.merge: gr.update(value=say("merge"), variant="secondary"),
            **_locked(parts, False),
        }

    parts.merge.click(on_merge, [parts.session, parts.canvas], parts.outputs, **quiet)

    def on_proceed(session: Session) -> Updates:
        session.visit.proceed()
        return {parts.canvas: studio.sheet(session), parts.cost: "", parts.status: ""} | _shown(
            parts, session
        )

    parts.proceed.click(on_proceed, parts.session, parts.outputs, **quiet)


def _locked(parts: Parts, merging: bool) -> Updates:
    """While candidates are merged nothing else begins."""
    others = (parts.fill, parts.more, parts.proceed, parts.history, parts.grow_again)
    return {
        part: gr.update(visible=not merging)
        if part is parts.history
        else gr.update(interactive=not merging)
        for part in others
    }


# History


def _wire_history(parts: Parts, options: Options) -> None:
    def on_history(session: Session, event: gr.SelectData) -> Updates:
        runs = session.visit.runs
        if session.job or event.index > len(runs):
            return _nothing(parts)
        run = runs[event.index - 1] if event.index else None
        drawing = session.visit.back_to(run)
        if run is None:
            seen = {parts.canvas: studio.sheet(session), parts.status: say("original_back")}
            return seen | _shown(parts, session)
        values = run.settings
        chosen = _task_chosen(parts, values["task"], values, studio.sheet(session, drawing))
        title = TASKS[values["task"]].title
        return {
            **chosen,
            parts.seed: values["seed"],
            parts.locked: True,
            parts.status: say("is_back", task=title),
            **_shown(parts, session, view="compare"),
        }

    parts.history.select(on_history, parts.session, parts.outputs, **quiet).then(
        **_estimating(parts, options)
    )

    def on_delete(session: Session) -> Updates:
        run = session.visit.shown
        if session.job or run is None:
            return _nothing(parts)
        session.visit.delete(run)
        session.cards.pop(run.number)
        return {parts.status: "", **_shown(parts, session)}

    parts.delete.click(on_delete, parts.session, parts.outputs, **quiet)


# Downloads


def _wire_downloads(parts: Parts) -> None:
    def saving(event: Any, handler: Any, inputs: list[Any]) -> None:
        """Write a file when it is asked for, and hand it to the browser."""
        event(
            handler,
            inputs,
            parts.file,
            show_progress="minimal",
            show_progress_on=parts.status,
            api_visibility="private",
        ).success(None, parts.file, None, js=SAVE_FILE, **quiet)

    def on_result(session: Session, with_recipe: bool, *, format: str | None) -> str:
        return studio.result_file(session, format, with_recipe)

    result = [parts.session, parts.with_recipe]
    saving(parts.download.click, partial(on_result, format=None), result)
    saving(parts.exact.click, partial(on_result, format="PNG"), result)
    drawn = [parts.session, parts.canvas]
    saving(parts.save_mask.click, studio.mask_file, drawn)
    saving(parts.canvas.mask_download, studio.mask_file, drawn)
    saving(parts.save_project.click, studio.project_file, drawn)

"""After a run: candidates, merging, the history and downloads."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from inpaint.masks import Strokes
from inpaint.ui import review
from inpaint.ui.controls import NAMES
from inpaint.ui.layout import Parts
from inpaint.ui.opening import at_rest, present
from inpaint.ui.session import Session, drawing_of, sheet
from inpaint.ui.showing import (
    SAVE,
    Updates,
    estimating,
    merging,
    nothing,
    quiet,
    shown,
    task_chosen,
    together,
)
from inpaint.ui.words import say


def wire_results(parts: Parts, device: str) -> None:
    """Let candidates be chosen, compared, merged and gone on with."""
    drawn = [parts.session, parts.canvas]

    def on_pick(session: Session | None, strokes: Any, event: gr.SelectData) -> Updates:
        session = present(session)
        run = session.visit.shown
        if session.job or run is None or event.index >= len(run.candidates):
            return nothing(parts)
        if session.draft is not None:
            taken = review.merge(session, strokes, event.index)
            return {parts.canvas: taken, parts.status: say("merge_taken")}
        run.chosen = event.index
        return shown(parts, session)

    # A second choice that comes before the first is answered counts too.
    parts.gallery.select(on_pick, drawn, parts.outputs, trigger_mode="multiple", **quiet(parts))

    def on_merge(session: Session | None, strokes: Any) -> Updates:
        session = present(session)
        if session.job or session.visit.shown is None:
            return nothing(parts)
        if session.draft is None:
            sheet = review.begin_merging(session, strokes)
            return together(
                {parts.canvas: gr.update(value=sheet, review=None), parts.status: say("merging")},
                merging(parts, True),
            )
        return together(
            {parts.canvas: gr.update(value=review.end_merging(session)), parts.status: ""},
            merging(parts, False),
            shown(parts, session),
        )

    parts.merge.click(on_merge, drawn, parts.outputs, **quiet(parts))

    def on_proceed(session: Session | None, strokes: Strokes | None) -> Updates:
        session = at_rest(session)
        session.visit.leave(drawing_of(session, strokes))
        seen = sheet(session, session.visit.proceed())
        return together(
            {parts.canvas: gr.update(value=seen), parts.cost: "", parts.status: ""},
            shown(parts, session),
        )

    parts.proceed.click(on_proceed, drawn, parts.outputs, **quiet(parts)).then(
        **estimating(parts, device)
    )


def wire_history(parts: Parts, device: str) -> None:
    """Let the visitor go back to any result, or forget it."""
    drawn = [parts.session, parts.canvas]

    def on_history(
        session: Session | None, strokes: Strokes | None, event: gr.SelectData
    ) -> Updates:
        session = at_rest(session)
        runs = session.visit.runs
        if event.index > len(runs):
            return nothing(parts)
        run = runs[event.index - 1] if event.index else None
        session.visit.leave(drawing_of(session, strokes))
        drawing = session.visit.back_to(run)
        if run is None:
            seen = {
                parts.canvas: gr.update(value=sheet(session, drawing)),
                parts.status: say("original_back"),
            }
            return together(seen, shown(parts, session))
        values = run.settings
        chosen = task_chosen(parts, session, values["task"], values, sheet(session, drawing))
        title = say(f"task_{values['task']}")
        back = {
            parts.task: values["task"],
            parts.seed: values["seed"],
            parts.locked: True,
            parts.status: say("is_back", task=title) if run.repeatable else say("is_seen"),
        }
        return together(chosen, back, shown(parts, session))

    parts.history.select(on_history, drawn, parts.outputs, **quiet(parts)).then(
        **estimating(parts, device)
    )

    def on_back(session: Session | None, strokes: Strokes | None) -> Updates:
        """Undo beyond the first stroke: the run is back that made the picture painted on."""
        session = present(session)
        run = session.visit.origin
        if session.job or session.draft is not None or run is None:
            return nothing(parts)
        session.visit.leave(drawing_of(session, strokes))
        drawing = session.visit.back_to(run)
        seen = {parts.canvas: gr.update(value=sheet(session, drawing))}
        return together(seen, shown(parts, session))

    parts.canvas.back(on_back, drawn, parts.outputs, **quiet(parts)).then(
        **estimating(parts, device)
    )

    def on_delete(session: Session | None) -> Updates:
        session = at_rest(session)
        run = session.visit.shown
        if run is None:
            return nothing(parts)
        session.visit.delete(run)
        session.cards.pop(run.number)
        return {parts.status: "", **shown(parts, session)}

    parts.delete.click(on_delete, parts.session, parts.outputs, **quiet(parts))


def wire_downloads(parts: Parts) -> None:
    """Let results, masks and projects be saved."""

    def saving(event: Any, handler: Any, inputs: list[Any]) -> None:
        """Write a file when it is asked for, and hand it to the browser."""
        event(
            handler,
            inputs,
            parts.file,
            trigger_mode="multiple",
            show_progress="minimal",
            show_progress_on=parts.status,
            api_visibility="private",
        ).success(None, parts.file, None, js=SAVE, **quiet(parts))

    def on_result(session: Session | None, with_recipe: bool, *, format: str | None) -> str:
        return review.result_file(session, format, with_recipe)

    result = [parts.session, parts.with_recipe]
    saving(parts.download.click, partial(on_result, format=None), result)
    saving(parts.exact.click, partial(on_result, format="PNG"), result)
    drawn = [parts.session, parts.canvas]
    saving(parts.save_mask.click, review.invented_file, [parts.session])
    saving(parts.save_diversity.click, review.diversity_file, [parts.session])
    saving(parts.canvas.mask_download, review.mask_file, drawn)

    def on_project(
        session: Session | None, strokes: Strokes | None, seed: Any, locked: bool, *values: Any
    ) -> str:
        if session:
            standing = dict(zip(("task", *NAMES), values, strict=True))
            session.visit.controls = {**standing, "seed": seed, "locked": locked}
        return review.project_file(session, strokes)

    controls = [parts.seed, parts.locked, parts.task, *parts.values]
    saving(parts.save_project.click, on_project, [*drawn, *controls])

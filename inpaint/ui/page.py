"""The page: what stands where, and which event calls which handler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from inpaint import pictures
from inpaint.editing import Moment, Result
from inpaint.ui import studio
from inpaint.ui.canvas import MaskCanvas
from inpaint.ui.controls import make_seed, make_settings
from inpaint.ui.examples import examples
from inpaint.ui.studio import Session

CSS = Path(__file__).with_name("page.css")
SHOW_RESULT = """() => document.querySelector("#compare")?.scrollIntoView(
    { behavior: "smooth", block: "nearest" })"""
INTRO = "# Inpaint\nPaint over what should go, press **Fill**, and compare."


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator sets when the page is started."""

    device: str = "auto"
    max_pixels: int = pictures.MAX_PIXELS
    queue: int = 16


def create_demo(options: Options) -> gr.Blocks:
    """Build the page."""
    demo: gr.Blocks
    with gr.Blocks(title="Inpaint", fill_width=True, delete_cache=(600, 3600)) as demo:
        session = gr.State(None, time_to_live=3600)
        gr.Markdown(INTRO, elem_id="intro")
        with gr.Row(elem_id="studio"):
            with gr.Column(scale=4, min_width=320):
                canvas = MaskCanvas(elem_id="canvas")
                shelf = _examples()
                gallery = gr.Gallery(
                    label="Previews and candidates: click one to choose it",
                    elem_id="gallery",
                    columns=None,
                    object_fit="contain",
                    allow_preview=False,
                    visible=False,
                    buttons=[],
                )
                with gr.Row(elem_id="outcome"):
                    receipt = gr.HTML("", elem_id="receipt", visible=False)
                    proceed = gr.Button(
                        "Continue from this result", elem_id="proceed", visible=False
                    )
                    download = gr.DownloadButton("Download", elem_id="download", visible=False)
                    exact = gr.DownloadButton(
                        "Download PNG (exact)", elem_id="download-exact", visible=False
                    )
                slider = gr.ImageSlider(
                    label="Before and after", elem_id="compare", visible=False, max_height=700
                )
            with gr.Column(scale=1, min_width=300, elem_id="controls"):
                with gr.Row():
                    fill = gr.Button("Fill", variant="primary", elem_id="fill", min_width=120)
                    stop = gr.Button("Stop", elem_id="stop", interactive=False, min_width=80)
                cost = gr.HTML("", elem_id="cost", elem_classes="line")
                status = gr.HTML("", elem_id="status", elem_classes="line")
                settings = make_settings()
                seed, locked = make_seed()

        controls = [settings[name] for name in studio.CONTROLS]
        results = [status, gallery, slider, receipt, proceed, download, exact]
        opening = [canvas, session, shelf, *results]

        def on_upload(event: gr.EventData) -> list[Any]:
            return [*studio.from_upload(event, options.max_pixels), *_cleared(), ""]

        canvas.upload(on_upload, outputs=[*opening, cost], api_visibility="private")

        def on_estimate(strokes: Any, *values: Any) -> str:
            return studio.estimate(strokes, options.device, *values)

        def on_example(event: gr.SelectData) -> list[Any]:
            return [*studio.from_example(examples()[event.index]), *_cleared()]

        shelf.select(on_example, outputs=opening, api_visibility="private").then(
            on_estimate,
            [canvas, *controls],
            cost,
            show_progress="hidden",
            api_visibility="private",
        )
        gr.on(
            [canvas.input, *(control.change for control in controls)],
            on_estimate,
            [canvas, *controls],
            cost,
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        )

        settings["sampler"].input(
            studio.sampler_defaults,
            settings["sampler"],
            [settings[name] for name in studio.SAMPLER_DEFAULTS],
            show_progress="hidden",
            api_visibility="private",
        )

        run_outputs = [canvas, fill, stop, *results]

        def on_fill(
            strokes: Any, now: Session | None, seed: Any, *values: Any
        ) -> Iterator[list[Any]]:
            shown: list[str] = []
            begun = False
            try:
                for event in studio.fill(strokes, now, seed, options.device, *values):
                    if not begun:
                        begun = True
                        yield [
                            gr.update(busy=True),
                            gr.update(interactive=False),
                            gr.update(interactive=True),
                            _bar("Starting", 0),
                            gr.update(value=[], visible=True),
                            *[gr.skip()] * 5,
                        ]
                    if isinstance(event, Moment):
                        yield _moment(event, shown)
                    elif isinstance(event, Result):
                        assert now is not None
                        yield from _finished(now, event)
            except Exception:
                # Without this the page would stay locked after an error.
                if begun:
                    yield [
                        gr.update(busy=False),
                        gr.update(interactive=True),
                        gr.update(interactive=False),
                        "",
                        *[gr.skip()] * 6,
                    ]
                raise

        gr.on(
            fill.click,
            studio.new_seed,
            [locked, seed],
            seed,
            show_progress="hidden",
            api_visibility="private",
        ).then(
            on_fill,
            [canvas, session, seed, *controls],
            run_outputs,
            show_progress="minimal",
            show_progress_on=status,
            # One job at a time on this machine; the others wait in the queue.
            concurrency_limit=1,
            concurrency_id="model",
            trigger_mode="once",
            api_visibility="private",
        ).success(None, js=SHOW_RESULT, api_visibility="private")
        stop.click(studio.stop, session, None, queue=False, api_visibility="private")

        def on_pick(now: Session, event: gr.SelectData) -> Iterator[list[Any]]:
            if event.index >= len(now.candidates):
                yield [gr.skip()] * 4
                return
            now.chosen = event.index
            yield [now, studio.before_after(now), gr.skip(), gr.skip()]
            yield [gr.skip(), gr.skip(), *_downloads(now)]

        gallery.select(
            on_pick, session, [session, slider, download, exact], api_visibility="private"
        )

        def on_proceed(now: Session) -> list[Any]:
            return [*studio.proceed(now), *_cleared(), ""]

        proceed.click(on_proceed, session, [*opening, cost], api_visibility="private")
    demo.queue(max_size=options.queue)
    return demo


def _examples() -> gr.Gallery:
    return gr.Gallery(
        [(str(example.picture), example.title) for example in examples()],
        label="Or try one of these",
        elem_id="examples",
        columns=None,
        allow_preview=False,
        object_fit="cover",
        visible=bool(examples()),
        buttons=[],
    )


def _cleared() -> list[Any]:
    """Put the examples away and empty the results."""
    hidden = gr.update(visible=False)
    nothing = gr.update(value=None, visible=False)
    return [hidden, "", nothing, nothing, hidden, hidden, nothing, nothing]


def _bar(text: str, share: float) -> str:
    return f'<div class="bar" style="--share:{100 * share:.0f}%">{text}</div>'


def _moment(moment: Moment, shown: list[str]) -> list[Any]:
    """Show progress on the canvas, in the status and in the gallery; the rest stays."""
    canvas, card = studio.views(moment)
    shown.append(card)
    if len(shown) > studio.GALLERY:
        del shown[1::2]
    bar = _bar(studio.progress_text(moment), moment.number / moment.total)
    skipped = [gr.skip()] * 5
    return [gr.update(preview=canvas), *skipped[:2], bar, gr.update(value=list(shown)), *skipped]


def _finished(now: Session, result: Result) -> Iterator[list[Any]]:
    """Show the result at once, and offer the downloads when they are written."""
    said = "Stopped; this is the latest" if not result.finished else "Done"
    status = [f"{said} in {studio.duration(result.seconds)}.", *result.notes]
    yield [
        gr.update(busy=False),
        gr.update(interactive=True),
        gr.update(interactive=False),
        " ".join(status),
        gr.update(value=studio.candidate_cards(now), selected_index=0),
        gr.update(value=studio.before_after(now), visible=True),
        gr.update(value=f"{result.receipt}.", visible=True),
        gr.update(visible=True),
        gr.skip(),
        gr.skip(),
    ]
    yield [*[gr.skip()] * 8, *_downloads(now)]


def _downloads(now: Session) -> list[Any]:
    label, own, exact = studio.downloads(now)
    return [
        gr.update(value=own, label=label, visible=True),
        gr.update(value=exact, visible=exact is not None),
    ]

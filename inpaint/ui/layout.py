"""What stands where on the page."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from inpaint.tasks import TASKS
from inpaint.ui import controls
from inpaint.ui.canvas import MaskCanvas
from inpaint.ui.examples import examples
from inpaint.ui.words import TITLE, mark, say

FIRST = next(iter(TASKS))


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The components that handlers read and write."""

    session: gr.State
    remembered: gr.BrowserState
    file: gr.File
    task: gr.Radio
    tip: gr.HTML
    canvas: MaskCanvas
    shelf: gr.Gallery
    results: gr.Column
    receipt: gr.HTML
    gallery: gr.Gallery
    outcome: gr.Row
    proceed: gr.Button
    more: gr.Button
    merge: gr.Button
    hint: gr.Row
    grow_again: gr.Button
    download: gr.Button
    exact: gr.Button
    save_mask: gr.Button
    save_diversity: gr.Button
    save_project: gr.Button
    with_recipe: gr.Checkbox
    past: gr.Column
    history: gr.Gallery
    delete: gr.Button
    fill: gr.Button
    stop: gr.Button
    cost: gr.HTML
    status: gr.HTML
    find: gr.Button
    see_through: gr.Button
    guide_box: gr.Column
    guide: gr.UploadButton
    guide_view: gr.HTML
    guide_remove: gr.Button
    seed: gr.Number
    locked: gr.Checkbox
    link: gr.Button
    open_project: gr.UploadButton
    open_clip: gr.UploadButton
    clip_box: gr.Column
    clip_told: gr.HTML
    clip_masks: gr.UploadButton
    clip_masks_remove: gr.Button
    clip_fill: gr.Button
    clip_view: gr.Video
    clip_save: gr.Button
    settings: dict[str, Any]

    @property
    def values(self) -> list[Any]:
        """The controls of a run, in the order of `controls.NAMES`."""
        return [self.settings[name] for name in controls.NAMES]

    @property
    def outputs(self) -> list[Any]:
        """Every component that a handler may write."""
        apart = ("settings", "remembered")
        own = [getattr(self, item.name) for item in fields(self) if item.name not in apart]
        return [*own, *self.values]


def make_page() -> Parts:
    """Lay out the page inside an open `gr.Blocks`."""
    made: dict[str, Any] = {
        "session": gr.State(None),  # goes an hour after its tab is closed
        "remembered": gr.BrowserState({}, storage_key="inpaint-page", secret="inpaint-page"),
        "file": gr.File(visible=False),
    }
    with gr.Row(elem_id="head"):
        gr.HTML(f"<h1>{TITLE}</h1>", elem_id="intro")
        made["task"] = gr.Radio(
            [(mark(f"task_{name}"), name) for name in TASKS],
            value=FIRST,
            show_label=False,
            label=mark("task"),
            elem_id="task",
            elem_classes="segments",
            container=False,
        )
    made["tip"] = gr.HTML(mark(f"task_{FIRST}_tip"), elem_id="tip")
    with gr.Row(elem_id="studio"):
        with gr.Column(scale=4, min_width=320, elem_id="work"):
            _make_work(made)
        with gr.Column(scale=1, min_width=290, elem_id="controls"):
            _make_controls(made)
    with gr.Column(elem_id="foot"):
        gr.HTML(mark("keys"))
        gr.HTML(mark("private"))
    return Parts(**made)


def _make_work(made: dict[str, Any]) -> None:
    made["canvas"] = MaskCanvas(elem_id="canvas")
    made["shelf"] = gr.Gallery(
        shelf(),
        label=mark("examples"),
        elem_id="examples",
        columns=None,
        allow_preview=False,
        object_fit="cover",
        visible=bool(examples()),
        buttons=[],
    )
    with gr.Column(visible=False, elem_id="clip") as made["clip_box"]:
        made["clip_told"] = gr.HTML("", elem_id="clip-told")
        with gr.Row(elem_id="clip-row"):
            made["clip_fill"] = gr.Button(
                mark("clip_fill"), variant="primary", elem_id="clip-fill", size="md"
            )
            made["clip_masks"] = gr.UploadButton(
                mark("clip_masks"), file_count="multiple", file_types=["image", "video"],
                elem_id="clip-masks", size="md",
            )  # fmt: skip
            made["clip_masks_remove"] = gr.Button(
                mark("clip_masks_remove"), visible=False, elem_id="clip-masks-remove", size="md"
            )
            made["clip_save"] = gr.Button(
                mark("clip_save"), visible=False, elem_id="clip-save", size="md"
            )
        made["clip_view"] = gr.Video(
            label=mark("clip_view"),
            visible=False,
            interactive=False,
            height=400,
            elem_id="clip-view",
            buttons=[],
        )
    with gr.Column(visible=False, elem_id="results") as made["results"]:
        made["receipt"] = gr.HTML("", elem_id="receipt")
        with gr.Row(visible=False, elem_id="hint") as made["hint"]:
            gr.HTML(mark("tight"), elem_id="hint-text")
            made["grow_again"] = gr.Button(
                mark("grow_again"), elem_id="grow-again", size="sm", min_width=200
            )
        made["gallery"] = gr.Gallery(
            label=mark("candidates"),
            elem_id="gallery",
            columns=None,
            object_fit="contain",
            allow_preview=False,
            buttons=[],
        )
        with gr.Row(visible=False, elem_id="outcome") as made["outcome"]:
            made["more"] = gr.Button(mark("more"), elem_id="more", size="md")
            made["merge"] = gr.Button(mark("merge"), elem_id="merge", size="md")
            made["exact"] = gr.Button(mark("download_png"), elem_id="download-exact", size="md")
            made["save_mask"] = gr.Button(mark("download_mask"), elem_id="download-mask", size="md")
            made["save_diversity"] = gr.Button(
                mark("download_diversity"), visible=False, elem_id="download-diversity", size="md"
            )
            made["save_project"] = gr.Button(
                mark("download_project"), elem_id="download-project", size="md"
            )
            made["with_recipe"] = gr.Checkbox(
                True, label=mark("with_recipe"), elem_id="with-recipe", container=False
            )
    with gr.Column(visible=False, elem_id="past") as made["past"]:
        made["history"] = gr.Gallery(
            label=mark("history"),
            elem_id="history",
            columns=None,
            object_fit="cover",
            allow_preview=False,
            buttons=[],
        )
        made["delete"] = gr.Button(mark("delete"), elem_id="delete", size="sm")


def _make_controls(made: dict[str, Any]) -> None:
    row = TASKS[FIRST]
    with gr.Column(elem_id="dock"):
        with gr.Row(elem_id="run"):
            made["fill"] = gr.Button(
                mark(f"task_{FIRST}"), variant="primary", elem_id="fill", min_width=120
            )
            made["stop"] = gr.Button(mark("stop"), elem_id="stop", interactive=False, min_width=80)
        with gr.Row(elem_id="taking"):
            made["proceed"] = gr.Button(
                mark("proceed"), elem_id="proceed", size="md", interactive=False, min_width=120
            )
            made["download"] = gr.Button(
                mark("download_own"), elem_id="download", size="md", interactive=False,
                min_width=120,
            )  # fmt: skip
        made["cost"] = gr.HTML("", elem_id="cost", elem_classes="line")
        made["status"] = gr.HTML("", elem_id="status", elem_classes="line")
    made["find"] = gr.Button(mark("find"), visible=TASKS[FIRST].proposes, elem_id="find", size="md")
    made["see_through"] = gr.Button(
        mark("see_through"), visible=False, elem_id="see-through", size="md"
    )
    with gr.Column(visible=row.guide != "unused", elem_id="guide-box") as made["guide_box"]:
        made["guide_view"] = gr.HTML("", elem_id="guide-view")
        with gr.Row():
            made["guide"] = gr.UploadButton(
                mark("guide"), file_types=["image"], elem_id="guide", size="sm"
            )
            made["guide_remove"] = gr.Button(
                mark("guide_remove"), elem_id="guide-remove", size="sm", visible=False
            )
    settings = controls.make_particular(FIRST) | controls.make_main(FIRST)
    with gr.Accordion(mark("advanced"), open=False, elem_id="advanced"):
        settings |= controls.make_advanced(FIRST)
        made["seed"], made["locked"] = controls.make_seed()
    made["settings"] = settings
    with gr.Row(elem_id="extras"):
        made["link"] = gr.Button(mark("link"), elem_id="link", size="sm", min_width=120)
        made["open_project"] = gr.UploadButton(
            mark("open_project"), file_types=[".zip"], elem_id="open-project", size="sm",
            min_width=120,
        )  # fmt: skip
        made["open_clip"] = gr.UploadButton(
            mark("open_clip"), file_types=["video"], elem_id="open-clip", size="sm", min_width=120
        )


def shelf() -> list[tuple[str, str]]:
    """Return the examples as cards; Gradio translates no caption, so they are said."""
    return [(str(e.picture), say(f"example_{e.picture.stem}")) for e in examples()]

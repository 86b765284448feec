"""Specialise: a model trained further on the visitor's pictures, or the command that does it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from inpaint import own
from inpaint.results import Stopped
from inpaint.ui import controls, studio
from inpaint.ui.job import Job
from inpaint.ui.layout import Parts
from inpaint.ui.options import Options
from inpaint.ui.running import bar, followed
from inpaint.ui.session import sorry
from inpaint.ui.showing import Updates, quiet
from inpaint.ui.turns import Line
from inpaint.ui.words import mark, say

NAME, MINUTES = "slides", 30.0
FOLDER = "folder/"
"""Where the command looks for pictures."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How far a training is: the share that is done, and what there is to tell."""

    done: float
    text: str


def make_specialising(parts: Parts, options: Options, line: Line) -> None:
    """Lay out what specialises a model, and let it be started where the operator allows it."""
    with gr.Accordion(mark("special"), open=False, elem_id="special"):
        gr.HTML(mark("special_tip"))
        with gr.Row():
            name = gr.Textbox(NAME, label=mark("special_name"), elem_id="special-name")
            minutes = gr.Number(
                MINUTES, label=mark("special_minutes"), minimum=0.01, maximum=10_000,
                elem_id="special-minutes",
            )  # fmt: skip
        command = gr.Textbox(
            own.command(FOLDER, NAME, MINUTES), label=mark("special_command"), interactive=False,
            buttons=["copy"], elem_id="special-command",
        )  # fmt: skip
        if options.specialise:
            pictures = gr.File(
                label=mark("special_pictures"), file_count="multiple", file_types=["image"],
                height=120, elem_id="special-pictures",
            )  # fmt: skip
            with gr.Row():
                start = gr.Button(mark("special_start"), elem_id="special-start", size="md")
                stop = gr.Button(mark("stop"), interactive=False, elem_id="special-stop", size="md")
            told = gr.HTML("", elem_id="special-told", elem_classes="line")

    def on_change(called: str, long: float | None) -> str:
        with studio.in_one_sentence():
            return own.command(FOLDER, called, long or MINUTES)

    gr.on([name.change, minutes.change], on_change, [name, minutes], command, **quiet(parts))
    if not options.specialise:
        return
    jobs: dict[str | None, Job[Trained, Path]] = {}
    model = parts.settings["model"]

    def ended(result: Path | str, name: str) -> Updates:
        said = result if isinstance(result, str) else say("special_done", name=name)
        return {
            start: gr.update(interactive=True),
            stop: gr.update(interactive=False),
            told: said,
            model: gr.update(choices=controls.model_tip("model", "")["choices"]),
        }

    def on_start(
        called: str, long: float | None, paths: list[str] | None, request: gr.Request
    ) -> Iterator[Updates]:
        if not paths:
            raise sorry(say("special_none"))
        if request.session_hash in jobs:
            raise sorry(say("running"))
        job = Job(_training(called, long or MINUTES, [Path(path) for path in paths]))
        jobs[request.session_hash] = job
        work = studio.in_turn(job, line)
        try:
            yield from followed(
                work,
                told,
                {start: gr.update(interactive=False), stop: gr.update(interactive=True)},
                lambda moment: {told: bar(f"{moment.done:.0%} {moment.text}", moment.done)},
                lambda result: ended(result, called),
            )
        finally:
            del jobs[request.session_hash]

    start.click(
        on_start,
        [name, minutes, pictures],
        [start, stop, told, model],
        concurrency_limit=None,
        trigger_mode="once",
        **quiet(parts),
    )

    def on_stop(request: gr.Request) -> None:
        if job := jobs.get(request.session_hash):
            job.stop()

    stop.click(on_stop, None, None, queue=False, api_visibility="private")


def _training(
    name: str, minutes: float, paths: list[Path]
) -> Callable[[Callable[[Trained], None]], Path]:
    """Return the work of training a model on pictures that were uploaded."""

    def work(progress: Callable[[Trained], None]) -> Path:
        from inpaint.training import specialise  # takes seconds to import, and few need it

        def watch(done: float, text: str) -> bool:
            try:
                progress(Trained(done, text))
            except Stopped:
                return True
            return False

        folder = Path(tempfile.mkdtemp(dir=get_upload_folder()))
        for number, path in enumerate(paths):
            shutil.copy(path, folder / f"{number:06d}{path.suffix}")
        return specialise(folder, name, minutes=minutes, progress=watch)

    return work

"""A page with nothing but the mask canvas, what reached its server, and how to draw on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr
import numpy as np
from person import Canvas
from PIL import Image

from inpaint.masks import Stroke, Strokes, rasterize
from inpaint.ui.canvas import MaskCanvas, Sheet, added, preview, rough_strokes, uploaded_file

GREY = (128, 128, 128)
FRAME = (
    *((200, 100), (400, 100), (400, 300), (200, 300), (200, 100)),
    *((250, 150), (250, 250), (350, 250), (350, 150), (250, 150)),
)
"""An object with a hole, as one polygon."""
NAMES = ("Second", "Run", "Preview", "Done", "Guide", "German", "Blend", "Echo")


def sheet(size: tuple[int, int], strokes: tuple[Stroke, ...] = (), base=None) -> Sheet:
    """Show a plain picture of `size` through a work copy of at most 1200 pixels."""
    image = Image.new("RGB", size if max(size) <= 1200 else (1200, 1200 * size[1] // size[0]), GREY)
    return Sheet(image, size, Strokes(size, strokes), base)


@dataclass
class App:
    """What the page shows, and what reached its server."""

    url: str = ""
    start: Sheet | None = None  # shown when a page opens
    second: Sheet | None = None  # shown after the button
    drawn: list[Strokes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    rough: list[Strokes] = field(default_factory=list)  # what objects were looked for with
    masks: list[bytes] = field(default_factory=list)
    downloads: list[bool] = field(default_factory=list)

    def forget(self) -> None:
        """Be as at first."""
        self.start = self.second = None
        for heard in (self.drawn, self.files, self.rough, self.masks, self.downloads):
            heard.clear()


def make_demo(app: App) -> gr.Blocks:
    """Lay out the page."""

    def on_upload(event: gr.EventData) -> Sheet:
        app.files.append(uploaded_file(event).read_bytes())
        return sheet((600, 400))

    def start_run() -> dict[str, object]:
        return gr.update(busy=True)

    def show_preview() -> dict[str, object]:
        image = Image.new("RGB", (40, 30), (0, 200, 0))
        return gr.update(preview=preview(image, (100, 100, 300, 250)))

    def on_snap(event: gr.EventData) -> dict[str, object]:
        app.rough.append(rough_strokes(event))
        (stroke,) = app.rough[-1].strokes
        (x, _), erase = stroke.points[0], stroke.erase
        if x <= 100:
            return gr.update(append=added())
        dot = Stroke("brush", 20, ((500, 200),), erase)
        return gr.update(append=added(Stroke("polygon", 0, FRAME, erase), dot))

    def on_mask(event: gr.EventData) -> Sheet:
        app.masks.append(uploaded_file(event).read_bytes())
        base = np.zeros((40, 60), bool)
        base[:10] = True
        return sheet((600, 400), base=base)

    with gr.Blocks() as demo:
        with gr.Tab("Edit"):
            canvas = MaskCanvas(elem_id="canvas")
        with gr.Tab("Other"):
            gr.Textbox(label="Words", elem_id="words")
        text = gr.Textbox(label="Prompt", elem_id="prompt", interactive=True)
        buttons = {name: gr.Button(name) for name in NAMES}
        canvas.input(app.drawn.append, canvas, trigger_mode="always_last")
        canvas.upload(on_upload, outputs=canvas)
        canvas.mask_upload(on_mask, outputs=canvas)
        canvas.mask_download(lambda: app.downloads.append(True))
        canvas.snap(on_snap, outputs=canvas)
        quiet = {"outputs": canvas, "show_progress": "hidden"}
        buttons["Second"].click(lambda: app.second, **quiet)
        buttons["Run"].click(start_run, **quiet)
        buttons["Preview"].click(show_preview, **quiet)
        buttons["Done"].click(lambda: gr.update(busy=False), **quiet)
        buttons["Guide"].click(lambda: gr.update(guide=True), **quiet)
        buttons["German"].click(lambda: gr.update(lang="de"), **quiet)
        buttons["Blend"].click(lambda: gr.update(grow=20, feather=10), **quiet)
        buttons["Echo"].click(lambda drawn: str(len(drawn.strokes)), canvas, text)
        demo.load(lambda: app.start, outputs=canvas, show_progress="hidden")
    return demo


class Board(Canvas):
    """The canvas of one open tab, and what its server got."""

    def __init__(self, app: App, tab) -> None:
        super().__init__(tab)
        self.app = app
        if app.start:
            self.wait_for_size(app.start.size)

    def show(self, second: Sheet) -> None:
        """Let Python set another value, after a run, say."""
        self.app.second = second
        self.press("Second")
        self.wait_for_size(second.size)
        self.app.drawn.clear()

    def strokes(self, count: int) -> Strokes:
        """What Python has received, once it is `count` strokes."""
        drawn = self.app.drawn
        self.until(lambda: drawn and len(drawn[-1].strokes) == count, f"{count} strokes")
        return drawn[-1]

    def mask(self, count: int) -> np.ndarray:
        return rasterize(self.strokes(count))

    def press(self, name: str) -> None:
        self.tab.get_by_role("button", name=name, exact=True).click()


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the True pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1

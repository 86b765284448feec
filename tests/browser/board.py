"""A page with nothing but the mask canvas, what reached its server, and how to draw on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr
import numpy as np
from PIL import Image

from inpaint.masks import Stroke, Strokes, rasterize
from inpaint.outlines import trace
from inpaint.ui.canvas import MaskCanvas, Sheet, added, preview, rough_strokes, uploaded_file

GREY = (128, 128, 128)
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
        found = np.zeros((400, 600), bool)
        if x > 100:  # an object with a hole, and another beside it
            found[100:300, 200:400] = True
            found[150:250, 250:350] = False
        dot = Stroke("brush", 20, ((500, 200),), erase) if x > 100 else None
        return gr.update(append=added(trace(found, erase=erase), dot))

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


class Canvas:
    """The canvas of one open tab, driven in the picture's coordinates."""

    def __init__(self, app: App, tab) -> None:
        self.app, self.tab = app, tab
        tab.wait_for_selector(".mask-canvas")
        if app.start:
            self.wait_for_size(app.start.size)

    def view(self, expression: str, argument: object = None) -> object:
        script = f"(at) => document.querySelector('.mask-canvas').canvasView.{expression}"
        return self.tab.evaluate(script, argument)

    def wait_for_size(self, size: tuple[int, int]) -> None:
        self.tab.wait_for_function(
            "size => `${document.querySelector('.mask-canvas')?.canvasView?.size}` === `${size}`",
            arg=list(size),
        )

    def until(self, done: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 8
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.tab.wait_for_timeout(10)

    def screen(self, x: float, y: float) -> tuple[int, int]:
        """Whole screen pixel nearest to a point of the picture: a mouse has no finer ones."""
        left, top = self.view("toScreen(...at)", [x, y])
        return round(left), round(top)

    def point(self, left: float, top: float) -> tuple[float, float]:
        """Point of the picture at a point of the screen."""
        x, y = self.view("toScreen(0, 0)")
        zoom = self.view("zoom")
        return (left - x) / zoom, (top - y) / zoom

    def drag(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """Draw through points of the picture; return the points really taken."""
        self.tab.locator(".stage").scroll_into_view_if_needed()
        stops = [self.screen(*point) for point in points]
        self.tab.mouse.move(*stops[0])
        self.tab.mouse.down()
        for stop in stops[1:]:
            self.tab.mouse.move(*stop, steps=4)
        self.tab.mouse.up()
        return [self.point(*stop) for stop in stops]

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

    def use(self, name: str) -> None:
        """Press a button of the canvas, in its menu if it stands there."""
        button = self.tab.locator(f"[data-do={name}]:not(.invitation)")
        if not button.is_visible():
            self.tab.click("[data-do=more]")
        button.click()

    def click(self, x: float, y: float) -> None:
        self.tab.mouse.click(*self.screen(x, y))

    def shown(self) -> np.ndarray:
        """Whether each tenth pixel of a picture of 600x400 is tinted, (40, 60) bool."""
        tints = self.tab.evaluate("""async () => {
            await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
            const screen = document.querySelector(".stage canvas");
            const view = document.querySelector(".mask-canvas").canvasView;
            const corner = screen.getBoundingClientRect();
            const { width, height, data } = screen
                .getContext("2d").getImageData(0, 0, screen.width, screen.height);
            const tints = [];
            for (let y = 5; y < 400; y += 10) for (let x = 5; x < 600; x += 10) {
                const [left, top] = view.toScreen(x, y);
                const column = Math.round(((left - corner.left) * width) / corner.width);
                const row = Math.round(((top - corner.top) * height) / corner.height);
                const at = 4 * (row * width + column);
                tints.push(data[at] > data[at + 1] + 40);
            }
            return tints;
        }""")
        return np.array(tints).reshape(40, 60)

    def agrees(self, mask: np.ndarray) -> None:
        """Check that the overlay is the mask, but for points on its rim."""
        expected = mask[5::10, 5::10]
        self.until(lambda: np.mean(self.shown() == expected) > 0.985, "the mask")

    def press(self, name: str) -> None:
        self.tab.get_by_role("button", name=name, exact=True).click()

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """Colour shown at a point of the picture, after the next frame."""
        return tuple(
            self.tab.evaluate(
                """async ([left, top]) => {
                    await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
                    const canvas = document.querySelector(".stage canvas");
                    const box = canvas.getBoundingClientRect();
                    const at = (value) => Math.round((value * canvas.width) / box.width);
                    const context = canvas.getContext("2d");
                    const spot = context.getImageData(at(left - box.left), at(top - box.top), 1, 1);
                    return [...spot.data.slice(0, 3)];
                }""",
                list(self.screen(x, y)),
            )
        )

    def is_tinted(self, x: float, y: float) -> bool:
        red, green, _ = self.colour(x, y)
        return red > green + 40


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the True pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def touch(canvas: Canvas, kind: str, *points: tuple[float, float]) -> None:
    at = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    canvas.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

"""The mask canvas in Chromium: what is painted arrives in Python, to the pixel."""

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from inpaint.masks import Stroke, Strokes, paint, rasterize
from inpaint.outlines import trace
from inpaint.ui.canvas import MaskCanvas, Sheet, added, preview, rough_strokes, uploaded_file

pytestmark = pytest.mark.browser

GREY = (128, 128, 128)
NAMES = ("Second", "Run", "Preview", "Done", "Guide", "German", "Blend", "Echo")


def sheet(size: tuple[int, int], strokes: tuple[Stroke, ...] = (), base=None) -> Sheet:
    """Show a plain picture of `size` through a work copy of at most 1200 pixels."""
    image = Image.new("RGB", size if max(size) <= 1200 else (1200, 1200 * size[1] // size[0]), GREY)
    return Sheet(image, size, Strokes(size, strokes), base)


@dataclass
class App:
    """A minimal app, and what reached it."""

    url: str = ""
    start: Sheet | None = None  # shown when a page opens
    second: Sheet | None = None  # shown after the button
    drawn: list[Strokes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    rough: list[Strokes] = field(default_factory=list)  # what objects were looked for with
    masks: list[bytes] = field(default_factory=list)
    downloads: list[bool] = field(default_factory=list)


@pytest.fixture(scope="module")
def served(serve) -> App:
    app = App()

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
    app.url = serve(demo)
    return app


@pytest.fixture
def app(served: App) -> Iterator[App]:
    yield served
    served.start = served.second = None
    served.drawn.clear()
    for heard in (served.files, served.rough, served.masks, served.downloads):
        heard.clear()


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


@pytest.fixture
def open_canvas(app: App, page) -> Callable[..., Canvas]:
    def opener(start: Sheet | None = None, **options: object) -> Canvas:
        app.start = start
        return Canvas(app, page(app.url, **options))

    return opener


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the True pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("scale", [1, 2])
def test_a_stroke_is_exact_to_the_pixel(open_canvas, scale):
    canvas = open_canvas(sheet((50, 50)), scale=scale)
    for size in ((50, 50), (3000, 2000), (9000, 6000)):
        canvas.show(sheet(size))
        width, height = size
        (x0, y0), (x1, y1) = canvas.drag((0.3 * width, 0.4 * height), (0.6 * width, 0.5 * height))
        drawn = canvas.strokes(1)
        radius = drawn.strokes[0].radius
        assert drawn.size == size
        assert radius == pytest.approx(24 / canvas.view("zoom"), abs=0.01)
        expected = (x0 - radius, y0 - radius, x1 + radius, y1 + radius)
        assert box_of(rasterize(drawn)) == pytest.approx(expected, abs=1)
        assert canvas.is_tinted(0.45 * width, 0.45 * height)
        assert canvas.colour(0.1 * width, 0.9 * height) == GREY


def test_the_tools_and_their_history(open_canvas, screenshot):
    canvas = open_canvas(sheet((600, 400)))
    canvas.use("rectangle")
    (x0, y0), (x1, y1) = canvas.drag((400, 300), (200, 100))
    assert box_of(canvas.mask(1)) == pytest.approx((x1, y1, x0, y0), abs=1)

    canvas.use("eraser")
    canvas.drag((100, 200), (500, 200))
    mask = canvas.mask(2)
    assert not mask[200, 300] and mask[120, 300] and not canvas.is_tinted(300, 200)

    canvas.use("lasso")
    canvas.drag((450, 50), (550, 50), (550, 150))
    mask = canvas.mask(3)
    assert mask[60, 530] and not mask[140, 460]  # a triangle
    assert mask[:, 420:].sum() == pytest.approx(5000, rel=0.05)

    canvas.use("invert")
    np.testing.assert_array_equal(canvas.mask(4), ~mask)
    assert canvas.is_tinted(300, 200) and not canvas.is_tinted(530, 60)
    canvas.use("clear")
    assert not canvas.mask(5).any() and not canvas.is_tinted(300, 200)
    for count in (4, 3, 2):
        canvas.use("undo")
        canvas.strokes(count)
    assert not canvas.is_tinted(530, 60) and canvas.is_tinted(300, 120)
    canvas.use("redo")
    assert canvas.mask(3)[60, 530] and canvas.is_tinted(530, 60)
    screenshot(canvas.tab, "canvas-tools")
    canvas.use("brush")
    canvas.drag((50, 50), (60, 50))
    canvas.strokes(4)
    assert canvas.tab.is_disabled(".tools [data-do=redo]")  # a new stroke ends the redoing
    canvas.drag((-30, 200), (20, 200))  # from outside the picture
    assert canvas.mask(5)[200, 0]


def test_keys_work_unless_a_text_field_has_the_focus(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    keyboard, view = canvas.tab.keyboard, canvas.view
    canvas.drag((100, 100), (200, 100))
    canvas.tab.click("#prompt textarea")
    keyboard.type("ierl[[0")
    keyboard.press("Control+z")
    keyboard.press("Control+z")
    canvas.drag((100, 300), (200, 300))
    first, second = canvas.strokes(2).strokes  # no invert, the brush as large as before, no undo
    assert (second.tool, second.radius) == ("brush", first.radius)

    keyboard.press("]")
    canvas.drag((300, 100), (301, 100))
    assert canvas.strokes(3).strokes[2].radius > first.radius
    keyboard.press("Control+z")
    canvas.strokes(2)
    keyboard.press("Control+Shift+z")
    canvas.strokes(3)
    keyboard.press("i")
    assert canvas.strokes(4).strokes[3].tool == "invert"
    keyboard.down("Alt")
    canvas.drag((500, 300), (520, 300))
    keyboard.up("Alt")
    assert not canvas.mask(5)[300, 510]
    keyboard.press("e")
    canvas.drag((500, 200), (520, 200))
    assert canvas.strokes(6).strokes[5].tool == "eraser"

    fitted, left = view("zoom"), view("toScreen(0, 0)")[0]
    for _ in range(5):
        canvas.tab.mouse.wheel(0, -120)
    canvas.until(lambda: view("zoom") > 3 * fitted, "zooming in")
    keyboard.down("Space")
    at = canvas.screen(520, 200)  # the wheel has kept it under the pointer
    canvas.tab.mouse.move(*at)
    canvas.tab.mouse.down()
    canvas.tab.mouse.move(at[0] + 40, at[1] + 30, steps=3)
    canvas.tab.mouse.up()
    keyboard.up("Space")
    assert canvas.screen(520, 200) == (at[0] + 40, at[1] + 30)
    keyboard.press("0")
    assert (view("zoom"), view("toScreen(0, 0)")[0]) == (fitted, left)
    canvas.drag((100, 200), (120, 200))
    canvas.strokes(7)  # the panning painted nothing


def test_the_wheel_zooms_at_the_pointer_and_scrolls_at_the_least_zoom(open_canvas):
    canvas = open_canvas(sheet((3000, 2000)), height=600)
    at = canvas.screen(1000, 500)
    canvas.tab.mouse.move(*at)
    fitted = canvas.view("zoom")
    canvas.tab.mouse.wheel(0, -240)
    canvas.until(lambda: canvas.view("zoom") > 1.2 * fitted, "zooming in")
    assert canvas.view("toScreen(...at)", [1000, 500]) == pytest.approx(at, abs=1)
    x, y = canvas.drag((1000, 500), (1100, 500))[0]
    assert canvas.strokes(1).strokes[0].points[0] == pytest.approx((x, y), abs=0.1)
    canvas.tab.mouse.wheel(0, 2000)
    canvas.tab.mouse.wheel(0, 2000)
    canvas.until(lambda: canvas.view("zoom") == fitted, "zooming out")
    canvas.tab.mouse.wheel(0, 200)
    canvas.until(lambda: canvas.tab.evaluate("scrollY") > 0, "scrolling")


def test_a_value_from_python_brings_strokes_and_a_base(open_canvas):
    base = np.zeros((40, 60), bool)
    base[30:] = True
    strokes = (Stroke("brush", 20, ((100, 100), (200, 100))), Stroke("invert"), Stroke("invert"))
    canvas = open_canvas(sheet((600, 400), strokes, base))
    canvas.until(lambda: canvas.is_tinted(150, 100), "the stroke")
    assert canvas.is_tinted(150, 350) and not canvas.is_tinted(400, 100)
    canvas.use("invert")
    assert canvas.strokes(4).strokes[:3] == strokes
    assert not canvas.is_tinted(150, 350) and canvas.is_tinted(400, 100)
    canvas.use("undo")
    canvas.use("clear")
    canvas.strokes(4)
    assert not canvas.is_tinted(150, 350)


def test_a_second_picture_of_another_size_starts_afresh(open_canvas):
    canvas = open_canvas(sheet((3000, 2000)))
    canvas.drag((500, 500), (900, 500))
    canvas.strokes(1)
    canvas.tab.keyboard.press("+")
    canvas.show(sheet((400, 1000)))
    left, top = canvas.screen(0, 0)
    right, bottom = canvas.screen(400, 1000)
    stage = canvas.tab.locator(".stage").bounding_box()
    assert (top - stage["y"]) == pytest.approx(stage["y"] + stage["height"] - bottom, abs=2)
    assert (left + right) / 2 == pytest.approx(stage["x"] + stage["width"] / 2, abs=2)
    assert canvas.colour(67, 250) == GREY
    points = canvas.drag((100, 100), (300, 900))
    drawn = canvas.strokes(1)
    assert drawn.size == (400, 1000)
    np.testing.assert_allclose(drawn.strokes[0].points, points, atol=0.1)


def test_the_overlay_agrees_with_the_mask_for_every_tool(open_canvas):
    strokes = (
        Stroke("rectangle", 0, ((50, 50), (250, 200))),
        Stroke("ellipse", 0, ((100, 80), (200, 160)), erase=True),
        Stroke("polygon", 0, ((300, 50), (500, 50), (500, 250))),
        Stroke("lasso", 0, ((300, 350), (500, 350), (400, 200)), erase=True),
        Stroke("brush", 15, ((60, 300), (60, 300), (200, 350))),
        Stroke("eraser", 10, ((150, 320),)),
        Stroke("brush", 15),
        Stroke("brush", 30, ((560, 300), (480, 320), (470, 320)), radii=(30, 5, 40)),
        Stroke("grow", 12),
        Stroke("eraser", 10, ((450, 320), (450, 60)), radii=(10, 25)),
        Stroke("shrink", 5),
    )
    canvas = open_canvas(sheet((600, 400), strokes))
    mask = rasterize(Strokes((600, 400), strokes))
    canvas.until(lambda: canvas.is_tinted(60, 60), "the strokes")
    canvas.agrees(mask)


def touch(canvas: Canvas, kind: str, *points: tuple[float, float]) -> None:
    at = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    canvas.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})


def test_one_finger_paints_and_two_move_on_a_phone(open_canvas, screenshot):
    phone = {"width": 390, "height": 844, "scale": 2, "touch": True}
    canvas = open_canvas(sheet((1500, 1000)), dark=True, **phone)
    canvas.session = canvas.tab.context.new_cdp_session(canvas.tab)
    start, end = canvas.screen(400, 300), canvas.screen(900, 600)
    touch(canvas, "touchStart", start)
    touch(canvas, "touchMove", end)
    touch(canvas, "touchEnd")
    points = canvas.strokes(1).strokes[0].points
    np.testing.assert_allclose(points, [canvas.point(*start), canvas.point(*end)], atol=0.1)
    assert canvas.tab.evaluate("scrollY") == 0

    fitted = canvas.view("zoom")
    (x, y) = canvas.screen(750, 500)
    touch(canvas, "touchStart", (x - 20, y))
    touch(canvas, "touchStart", (x - 20, y), (x + 20, y))
    for spread in (30, 40, 60):
        touch(canvas, "touchMove", (x - spread, y), (x + spread, y))
    touch(canvas, "touchEnd")
    canvas.until(lambda: canvas.view("zoom") > 2.5 * fitted, "pinching")
    assert canvas.screen(750, 500) == pytest.approx((x, y), abs=2)
    canvas.use("fit")
    canvas.use("invert")
    assert canvas.strokes(2).strokes[1].tool == "invert"  # the first of two fingers left no dot
    canvas.use("undo")
    screenshot(canvas.tab, "canvas-phone-dark")
    canvas.press("Guide")
    canvas.tab.wait_for_selector("[data-do=paint]:not([hidden])")
    bar = [b.bounding_box() for b in canvas.tab.locator(".bar button:visible").all()]
    assert all(box["x"] + box["width"] <= 390 for box in bar)
    assert len({box["y"] for box in bar}) == 1  # one row
    assert canvas.tab.evaluate("document.documentElement.scrollWidth") <= 390
    canvas.tab.click("[data-do=more]")
    screenshot(canvas.tab, "canvas-phone-menu")
    for button in canvas.tab.locator(".mask-canvas button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 36


FILE = b"not a picture the browser knows \x00\xff" * 4000
MAKE_TRANSFER = """([name, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: "image/tiff" }));
    return transfer;
}"""


def test_files_arrive_as_they_are(open_canvas, app, screenshot, tmp_path: Path):
    canvas = open_canvas()
    tab = canvas.tab
    tab.wait_for_selector(".invitation")
    screenshot(tab, "canvas-empty")
    (tmp_path / "scan.tif").write_bytes(FILE)
    with tab.expect_file_chooser() as chooser:
        tab.click(".invitation")
    chooser.value.set_files(tmp_path / "scan.tif")
    canvas.wait_for_size((600, 400))
    assert app.files == [FILE]
    canvas.drag((100, 100), (200, 200))
    canvas.strokes(1)

    def carrying(data: bytes) -> dict[str, object]:
        arguments = ["other.tif", base64.b64encode(data).decode()]
        return tab.evaluate_handle(MAKE_TRANSFER, arguments)

    for kind in ("dragover", "drop"):  # a drop replaces the picture
        tab.dispatch_event(".stage", kind, {"dataTransfer": carrying(FILE + b"drop")})
    canvas.until(lambda: len(app.files) == 2, "the dropped file")
    canvas.until(lambda: tab.is_disabled(".tools [data-do=undo]"), "an empty mask")
    tab.evaluate(
        """(clipboardData) => document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true }))""",
        carrying(FILE + b"paste"),
    )
    canvas.until(lambda: len(app.files) == 3, "the pasted file")
    assert app.files == [FILE, FILE + b"drop", FILE + b"paste"]


def test_strokes_survive_tabs_themes_and_resizing(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    tab = canvas.tab
    canvas.use("rectangle")
    canvas.drag((200, 100), (400, 300))
    canvas.strokes(1)
    tab.get_by_role("tab", name="Other").click()
    tab.fill("#words textarea", "words")
    tab.set_viewport_size({"width": 900, "height": 700})
    tab.evaluate("document.body.classList.toggle('dark')")
    tab.get_by_role("tab", name="Edit").click()
    canvas.wait_for_size((600, 400))
    canvas.until(lambda: canvas.is_tinted(300, 200), "the rectangle")
    canvas.press("Echo")
    canvas.until(lambda: tab.input_value("#prompt textarea") == "1", "the round trip")
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.wait_for_timeout(100)
    assert canvas.is_tinted(300, 200) and not canvas.is_tinted(100, 200)
    canvas.use("rectangle")
    (x0, y0), (x1, y1) = canvas.drag((20, 20), (80, 60))
    assert box_of(canvas.mask(2)[:, :100]) == pytest.approx((x0, y0, x1, y1), abs=1)


def test_a_run_locks_painting_and_shows_previews(open_canvas, screenshot):
    canvas = open_canvas(sheet((600, 400)))
    canvas.use("rectangle")
    canvas.drag((150, 120), (250, 200))
    canvas.strokes(1)
    canvas.press("Run")
    canvas.tab.wait_for_selector(".mask-canvas.busy")
    canvas.press("Preview")
    canvas.until(lambda: canvas.colour(280, 240)[1] > 190, "the preview")
    assert canvas.colour(200, 160)[0] < 20  # no tint over it
    assert canvas.colour(320, 240) == GREY
    canvas.drag((300, 300), (400, 350))
    canvas.tab.keyboard.press("i")
    screenshot(canvas.tab, "canvas-preview")
    canvas.press("Done")
    canvas.tab.wait_for_selector(".mask-canvas:not(.busy)")
    canvas.until(lambda: canvas.colour(280, 240) == GREY, "the picture")
    assert canvas.is_tinted(200, 160)
    canvas.drag((300, 300), (400, 350))
    assert [stroke.tool for stroke in canvas.strokes(2).strokes] == ["rectangle", "rectangle"]


def test_a_stroke_shows_within_50_ms_on_a_large_picture(open_canvas):
    canvas = open_canvas(sheet((6000, 4000)), scale=2)
    canvas.tab.evaluate("""() => {
        globalThis.waits = [];
        document.addEventListener("pointermove", () => {
            const start = performance.now();
            requestAnimationFrame(() => setTimeout(() => waits.push(performance.now() - start)));
        });
    }""")
    canvas.drag((1000, 1000), (3000, 1500), (5000, 1000), (4000, 3000), (2000, 2000))
    canvas.strokes(1)
    waits = canvas.tab.evaluate("waits")
    assert len(waits) > 10 and np.median(waits) < 50


@pytest.mark.parametrize("scale", [1, 2])
def test_what_the_tools_show_is_what_python_draws(open_canvas, screenshot, scale):
    canvas = open_canvas(sheet((600, 400)), scale=scale)
    keyboard = canvas.tab.keyboard
    canvas.use("ellipse")
    canvas.drag((40, 40), (200, 160))
    canvas.agrees(canvas.mask(1))

    canvas.use("polygon")
    for corner in ((250, 50), (350, 60), (300, 150)):
        canvas.click(*corner)
    keyboard.press("Enter")
    canvas.agrees(canvas.mask(2))

    canvas.use("brush")
    ring = [(450 + 90 * np.cos(t), 200 + 90 * np.sin(t)) for t in np.linspace(0, 6.4, 20)]
    canvas.drag(*ring)
    assert not canvas.mask(3)[200, 450]
    canvas.use("fill")
    canvas.click(450, 200)
    mask = canvas.mask(4)
    assert mask[200, 450] and not mask[380, 20]
    # No crack is left at the line, and nothing is spilt.
    y, x = np.indices(mask.shape)
    away = np.hypot(x - 450, y - 200)
    assert mask[away < 90].all() and not mask[(away > 112) & (x > 370)].any()
    canvas.agrees(mask)

    canvas.use("rectangle")
    keyboard.down("Alt")
    canvas.drag((420, 170), (480, 230))
    keyboard.up("Alt")
    assert not canvas.mask(5)[200, 450]
    keyboard.down("Shift")
    (x0, y0), (x1, _) = canvas.drag((50, 250), (150, 300))
    keyboard.up("Shift")
    square = box_of(canvas.mask(6)[220:, :200])
    assert square == pytest.approx((x0, y0 - 220, x1, y0 + x1 - x0 - 220), abs=1)
    canvas.use("grow")
    grown = canvas.mask(7)
    canvas.agrees(grown)
    canvas.use("shrink")
    canvas.use("shrink")
    assert canvas.mask(9).sum() < grown.sum()
    canvas.agrees(canvas.mask(9))

    canvas.use("fill")
    keyboard.down("Alt")
    canvas.click(100, 280)  # takes the square away
    keyboard.up("Alt")
    assert not canvas.mask(10)[240:, :200].any()
    canvas.agrees(canvas.mask(10))
    screenshot(canvas.tab, f"canvas-shapes-{scale}")
    for count in (9, 8, 7):
        keyboard.press("Control+z")
        canvas.agrees(canvas.mask(count))

    canvas.show(sheet((900, 2000)))
    canvas.use("ellipse")
    (x0, y0), (x1, y1) = canvas.drag((100, 300), (800, 1700))
    assert box_of(canvas.mask(1)) == pytest.approx((x0, y0, x1, y1), abs=2)
    canvas.use("fill")
    canvas.click(20, 20)  # all around it
    assert canvas.mask(2).all()


def test_a_polygon_is_clicked_corner_by_corner(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    keyboard = canvas.tab.keyboard
    canvas.use("polygon")
    canvas.click(100, 100)
    canvas.click(200, 100)
    keyboard.press("Escape")  # leaves it
    for corner in ((300, 100), (400, 100), (500, 390), (400, 200)):
        canvas.click(*corner)
        if corner == (500, 390):
            keyboard.press("Backspace")
    canvas.click(301, 101)  # the first one again closes
    (stroke,) = canvas.strokes(1).strokes
    assert stroke.tool == "polygon"
    np.testing.assert_allclose(stroke.points, [(300, 100), (400, 100), (400, 200)], atol=1)
    for corner in ((50, 200), (150, 200), (150, 300)):
        canvas.click(*corner)
    canvas.tab.mouse.dblclick(*canvas.screen(50, 300))
    assert len(canvas.strokes(2).strokes[1].points) == 4
    canvas.click(300, 300)
    canvas.use("brush")  # another tool leaves it, too
    canvas.drag((500, 300), (510, 300))
    assert canvas.strokes(3).strokes[2].tool == "brush"


def test_shift_draws_a_straight_line_from_the_last_stroke(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    end = canvas.drag((100, 100), (150, 120))[-1]
    canvas.tab.keyboard.down("Shift")
    canvas.click(450, 300)
    canvas.tab.keyboard.up("Shift")
    points = canvas.strokes(2).strokes[1].points
    np.testing.assert_allclose(points, [end, (450, 300)], atol=1)
    assert canvas.mask(2)[210, 300]
    canvas.agrees(canvas.mask(2))


def test_a_pen_draws_as_thick_as_it_is_pressed(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    session = canvas.tab.context.new_cdp_session(canvas.tab)
    places = [(100 + 40 * i, 200) for i in range(11)]
    for i, (x, y) in enumerate(places):
        left, top = canvas.screen(x, y)
        kind = "mousePressed" if i == 0 else "mouseMoved" if i < 10 else "mouseReleased"
        event = {"type": kind, "x": left, "y": top, "button": "left", "buttons": 1}
        session.send(
            "Input.dispatchMouseEvent",
            {**event, "clickCount": 1, "pointerType": "pen", "force": 0.1 + 0.09 * i},
        )
    (stroke,) = canvas.strokes(1).strokes
    assert len(stroke.radii) == len(stroke.points) > 1
    assert stroke.radii[0] < 0.4 * stroke.radius < 0.8 * stroke.radius < stroke.radii[-1]
    mask = canvas.mask(1)
    assert mask[:, 110].sum() < 0.5 * mask[:, 440].sum()
    canvas.agrees(mask)


def test_an_object_is_looked_for_and_comes_as_one_step(open_canvas, app, screenshot):
    canvas = open_canvas(sheet((600, 400)))
    canvas.use("snap")
    points = canvas.drag((250, 150), (300, 200))
    mask = canvas.mask(2)  # what was found, and nothing of the rough stroke
    ((rough,),) = (strokes.strokes for strokes in app.rough)
    np.testing.assert_allclose(rough.points, points, atol=0.1)
    assert mask[120, 220] and not mask[200, 300] and mask[200, 500]
    canvas.agrees(mask)
    screenshot(canvas.tab, "canvas-snap")
    canvas.use("undo")
    canvas.strokes(0)
    canvas.use("redo")
    canvas.strokes(2)
    canvas.tab.keyboard.down("Alt")
    canvas.click(300, 200)
    canvas.tab.keyboard.up("Alt")
    assert not canvas.mask(4).any() and app.rough[1].strokes[0].erase
    canvas.click(50, 50)
    canvas.tab.get_by_text("No object was found there").wait_for()


def test_painting_in_colour(open_canvas, screenshot):
    canvas = open_canvas(sheet((600, 400)))
    tab = canvas.tab
    assert not tab.is_visible("[data-do=paint]")
    tab.keyboard.press("c")  # is of no use yet
    canvas.press("Guide")
    tab.wait_for_selector("[data-do=paint]:not([hidden])")
    canvas.use("paint")
    tab.fill("input[type=color]", "#2040e0")
    canvas.drag((100, 200), (400, 200))
    canvas.until(lambda: canvas.colour(250, 200) == (32, 64, 224), "the paint")
    canvas.use("eraser")
    canvas.drag((200, 100), (200, 300))
    canvas.use("brush")
    canvas.drag((200, 210), (200, 220))
    drawn = canvas.strokes(3)
    assert drawn.colored
    picture = np.full((400, 600, 3), 128, np.uint8)
    painted = paint(drawn, picture)
    for x in (110, 300):
        assert canvas.colour(x, 200) == tuple(painted[200, x]) == (32, 64, 224)
    # What was erased is bare, also under a brush that comes later.
    assert tuple(painted[210, 200]) == GREY and canvas.is_tinted(200, 210)
    screenshot(tab, "canvas-paint")
    canvas.use("paint")
    tab.keyboard.down("Alt")
    canvas.click(500, 350)
    tab.keyboard.up("Alt")
    canvas.until(lambda: tab.input_value("input[type=color]") == "#808080", "the picked colour")
    canvas.use("undo")
    canvas.use("undo")
    canvas.until(lambda: canvas.colour(200, 200) == (32, 64, 224), "the paint again")


def test_a_second_picture_is_pasted_moved_and_scaled(open_canvas, screenshot, tmp_path: Path):
    Image.new("RGB", (100, 50), (10, 200, 30)).save(tmp_path / "second.png")
    canvas = open_canvas(sheet((600, 400)))
    tab = canvas.tab
    canvas.press("Guide")
    tab.wait_for_selector("[data-do=paste]:not([hidden])")
    with tab.expect_file_chooser() as chooser:
        canvas.use("paste")
    chooser.value.set_files(tmp_path / "second.png")
    tab.wait_for_selector(".pasting:not([hidden])")
    canvas.drag((300, 200), (200, 120))  # moves it
    left, top = canvas.screen(250, 145)  # its lower right corner
    tab.mouse.move(left, top)
    tab.mouse.down()
    tab.mouse.move(*canvas.screen(350, 195), steps=4)
    tab.mouse.up()
    screenshot(tab, "canvas-paste")
    tab.keyboard.press("Enter")
    drawn = canvas.strokes(1)
    (pasted,) = drawn.pasted
    assert pasted.box == pytest.approx((150, 95, 350, 195), abs=3)
    mask = rasterize(drawn)
    painted = paint(drawn, np.full((400, 600, 3), 128, np.uint8))
    assert (painted[mask] == (10, 200, 30)).all() and (painted[~mask] == 128).all()
    canvas.until(lambda: canvas.colour(250, 150) == (10, 200, 30), "the pasted picture")
    canvas.use("undo")
    canvas.strokes(0)
    canvas.until(lambda: canvas.colour(250, 150) == GREY, "the picture below")


def test_masks_are_loaded_and_downloaded(open_canvas, app, tmp_path: Path):
    canvas = open_canvas(sheet((600, 400)))
    (tmp_path / "mask.png").write_bytes(FILE)
    with canvas.tab.expect_file_chooser() as chooser:
        canvas.use("load")
    chooser.value.set_files(tmp_path / "mask.png")
    canvas.until(lambda: canvas.is_tinted(300, 50), "the mask")
    assert app.masks == [FILE] and app.files == []
    canvas.use("save")
    canvas.until(lambda: app.downloads, "the wish for the mask")


def test_the_look_the_original_and_the_words(open_canvas, screenshot):
    canvas = open_canvas(sheet((600, 400)))
    tab = canvas.tab
    canvas.use("rectangle")
    canvas.drag((200, 100), (400, 300))
    canvas.use("more")
    tab.check("[value=green]")
    canvas.until(lambda: canvas.colour(300, 200)[1] > 150, "green")
    canvas.use("help")
    assert "Straight line" in tab.inner_text("dialog.help")
    screenshot(tab, "canvas-help")
    tab.keyboard.press("Escape")

    tab.keyboard.down("\\")
    canvas.until(lambda: canvas.colour(300, 200) == GREY, "the original")
    tab.keyboard.up("\\")
    canvas.until(lambda: canvas.colour(300, 200) != GREY, "the mask")
    box = tab.locator("[data-do=original]").bounding_box()
    tab.mouse.move(box["x"] + 20, box["y"] + 20)
    tab.mouse.down()
    canvas.until(lambda: canvas.colour(300, 200) == GREY, "the original")
    tab.mouse.up()

    canvas.press("Blend")
    canvas.until(lambda: canvas.colour(185, 200) != GREY, "the blend band")
    assert canvas.colour(175, 200) == GREY  # farther than 20 pixels
    band, inside = canvas.colour(185, 200), canvas.colour(300, 200)
    assert band[1] > 140 and sum(band) > sum(inside)  # green, and lighter than the mask

    canvas.press("German")
    tab.wait_for_selector("[data-do=brush][aria-label=Pinsel]")
    assert tab.get_attribute("[data-do=undo]", "title") == "Rückgängig (Ctrl+Z)"
    tab.reload()
    canvas.wait_for_size((600, 400))
    canvas.use("rectangle")
    canvas.drag((200, 100), (400, 300))
    canvas.until(lambda: canvas.colour(300, 200)[1] > 150, "green, as remembered")


def test_every_control_has_a_name_in_every_language(open_canvas):
    canvas = open_canvas(sheet((600, 400)))
    nameless = canvas.tab.evaluate("""() =>
        [...document.querySelectorAll(".mask-canvas :is(button, input:not([type=file]))")]
            .filter((item) => !item.getAttribute("aria-label") && !item.textContent.trim())
            .map((item) => item.outerHTML)""")
    assert nameless == []
    words = canvas.view("words")
    english = words.pop("en")
    assert set(words) == {"zh", "es", "fr", "de", "ja"}
    for language, own in words.items():
        assert set(own) == set(english), language
        for key, text in english.items():
            assert ("{}" in text) == ("{}" in own[key]), (language, key)
    used = canvas.tab.evaluate("""() =>
        [...document.querySelectorAll("[data-label], [data-text]")]
            .map(({ dataset }) => dataset.label ?? dataset.text)""")
    assert set(used) <= set(english)

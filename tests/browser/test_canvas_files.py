"""Files and colours that go onto the canvas: pictures, masks, a second picture, paint."""

import base64
from pathlib import Path

import numpy as np
import pytest
from board import GREY, sheet
from PIL import Image

from inpaint.masks import paint, rasterize

pytestmark = pytest.mark.browser


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


def begin_pasting(canvas, folder: Path):
    Image.new("RGB", (100, 50), (10, 200, 30)).save(folder / "second.png")
    canvas.press("Guide")
    canvas.tab.wait_for_selector("[data-do=paste]:not([hidden])")
    with canvas.tab.expect_file_chooser() as chooser:
        canvas.use("paste")
    chooser.value.set_files(folder / "second.png")
    canvas.tab.wait_for_selector(".pasting:not([hidden])")


def test_a_second_picture_is_pasted_moved_and_scaled(open_canvas, screenshot, tmp_path: Path):
    canvas = open_canvas(sheet((600, 400)))
    tab = canvas.tab
    begin_pasting(canvas, tmp_path)
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


def test_a_button_of_the_page_finds_what_is_in_sight(open_canvas, tmp_path: Path):
    canvas = open_canvas(sheet((600, 400)), height=1400)
    tab = canvas.tab
    begin_pasting(canvas, tmp_path)
    tab.wait_for_timeout(100)
    assert tab.inner_text(".notice").startswith("Drag to move")
    for count, tool in ((1, "paste"), (2, "polygon")):
        if tool == "polygon":
            canvas.use(tool)
            for corner in ((50, 50), (150, 60), (100, 150)):
                canvas.click(*corner)
        canvas.press("Echo")
        canvas.until(lambda count=count: tab.input_value("#prompt textarea") == str(count), tool)
        assert canvas.strokes(count).strokes[-1].tool == tool

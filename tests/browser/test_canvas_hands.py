"""Keys, the wheel and fingers on the canvas."""

import re

import numpy as np
import pytest
from board import sheet
from person import touch

pytestmark = pytest.mark.browser


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


def test_keys_that_are_not_for_the_picture(open_canvas):
    tab = open_canvas().tab
    tab.keyboard.press("?")
    tab.wait_for_selector("dialog.help[open]")  # before there is a picture
    tab.click(".help [data-do=close]")
    tab.wait_for_selector("dialog.help:not([open])", state="attached")

    canvas = open_canvas(sheet((600, 400)), height=1400)
    tab = canvas.tab
    canvas.drag((100, 100), (200, 100))
    canvas.strokes(1)
    tab.focus("button:text-is('Echo')")
    tab.mouse.move(*canvas.screen(300, 200))
    tab.keyboard.press("Space")  # presses the button, though the pointer is over the picture
    canvas.until(lambda: tab.input_value("#prompt textarea") == "1", "the button")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.down("Space")
    tab.wait_for_selector(".mask-canvas.grab")
    tab.evaluate("window.dispatchEvent(new Event('blur'))")  # the key is let go elsewhere
    tab.wait_for_selector(".mask-canvas:not(.grab)")
    canvas.drag((100, 300), (200, 300))
    canvas.strokes(2)


@pytest.mark.parametrize("dark", [False, True])
def test_the_tool_in_use_and_the_focus_are_seen(open_canvas, dark):
    tab = open_canvas(sheet((600, 400)), dark=dark).tab
    tab.focus(".tools [data-do=brush]")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Shift+Tab")
    ink, ring, ground = tab.evaluate("""() => {
        const style = getComputedStyle(document.querySelector(".tools [data-do=brush]"));
        return [style.color, style.outlineColor, style.backgroundColor];
    }""")
    assert min(contrast(ink, ground), contrast(ring, ground)) >= 3


def contrast(one: str, other: str) -> float:
    """Of two colours as the browser writes them, as WCAG has it."""
    lights = []
    for colour in (one, other):
        values = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
        line = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        lights.append(line @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(lights) / min(lights)


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

"""The mask canvas in Chromium: what is painted arrives in Python, to the pixel."""

import numpy as np
import pytest
from board import GREY, box_of, sheet

from inpaint.masks import Stroke, Strokes, rasterize

pytestmark = pytest.mark.browser


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

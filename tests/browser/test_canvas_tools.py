"""The tools of the canvas: what each one paints, in the browser and in Python."""

import numpy as np
import pytest
from board import box_of, sheet

pytestmark = pytest.mark.browser


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

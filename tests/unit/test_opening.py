"""What is added to a mask from elsewhere: from a file, from the transparent part, or as found."""

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from inpaint import pictures
from inpaint.masks import Stroke, Strokes, rasterize
from inpaint.pictures import Picture
from inpaint.ui import opening, review
from inpaint.ui.canvas import MaskCanvas, Sheet
from inpaint.ui.session import Session, sheet
from inpaint.ui.uploads import cached
from inpaint.visit import Visit

SIZE = (44, 40)
BRUSH = Stroke("brush", 4, ((10, 10),))
FOUND = np.zeros((40, 44), bool)
FOUND[20:30, 20:40] = True


@pytest.fixture
def session() -> Session:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
    alpha = np.where(FOUND, 0, 255).astype(np.uint8)
    return Session(Visit.begin("name", b"", Picture(pixels, alpha)))


def mask_of(sheet: Sheet) -> np.ndarray:
    return rasterize(sheet.strokes, base=sheet.base)


@pytest.mark.parametrize(
    "strokes",
    [
        (BRUSH,),
        (Stroke("rectangle", 0, ((0, 0), (44, 40))), Stroke("clear")),
        (BRUSH, Stroke("invert")),
        (BRUSH, Stroke("grow", 3)),
        (BRUSH, Stroke("eraser", 5, ((25, 25),))),
    ],
    ids=lambda strokes: strokes[-1].tool,
)
def test_what_is_added_and_what_was_painted_are_both_masked(session, strokes, tmp_path):
    drawn = Strokes(SIZE, strokes)
    wanted = rasterize(drawn) | FOUND
    sheet = opening.with_transparent(session, drawn)
    np.testing.assert_array_equal(mask_of(sheet), wanted)
    session.visit.base = None
    path = tmp_path / "mask.png"
    path.write_bytes(pictures.encode(pictures.read(FOUND), "PNG"))
    sheet = opening.with_mask(session, drawn, path)
    np.testing.assert_array_equal(mask_of(sheet), wanted)
    assert session.visit.base is sheet.base


def test_strokes_that_it_can_lie_under_can_be_undone(session):
    colour = Stroke("paint", 4, ((10, 30),), color="#ff0000")
    drawn = Strokes(SIZE, (BRUSH, colour))
    assert opening.with_transparent(session, drawn).strokes == drawn


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("painted", [False, True])
def test_what_stands_in_the_hole_of_a_found_object_stays(session, monkeypatch, erase, painted):
    ring = np.zeros((40, 44), bool)
    ring[8:32, 8:36], ring[14:26, 14:30] = True, False
    monkeypatch.setattr("inpaint.sam.find", lambda *_: ring)
    before = Stroke("rectangle", points=((4, 4), (40, 36) if painted else (6, 36)))
    rough = Strokes(SIZE, (Stroke("brush", 2, ((11, 20),), erase),))
    found = opening.snapped(session, rough, "cpu")
    was = rasterize(Strokes(SIZE, (before,)))
    now = rasterize(Strokes(SIZE, (before, *found)))
    np.testing.assert_array_equal(now, was & ~ring if erase else was | ring)


def test_an_object_of_a_picture_that_was_left_is_not_added(session, monkeypatch):
    def find(*_):
        session.visit.picture = pictures.read(np.zeros((40, 44, 3), np.uint8))
        return np.ones((40, 44), bool)

    monkeypatch.setattr("inpaint.sam.find", find)
    rough = Strokes(SIZE, (Stroke("brush", 2, ((11, 20),)),))
    assert opening.snapped(session, rough, "cpu") == []


def test_a_clip_that_was_filled_is_kept(session, tmp_path):
    session.clip_made = tmp_path / "filled.mp4"
    assert session.files() == {str(session.clip_made)}


def test_nothing_is_added_while_something_else_goes_on(session):
    drawn = Strokes(SIZE, (BRUSH,))
    with pytest.raises(gr.Error, match="Open a picture"):
        opening.with_transparent(None, drawn)
    session.draft = SimpleNamespace()
    with pytest.raises(gr.Error, match="another candidate"):
        opening.with_transparent(session, drawn)
    session.draft, session.job = None, SimpleNamespace()
    with pytest.raises(gr.Error, match="A run is going on"):
        opening.with_transparent(session, drawn)


def test_a_project_brings_what_was_pasted_where_the_browser_may_fetch_it(
    session, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "one"))
    data = pictures.encode(pictures.read(np.zeros((9, 9, 3), np.uint8)), "PNG")
    paste = Stroke("paste", points=((3, 3), (20, 30)), path=cached(data, "second.png"))
    file = Path(review.project_file(session, Strokes(SIZE, (BRUSH, paste))))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "another"))
    again, drawing = opening.opened(file, pictures.MAX_PIXELS)
    painted = drawing.painted_on(again.visit.picture)
    assert (painted.pixels[4:29, 4:19] == 0).all()
    sent = json.dumps(MaskCanvas().postprocess(sheet(again, drawing)))
    assert MaskCanvas().preprocess(json.loads(sent)) == drawing.strokes

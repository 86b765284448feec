"""What is painted on the page is the mask that the model gets: sizes, cameras, screens, habits."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from board import box_of
from person import EXIF_ORIENTATION, PATIENCE, Canvas, look_at, until, upload
from PIL import Image, ImageOps

from inpaint import editing, pictures
from inpaint.masks import rasterize
from inpaint.ui.examples import examples

pytestmark = pytest.mark.browser

LARGE = 3_000_000  # values of a picture
HEARD = "The test has heard enough."
SIDE = 2048  # of the work copy: points are compared at about this spacing
MARK, GROUND = np.array((235, 225, 30)), (90, 110, 130)
TURNED_BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # by the camera's tag


class Painted:
    """What a hand has painted, as signed distances in pixels; its own idea of every shape."""

    def __init__(self, size: tuple[int, int], start: np.ndarray | None = None) -> None:
        width, height = size
        self.step = max(1, max(size) // SIDE)
        self.y, self.x = np.mgrid[0.5 : height : self.step, 0.5 : width : self.step]
        inside = np.zeros(self.x.shape, bool) if start is None else start
        self.distance = np.where(inside, -1e6, 1e6)

    def box(self, start, end) -> np.ndarray:
        (x0, x1), (y0, y1) = sorted((start[0], end[0])), sorted((start[1], end[1]))
        return np.maximum.reduce([x0 - self.x, self.x - x1, y0 - self.y, self.y - y1])

    def line(self, start, end, radius: float) -> np.ndarray:
        (x0, y0), (dx, dy) = start, np.subtract(end, start)
        share = ((self.x - x0) * dx + (self.y - y0) * dy) / max(dx * dx + dy * dy, 1e-9)
        share = np.clip(share, 0, 1)
        return np.hypot(self.x - x0 - share * dx, self.y - y0 - share * dy) - radius

    def add(self, shape: np.ndarray) -> Painted:
        self.distance = np.minimum(self.distance, shape)
        return self

    def take(self, shape: np.ndarray) -> Painted:
        self.distance = np.maximum(self.distance, -shape)
        return self

    def is_in(self, mask: np.ndarray) -> None:
        """Compare with a mask, but for the pixels that an edge goes through."""
        found = mask[:: self.step, :: self.step]
        sure = np.abs(self.distance) > 0.75
        wrong = sure & (found != (self.distance < 0))
        assert sure.mean() > 0.9 and not wrong.any(), f"{wrong.sum()} of {wrong.size} differ"


@dataclass
class Reached:
    """What the last run was given."""

    picture: pictures.Picture | None = None
    mask: np.ndarray | None = None


@pytest.fixture
def reached(monkeypatch) -> Reached:
    """Listen in front of the edit, which runs; one of a large picture would take too long."""
    found, edit = Reached(), editing.edit

    def listening(picture, mask, **settings):
        found.picture, found.mask = picture, mask
        if picture.pixels.size > LARGE:
            raise ValueError(HEARD)
        return edit(picture, mask, **settings)

    monkeypatch.setattr(editing, "edit", listening)
    return found


def photograph(folder: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    """Write a flat picture with a mark, as a camera that was held like this does."""
    width, height = size
    image = Image.new("RGB", size, GROUND)
    image.paste(tuple(MARK), (width * 2 // 3, height // 6, width * 7 // 8, height // 2))
    image.getexif()[EXIF_ORIENTATION] = TURNED_BACK[orientation]
    stored = ImageOps.exif_transpose(image)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = folder / f"{width}x{height}-{orientation}.jpg"
    stored.save(path, exif=exif, quality=95)
    return path


def mark_on_screen(tab, scale: float) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is seen of the mark, in the window's own pixels."""
    seen = np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("RGB")).astype(int)
    left, top, right, bottom = box_of((np.abs(seen - MARK) < 30).all(axis=2))
    return tuple(round(side / scale) for side in (left, top, right, bottom))


def fill(tab, reached: Reached) -> np.ndarray:
    """Press the button, and return the mask that the run got."""
    reached.mask = None
    tab.click("#fill")
    deadline = time.monotonic() + PATIENCE / 1000
    while reached.mask is None:
        assert time.monotonic() < deadline, "the run did not begin"
        tab.wait_for_timeout(20)
    if reached.picture.pixels.size > LARGE:
        tab.get_by_text(HEARD).wait_for()
    else:
        until(tab, "text('#status').startsWith('Done')")
    until(tab, "!document.querySelector('#fill').disabled")
    return reached.mask


def radius(canvas: Canvas) -> float:
    """Radius of the brush in pixels of the picture."""
    return float(canvas.tab.get_by_label("Brush size").last.input_value()) / canvas.view("zoom")


def drag_over_the_mark(canvas: Canvas, scale: float) -> list[tuple[float, float]]:
    """Draw a rectangle over the inner part of the mark, where the eye sees it."""
    canvas.use("rectangle")
    left, top, right, bottom = mark_on_screen(canvas.tab, scale)
    return canvas.drag(canvas.point(left + 2, top + 2), canvas.point(right - 2, bottom - 2))


SIZES = {
    1: [((50, 50), 1), ((1200, 800), 6), ((9000, 6000), 8), ((60, 340), 3)],
    2: [((60, 50), 5), ((9000, 6000), 2), ((800, 1200), 7), ((340, 60), 4)],
}


@pytest.mark.parametrize("scale", SIZES)
def test_photographs_of_every_size_one_after_the_other(visit, reached, tmp_path, scale):
    tab = visit("?steps=1", scale=scale)
    canvas = Canvas(tab)
    for size, orientation in SIZES[scale]:
        width, height = size
        upload(tab, photograph(tmp_path, size, orientation))
        painted = Painted(size)
        painted.add(painted.box(*drag_over_the_mark(canvas, scale)))
        canvas.use("brush")
        ends = canvas.drag((width * 0.2, height * 0.8), (width * 0.4, height * 0.8))
        mask = fill(tab, reached)
        assert mask.shape == (height, width) == reached.picture.pixels.shape[:2]
        painted.add(painted.line(*ends, radius(canvas))).is_in(mask)
        there = reached.picture.pixels[: height // 2][mask[: height // 2]]
        assert len(there) and (np.abs(there - MARK.astype(int)) < 30).all(), "beside the mark"


def test_after_undo_and_other_tools_tasks_and_views(visit, reached, tmp_path):
    tab = visit("?steps=1")
    canvas = Canvas(tab)
    upload(tab, photograph(tmp_path, (600, 400)))
    painted = Painted((600, 400))
    painted.add(painted.line(*canvas.drag((50, 50), (250, 50)), radius(canvas)))
    canvas.use("rectangle")
    canvas.drag((400, 200), (500, 300))
    canvas.use("undo")
    painted.add(painted.box(*canvas.drag((40, 200), (200, 330))))
    canvas.use("eraser")
    painted.take(painted.line(*canvas.drag((20, 260), (220, 260)), radius(canvas)))
    canvas.drag((20, 60), (220, 60))
    tab.keyboard.press("Control+z")
    canvas.use("invert")
    canvas.use("clear")
    for _ in range(3):
        canvas.use("undo")
    canvas.use("redo")
    tab.get_by_label("Replace", exact=True).check()
    until(tab, "text('#fill') == 'Replace'")
    tab.get_by_label("Remove", exact=True).check()
    until(tab, "text('#fill') == 'Remove'")
    first = fill(tab, reached)
    painted.is_in(first)

    look_at(tab, "Compare")
    look_at(tab, "Mask")
    canvas.use("rectangle")
    tab.keyboard.down("Alt")
    painted.take(painted.box(*canvas.drag((100, 20), (180, 80))))
    tab.keyboard.up("Alt")
    painted.is_in(fill(tab, reached))

    tab.locator("#history").get_by_text("1 · Remove").click()
    until(tab, "text('#status').includes('is back')")
    np.testing.assert_array_equal(fill(tab, reached), first)

    tab.get_by_role("button", name="Continue from this").click()
    until(tab, "text('#cost') == ''")
    look_at(tab, "Mask")
    painted = Painted((600, 400))
    painted.add(painted.box(*canvas.drag((300, 100), (420, 180))))
    painted.is_in(fill(tab, reached))


def test_a_mask_from_a_file_lies_under_the_strokes_and_goes_with_its_picture(
    visit, reached, tmp_path
):
    tab = visit("?steps=1")
    canvas = Canvas(tab)
    upload(tab, photograph(tmp_path, (300, 200)))
    preset = np.zeros((200, 300), bool)
    preset[120:171, 33:90] = True
    Image.fromarray(preset).save(tmp_path / "preset.png")
    with tab.expect_file_chooser() as chooser:
        canvas.use("load")
    chooser.value.set_files(tmp_path / "preset.png")
    canvas.until(lambda: canvas.is_tinted(60, 140), "the mask of the file")
    painted = Painted((300, 200), preset)
    canvas.use("eraser")
    painted.take(painted.line(*canvas.drag((60, 100), (60, 190)), radius(canvas)))
    canvas.use("rectangle")
    painted.add(painted.box(*canvas.drag((200, 30), (250, 60))))
    painted.is_in(fill(tab, reached))

    upload(tab, photograph(tmp_path, (200, 300)))
    painted = Painted((200, 300))
    painted.add(painted.box(*canvas.drag((30, 120), (100, 160))))
    painted.is_in(fill(tab, reached))


def test_transparent_pixels_and_ready_masks_are_masks(visit, reached, tmp_path):
    tab = visit("?steps=1")
    tab.locator("#examples button").first.click()
    until(tab, "text('#status').startsWith('Done')")
    ready = rasterize(examples()[0].strokes)
    np.testing.assert_array_equal(reached.mask, ready)

    pixels = np.full((80, 120, 4), (*GROUND, 255), np.uint8)
    pixels[20:50, 30:70, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "hole.png")
    upload(tab, tmp_path / "hole.png")
    reached.picture = None
    tab.click("#fill")
    until(tab, "text('#status').startsWith('Done')")
    np.testing.assert_array_equal(reached.picture.alpha == 0, pixels[..., 3] == 0)
    assert reached.mask is None  # then what is transparent is meant

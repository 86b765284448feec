"""What a person can do with the canvas on the page, beyond painting a mask and filling it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from person import costs, filled, number, paint, saved, shows, shows_mode, until, upload, view
from PIL import Image

from inpaint import masks
from inpaint.masks import Stroke, Strokes

pytestmark = pytest.mark.browser

SIZE = (240, 160)
SHIFT = "new PerformanceObserver(list => { for (const entry of list.getEntries()) "
SHIFT += "window.shifted = (window.shifted ?? 0) + entry.value })"
SHIFT += ".observe({ type: 'layout-shift', buffered: false })"


@pytest.fixture
def disc(tmp_path):
    """Draw a dark disc of 100 pixels on a light ground with grain, and its mask."""
    truth = masks.rasterize(Strokes(SIZE, (Stroke("brush", 50, ((120, 80),)),)))
    grain = np.random.default_rng(0).normal(0, 5, (*truth.shape, 3))
    pixels = np.where(truth[..., None], [60, 70, 140], [190, 200, 170]) + grain
    path = tmp_path / "disc.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path, truth


def colour(tab, x: float, y: float) -> np.ndarray:
    """Mean colour of what is shown around a point of the picture."""
    left, top = tab.evaluate(
        "p => document.querySelector('.mask-canvas').canvasView.toScreen(...p)", [x, y]
    )
    clip = {"x": left - 6, "y": top - 6, "width": 12, "height": 12}
    shot = Image.open(io.BytesIO(tab.screenshot(clip=clip))).convert("RGB")
    return np.asarray(shot, float).mean(axis=(0, 1))


def save_mask(tab, folder) -> np.ndarray:
    tab.locator(".mask-canvas [data-do=more]").click()
    path = saved(tab, ".mask-canvas .menu [data-do=save]", folder)
    tab.keyboard.press("Escape")
    return np.asarray(Image.open(path)) > 127


def test_before_and_after_lie_on_the_picture_and_nothing_jumps(visit, disc, screenshot):
    path, _ = disc
    tab = visit("?steps=2")
    upload(tab, path)
    tab.evaluate(SHIFT)
    tab.keyboard.press("s")
    paint(tab, (120, 80))
    place = view(tab, "toScreen(120, 80)")
    costs(tab)
    tab.click("#fill")
    filled(tab)
    shows_mode(tab, "compare")
    assert view(tab, "toScreen(120, 80)") == place, "the picture moved"
    assert tab.evaluate("window.shifted ?? 0") < 0.02

    # All of the result is to be seen at first; the handle draws the picture of before over it.
    after = colour(tab, 120, 80)
    handle = tab.get_by_role("slider", name="Before left of here")
    handle.press("End")
    before = colour(tab, 120, 80)
    assert np.abs(before - [60, 70, 140]).max() < 12 < np.abs(after - before).max()
    handle.press("Home")
    assert np.abs(colour(tab, 120, 80) - after).max() < 4
    x, y = place
    tab.mouse.move(*view(tab, "toScreen(10, 80)"))
    tab.mouse.down()
    tab.mouse.move(x + 40, y)
    tab.mouse.up()
    assert np.abs(colour(tab, 120, 80) - before).max() < 4
    screenshot(tab, "studio-compare")
    handle.press("Home")
    tab.keyboard.down("\\")
    assert np.abs(colour(tab, 120, 80) - before).max() < 4
    tab.keyboard.up("\\")

    # Undo goes back to the mask, redo to the result; a tool goes on painting.
    tab.keyboard.press("Control+z")
    shows_mode(tab, "paint")
    assert view(tab, "toScreen(120, 80)") == place
    tab.keyboard.press("Control+Shift+z")
    shows_mode(tab, "compare")
    tab.keyboard.press("e")
    shows_mode(tab, "paint")


def test_undo_goes_back_across_runs(visit, disc, tmp_path):
    path, _ = disc
    tab = visit("?steps=2")
    upload(tab, path)
    paint(tab, (100, 80), (140, 80))
    drawn = save_mask(tab, tmp_path)
    costs(tab)
    tab.click("#fill")
    filled(tab)
    original = view(tab, "src")
    tab.click("#proceed")
    source = "document.querySelector('.mask-canvas').canvasView.src"
    until(tab, f"{source} && {source} != it", original)
    tab.keyboard.press("Control+z")
    shows_mode(tab, "compare")
    costs(tab)
    tab.click("[data-do=paint-view]")
    np.testing.assert_array_equal(save_mask(tab, tmp_path), drawn)


def test_snap_masks_the_object_that_is_clicked(visit, disc, screenshot, tmp_path):
    path, truth = disc
    tab = visit()
    upload(tab, path)
    tab.keyboard.press("s")
    paint(tab, (120, 80))
    costs(tab)
    screenshot(tab, "studio-snap")
    found = save_mask(tab, tmp_path)
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    tab.keyboard.press("Control+z")
    until(tab, "text('#cost') == ''")


def test_a_mask_outlives_tasks_models_settings_and_what_is_found(visit, disc, tmp_path):
    path, _ = disc
    tab = visit()
    upload(tab, path)
    paint(tab, (30, 30), (60, 40))
    costs(tab)
    drawn = save_mask(tab, tmp_path)
    tab.get_by_label("Repair").check()
    until(tab, "text('#fill') == 'Repair'")
    tab.get_by_label("Model").click()
    tab.get_by_role("option", name="Photo").click()
    until(tab, "location.search.includes('model=photo')")
    number(tab, "steps", 3)
    np.testing.assert_array_equal(save_mask(tab, tmp_path), drawn)
    tab.click("#find")
    until(tab, "document.querySelector('.mask-canvas').canvasView.base")
    until(tab, "!disabled('#find') && !disabled('.mask-canvas [data-do=undo]')")
    assert save_mask(tab, tmp_path)[drawn].all(), "what was painted is gone"


def test_the_transparent_part_becomes_the_mask(visit, tmp_path):
    pixels = np.full((60, 90, 4), 180, np.uint8)
    pixels[..., 3] = 255
    pixels[20:40, 30:70, 3] = 0
    path = tmp_path / "hole.png"
    Image.fromarray(pixels).save(path)
    tab = visit()
    assert not tab.locator("#see-through").is_visible()
    upload(tab, path)
    paint(tab, (10, 10))
    tab.click("#see-through")
    costs(tab)
    mask = save_mask(tab, tmp_path)
    assert mask[20:40, 30:70].all() and mask[10, 10] and not mask[50:].any()


def test_a_picture_from_the_camera(visit, screenshot):
    tab = visit()
    tab.locator(".mask-canvas .shoot").click()
    tab.get_by_text("does not let this page use the camera").wait_for()
    tab.context.grant_permissions(["camera"])
    tab.locator(".mask-canvas .shoot").click()
    until(tab, "document.querySelector('.camera video').videoWidth > 0")
    size = tab.evaluate("(v => [v.videoWidth, v.videoHeight])(document.querySelector('video'))")
    screenshot(tab, "studio-camera")
    tab.get_by_role("button", name="Take the picture").click()
    shows(tab, size)
    assert tab.evaluate("document.querySelector('video').srcObject") is None, "it is still on"


def test_a_mask_that_is_too_tight_grows_by_a_step(visit, disc, tmp_path):
    path, _ = disc
    tab = visit("?steps=2")
    upload(tab, path)
    tab.keyboard.press("s")
    paint(tab, (120, 80))
    costs(tab)
    for _ in range(6):
        tab.keyboard.press(",")  # shrink it: a rim of the disc is left
    drawn = save_mask(tab, tmp_path)
    tab.click("#fill")
    filled(tab)
    tab.locator("#grow-again").click()
    until(tab, "text('#history').includes('2 · Remove')")
    filled(tab)
    tab.click("[data-do=paint-view]")
    np.testing.assert_array_equal(save_mask(tab, tmp_path), masks.grow(drawn, 6))
    tab.keyboard.press("Control+z")
    np.testing.assert_array_equal(save_mask(tab, tmp_path), drawn)


def test_a_message_is_a_sentence_and_a_button_has_a_tip(visit):
    tab = visit()
    tab.click("#fill")
    tab.get_by_text("Open a picture first").wait_for()
    assert "Error" not in tab.locator(".toast-wrap").inner_text()
    tab.hover("#open-project")
    until(tab, "document.querySelector('#open-project').title.includes('project')")

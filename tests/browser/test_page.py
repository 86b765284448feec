"""The whole page as a person uses it: the real app, the real model, a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaint import pictures
from inpaint.ui.examples import examples
from inpaint.ui.page import CSS, Options, create_demo

pytestmark = pytest.mark.browser
FILLED = "(document.querySelector('#receipt')?.innerText || '').includes('outside')"
EXIF_MAKE = 271


@pytest.fixture(scope="module")
def address(serve) -> str:
    return serve(create_demo(Options()), css_paths=CSS)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> Path:
    """A photograph of 3000x2000 with EXIF, made of an example by tiling and noise."""
    part = np.asarray(Image.open(examples()[0].picture).convert("RGB").resize((1000, 1000)))
    tiled = np.tile(part, (2, 3, 1)).astype(np.int16)
    noise = np.random.default_rng(0).integers(-6, 7, tiled.shape)
    exif = Image.Exif()
    exif[EXIF_MAKE] = "Camera of the test"
    path = tmp_path_factory.mktemp("photograph") / "holiday.png"
    image = Image.fromarray((tiled + noise).clip(0, 255).astype(np.uint8))
    image.save(path, exif=exif, compress_level=1)
    return path


def upload(tab, path: Path) -> None:
    with tab.expect_file_chooser() as chooser:
        tab.locator(".mask-canvas .invitation, .mask-canvas [aria-label^='Open']").first.click()
    chooser.value.set_files(path)
    size = list(pictures.read(path).size)
    tab.wait_for_function(
        "size => String(document.querySelector('.mask-canvas').canvasView.size) == String(size)",
        arg=size,
        timeout=60_000,
    )


def paint(tab, *points: tuple[float, float]) -> None:
    """Draw with the mouse through points of the picture."""
    view = "p => document.querySelector('.mask-canvas').canvasView.toScreen(...p)"
    (x, y), *rest = [tab.evaluate(view, list(point)) for point in points]
    tab.mouse.move(x, y)
    tab.mouse.down()
    for x, y in rest:
        tab.mouse.move(x, y, steps=5)
    tab.mouse.up()
    tab.wait_for_function("document.querySelector('#cost').innerText.includes('evaluations')")


def test_fill_a_photograph_and_download_it(address, photograph, page, screenshot, tmp_path):
    tab = page(address)
    tab.locator(".mask-canvas .invitation").wait_for()
    screenshot(tab, "page-empty")
    upload(tab, photograph)
    paint(tab, (1500, 900), (1560, 930))
    screenshot(tab, "page-painted")
    tab.click("#fill")
    tab.wait_for_function(
        "document.querySelector('#status').innerText.includes('of')", timeout=60_000
    )
    screenshot(tab, "page-running")
    tab.wait_for_function(FILLED, timeout=60_000)
    assert tab.inner_text("#receipt").startswith("0 of ")
    with tab.expect_download(timeout=30_000) as download:
        tab.click("#download")
    screenshot(tab, "page-filled")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "holiday-filled.png"

    before, after = pictures.read(photograph), pictures.read(saved)
    assert after.size == (3000, 2000)
    assert Image.open(saved).getexif()[EXIF_MAKE] == "Camera of the test"
    changed = (before.pixels != after.pixels).any(axis=2)
    ys, xs = np.nonzero(changed)
    # What was painted, its brush and the widening: nothing else.
    assert 1400 < xs.min() < xs.max() < 1660
    assert 800 < ys.min() < ys.max() < 1030
    assert changed[880:950, 1500:1560].mean() > 0.9


def test_a_jpeg_keeps_what_was_not_edited(address, photograph, page, tmp_path):
    path = tmp_path / "holiday.jpg"
    Image.open(photograph).save(path, quality=88, exif=Image.open(photograph).getexif())
    tab = page(address)
    upload(tab, path)
    paint(tab, (1500, 900), (1560, 930))
    tab.click("#fill")
    tab.wait_for_function(FILLED, timeout=60_000)
    with tab.expect_download(timeout=30_000) as download:
        tab.click("#download")
    saved = tmp_path / "saved.jpg"
    download.value.save_as(saved)
    before, after = np.asarray(Image.open(path)), np.asarray(Image.open(saved))
    ys, xs = np.nonzero((before != after).any(axis=2))
    # The area of the other test, and one block of 16 pixels around it.
    assert 1400 - 16 < xs.min() < xs.max() < 1660 + 16
    assert 800 - 16 < ys.min() < ys.max() < 1030 + 16
    assert Image.open(saved).getexif()[EXIF_MAKE] == "Camera of the test"


def test_an_example_candidates_and_going_on(address, page, screenshot):
    tab = page(address)
    tab.locator("#examples button").nth(1).click()
    tab.wait_for_function(
        "document.querySelector('#cost').innerText.includes('evaluations')", timeout=60_000
    )
    tab.locator("#candidates input[type=number]").fill("2")
    tab.locator("#candidates input[type=number]").press("Tab")
    tab.click("#fill")
    tab.wait_for_function(FILLED, timeout=60_000)
    cards = tab.locator("#gallery button.thumbnail-item")
    assert cards.count() == 2
    first = tab.locator("#compare img").nth(1).get_attribute("src")
    cards.nth(1).click()
    tab.wait_for_function(
        "first => document.querySelectorAll('#compare img')[1].src != first", arg=first
    )
    screenshot(tab, "page-candidates")
    tab.click("#proceed")
    tab.locator("#compare").wait_for(state="hidden")
    tab.wait_for_function(
        "String(document.querySelector('.mask-canvas').canvasView.size) === '512,512'"
    )
    assert tab.inner_text("#cost") == ""  # the mask is gone with the old picture


def test_stop_keeps_the_latest(address, photograph, page):
    tab = page(address)
    upload(tab, photograph)
    tab.locator("#steps input[type=number]").fill("50")
    tab.locator("#steps input[type=number]").press("Tab")
    paint(tab, (1000, 500), (1400, 900), (1800, 500))
    tab.click("#fill")
    tab.wait_for_function(
        "document.querySelector('#status').innerText.includes('step')", timeout=60_000
    )
    tab.click("#stop")
    tab.wait_for_function(
        "document.querySelector('#status').innerText.includes('Stopped')", timeout=60_000
    )
    tab.wait_for_function(FILLED, timeout=60_000)
    assert tab.locator("#fill").is_enabled()


def test_what_is_missing_is_said(address, photograph, page, screenshot):
    tab = page(address)
    tab.click("#fill")
    tab.get_by_text("Open a picture first").wait_for()
    covered = """() => {
        const box = document.querySelector("#fill").getBoundingClientRect();
        const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return top.closest("#fill") === null;
    }"""
    assert not tab.evaluate(covered), "the message lies over the button"
    upload(tab, photograph)
    tab.click("#fill")
    tab.get_by_text("Nothing is painted").wait_for(timeout=60_000)
    assert tab.locator("#fill").is_enabled()
    screenshot(tab, "page-message")


def test_a_broken_file_is_one_sentence(address, page, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 10)
    tab = page(address)
    with tab.expect_file_chooser() as chooser:
        tab.locator(".mask-canvas .invitation").click()
    chooser.value.set_files(broken)
    tab.get_by_text("not a picture that can be read").wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_phone_width_has_no_sideways_scroll(address, page, screenshot, dark):
    tab = page(address, width=390, height=844, dark=dark, touch=True)
    tab.locator(".mask-canvas .invitation").wait_for()
    screenshot(tab, f"phone-{'dark' if dark else 'light'}-empty")
    tab.locator("#examples button").first.click()
    tab.wait_for_function(
        "document.querySelector('#cost').innerText.includes('evaluations')", timeout=60_000
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    screenshot(tab, f"phone-{'dark' if dark else 'light'}")


def test_dark_desktop(address, page, screenshot):
    tab = page(address, dark=True)
    tab.locator("#examples button").first.click()
    tab.wait_for_function(
        "document.querySelector('#cost').innerText.includes('evaluations')", timeout=60_000
    )
    screenshot(tab, "page-dark")

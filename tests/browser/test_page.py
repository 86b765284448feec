"""The whole page as a person uses it: the real app, the real model, a real browser."""

from __future__ import annotations

import io
import json
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from person import (
    EXIF_MAKE,
    Canvas,
    costs,
    filled,
    look_at,
    number,
    paint,
    saved,
    until,
    upload,
)
from PIL import Image

from inpaint import pictures
from inpaint.ui import words
from inpaint.ui.examples import examples

pytestmark = pytest.mark.browser


def test_fill_a_photograph_and_download_it(visit, photograph, screenshot, tmp_path):
    tab = visit()
    screenshot(tab, "page-empty")
    upload(tab, photograph)
    paint(tab, (1500, 900), (1560, 930))
    costs(tab)
    screenshot(tab, "page-painted")
    tab.click("#fill")
    until(tab, "text('#status').includes('step')")
    screenshot(tab, "page-running")
    filled(tab)
    assert tab.inner_text("#receipt").startswith("0 of ")
    screenshot(tab, "page-filled")
    path = saved(tab, "#download", tmp_path)
    assert path.name == "holiday-fill.png"

    before, after = pictures.read(photograph), pictures.read(path)
    assert after.size == (2400, 1600)
    assert Image.open(path).getexif()[EXIF_MAKE] == "Camera of the test"
    ys, xs = np.nonzero((before.pixels != after.pixels).any(axis=2))
    # What was painted, its brush and the widening: nothing else.
    assert 1400 < xs.min() < xs.max() < 1660
    assert 800 < ys.min() < ys.max() < 1030
    assert (before.pixels != after.pixels).any(axis=2)[880:950, 1500:1560].mean() > 0.9

    recipe = json.loads(pictures.embedded_text(path)["inpaint"])
    assert recipe["settings"]["task"] == "fill"
    assert b"compositeWithTrainedAlgorithmicMedia" in path.read_bytes()
    tab.locator("#with-recipe input").uncheck()
    assert "inpaint" not in pictures.embedded_text(saved(tab, "#download", tmp_path))
    mask = np.asarray(Image.open(saved(tab, "#download-mask", tmp_path)))
    assert mask.shape == (1600, 2400) and mask[915, 1530] == 255 and mask[0, 0] == 0


def test_a_jpeg_keeps_what_was_not_edited(visit, photograph, tmp_path):
    path = tmp_path / "holiday.jpg"
    Image.open(photograph).save(path, quality=88, exif=Image.open(photograph).getexif())
    tab = visit()
    upload(tab, path)
    paint(tab, (1500, 900), (1560, 930))
    costs(tab)
    tab.keyboard.press("Control+Enter")
    filled(tab)
    assert tab.locator("#download-exact").is_visible(), "a JPEG is offered as PNG, too"
    done = saved(tab, "#download", tmp_path)
    assert done.name == "holiday-fill.jpg"
    before, after = np.asarray(Image.open(path)), np.asarray(Image.open(done))
    ys, xs = np.nonzero((before != after).any(axis=2))
    # The area of the other test, and one block of 16 pixels around it.
    assert 1400 - 16 < xs.min() < xs.max() < 1660 + 16
    assert 800 - 16 < ys.min() < ys.max() < 1030 + 16
    assert Image.open(done).getexif()[EXIF_MAKE] == "Camera of the test"


def test_stop_keeps_the_latest_and_the_next_in_line_is_told(visit, photograph):
    tab, other = visit("?steps=50"), visit("?steps=1")
    upload(tab, photograph)
    paint(tab, (1000, 500), (1400, 900), (1800, 500))
    costs(tab)
    tab.click("#fill")
    until(tab, "text('#status').includes('step')")
    other.locator("#examples button").first.click()
    until(other, "text('#status') == 'Busy: 1 ahead of you'")
    tab.keyboard.press("Escape")
    until(tab, "text('#status').includes('Stopped')")
    filled(tab)
    filled(other)


def test_a_closed_tab_ends_its_run(visit, photograph):
    tab, other = visit("?steps=50&candidates=4&resample=10"), visit("?steps=1")
    upload(tab, photograph)
    paint(tab, (400, 500), (1400, 1400), (2200, 500))
    costs(tab)
    tab.click("#fill")
    until(tab, "text('#status').includes('step')")
    tab.close()
    began = time.monotonic()
    other.locator("#examples button").first.click()
    filled(other)
    assert time.monotonic() - began < 30  # the run that was left takes minutes


def test_what_is_missing_is_said(visit, photograph, screenshot):
    tab = visit()
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
    tab.get_by_text("Nothing is painted").wait_for()
    until(tab, "!document.querySelector('#fill').disabled")
    screenshot(tab, "page-message")


def test_a_broken_file_is_one_sentence(visit, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 10)
    tab = visit()
    with tab.expect_file_chooser() as chooser:
        tab.locator(".mask-canvas .invitation").click()
    chooser.value.set_files(broken)
    tab.get_by_text("not a picture that can be read").wait_for()


def test_the_page_follows_the_task_and_the_address_restores_it(visit, screenshot):
    tab = visit()
    tab.get_by_label("Extend").check()
    tab.locator("#left").wait_for()
    until(tab, "text('#fill') == 'Extend'")
    assert not tab.locator("#sensitivity").is_visible()
    number(tab, "left", 40)
    query = urlsplit(tab.url).query
    assert parse_qs(query) == {"task": ["extend"], "left": ["40"]}
    again = visit(f"?{query}&steps=nonsense")
    until(again, "text('#fill') == 'Extend'")
    until(again, "document.querySelector('#left input[type=number]').value == '40'")
    screenshot(again, "page-extend")
    # Where the model is another one, what it brings is in the address, also as it usually is.
    led = visit("?task=fill&model=photo&steps=10&candidates=2&sampler=ddnm")
    until(led, "location.search.includes('steps=10') && location.search.includes('eta=')")
    assert parse_qs(urlsplit(led.url).query)["sampler"] == ["ddnm"]


def test_a_number_that_is_cleared_leaves_the_setting_at_its_default(visit):
    tab = visit("?task=extend&left=40&steps=3")
    upload(tab, examples()[0].picture)
    costs(tab)
    before = tab.inner_text("#cost")
    tab.locator("#steps input[type=number]").fill("")
    until(tab, "text('#cost').includes('evaluations') && text('#cost') != it", before)
    assert not tab.locator(".toast-body").count()


def test_of_two_tasks_chosen_at_once_the_second_counts(visit):
    tab = visit()
    tab.evaluate("""for (const name of ["extend", "denoise"])
        document.querySelector(`#task input[value=${name}]`).click()""")
    until(tab, "text('#fill') == 'Denoise' && location.search.startsWith('?task=denoise')")
    tab.locator("#noise").wait_for()
    assert tab.locator("#task input:checked").input_value() == "denoise"
    assert not tab.locator("#left").is_visible()


def test_escape_closes_a_list_and_stops_nothing(visit):
    tab = visit()
    tab.locator("#stop").wait_for()
    tab.evaluate("""() => {
        const stop = document.querySelector("#stop");
        stop.disabled = false;
        globalThis.stops = 0;
        stop.addEventListener("click", () => globalThis.stops++);
    }""")
    tab.get_by_label("Model").click()
    tab.get_by_role("option", name="Photo").wait_for()
    tab.keyboard.press("Escape")
    assert tab.evaluate("stops") == 0
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("Escape")
    assert tab.evaluate("stops") == 1


@pytest.mark.parametrize("width, language", [(320, "de"), (390, "fr")])
def test_nothing_is_cut_off_on_a_narrow_screen(visit, screenshot, width, language):
    tab = visit("?steps=1&candidates=2", width=width, locale=language)
    tab.locator("#examples button").first.click()
    until(tab, "document.querySelector('#download').disabled === false")
    until(tab, "document.querySelector('.mask-canvas').canvasView.mode == 'compare'")
    assert tab.evaluate("document.querySelector('.caption').clientWidth") >= 50
    ends = """[...document.querySelectorAll('#outcome, #outcome *')].map(
        (part) => part.getBoundingClientRect().right)"""
    assert max(tab.evaluate(ends)) <= width
    screenshot(tab, f"page-narrow-{language}")


def test_a_second_picture_is_taken_where_the_task_has_a_use_for_it(visit, photograph, screenshot):
    tab = visit("?task=replace")
    tab.locator("#guide").wait_for()
    upload(tab, photograph)
    with tab.expect_file_chooser() as chooser:
        tab.click("#guide")
    chooser.value.set_files(examples()[0].picture)
    until(tab, "document.querySelector('#guide-view img')?.naturalWidth > 0")
    screenshot(tab, "page-guide")
    tab.click("#guide-remove")
    until(tab, "!document.querySelector('#guide-view img')")


def test_a_project_brings_what_was_pasted_and_the_second_picture(visit, photograph, tmp_path):
    Image.new("RGB", (100, 50), (10, 200, 30)).save(tmp_path / "second.png")
    tab = visit("?task=replace&steps=2")
    upload(tab, photograph)
    canvas = Canvas(tab)

    def choose(press, name, file, on=tab):
        with on.expect_file_chooser() as chooser:
            press(name)
        chooser.value.set_files(file)

    choose(canvas.use, "paste", tmp_path / "second.png")
    tab.wait_for_selector(".pasting:not([hidden])")
    tab.keyboard.press("Enter")
    costs(tab)
    tab.click("#fill")
    filled(tab)
    choose(tab.click, "#guide", examples()[0].picture)
    seen = "document.querySelector('#guide-view img')?.naturalWidth > 0"
    until(tab, seen)
    project = saved(tab, "#download-project", tmp_path)
    tab.close()

    other = visit()
    choose(other.click, "#open-project", project, on=other)
    until(other, seen)
    until(other, "text('#cost').includes('2 evaluations')")
    assert other.locator("#task input:checked").input_value() == "replace"
    until(other, "document.querySelector('#download').disabled === false")
    look_at(other, "Mask")
    left, top = Canvas(other).screen(1200, 800)
    shot = Image.open(io.BytesIO(other.screenshot())).convert("RGB")
    assert np.abs(np.subtract(shot.getpixel((left, top)), (10, 200, 30))).max() < 12
    other.click("#guide-remove")
    until(other, "!document.querySelector('#guide-view img')")
    other.click("#fill")
    filled(other)
    until(other, "text('#history').includes('2 · ')")


@pytest.mark.parametrize("language", [name for name in words.LANGUAGES if name != "en"])
def test_the_page_speaks_the_visitors_language(visit, screenshot, language):
    texts = words.texts(language)
    # What a browser set to Chinese asks for; Gradio knows no plain "zh".
    tab = visit("?steps=2", locale={"zh": "zh-CN"}.get(language, language))
    until(tab, "text('#examples').includes(it)", texts["example_astronaut"])
    tab.locator("#examples button").first.click()
    until(tab, "document.querySelector('#download').disabled === false")
    seen = tab.inner_text("body")
    for key in ("task_fill_tip", "setting_steps_tip", "model_blend_tip", "candidates", "private"):
        assert texts[key] in seen
    assert "__i18n__" not in seen
    english = words.english()
    for key, text in english.items():
        assert texts[key] == text or len(text) < 12 or text not in seen, f"{key} is in English"
    screenshot(tab, f"page-{language}")

"""A person walks through the page: wide and on a phone, light and dark.

Every stop is a picture to look at, in the folder that INPAINT_SCREENSHOTS names. No tab may
complain, ask another machine for anything, or shut anybody out: see conftest.py and `accessible`.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from person import Canvas, costs, filled, look_at, saved, shows, shows_mode, touch, until, upload
from PIL import Image, ImageDraw

pytestmark = pytest.mark.browser

CARDS = "document.querySelectorAll('#gallery button.thumbnail-item').length"
WATCH = """() => {
    globalThis.shifts = [];
    [globalThis.begun, globalThis.over] = [Infinity, Infinity];
    const name = ({ node }) => node && `${node.nodeName} ${node.id} ${node.className}`;
    new PerformanceObserver((list) => {
        for (const { startTime, value, sources } of list.getEntries())
            shifts.push([startTime, value, sources.map(name)]);
    }).observe({ type: "layout-shift" });
    const status = document.querySelector("#status");
    new MutationObserver(() => {
        const text = status.innerText;
        if (text.includes("step")) begun = Math.min(begun, performance.now());
        if (begun < over && text.startsWith("Done")) over = Math.min(over, performance.now());
    }).observe(status, { subtree: true, childList: true, characterData: true });
}"""


@dataclass
class Walk:
    """One person's tab."""

    tab: object
    canvas: Canvas
    screenshot: object
    name: str
    touches: bool

    def shot(self, stop: str, **options: bool) -> None:
        self.screenshot(self.tab, f"walk-{self.name}-{stop}", **options)

    def draw(self, *points: tuple[float, float]) -> None:
        """Draw through points of the picture, with the mouse or a finger."""
        if not self.touches:
            self.canvas.drag(*points)
            return
        self.tab.locator(".stage").scroll_into_view_if_needed()
        first, *rest = [self.canvas.screen(*point) for point in points]
        touch(self.canvas, "touchStart", first)
        for point in rest:
            touch(self.canvas, "touchMove", point)
        touch(self.canvas, "touchEnd")

    def press(self, name: str) -> None:
        self.tab.get_by_role("button", name=name, exact=True).click()


@pytest.fixture
def walk(visit, screenshot):
    """Begin one: walk(width, dark, query)."""

    def begin(width: int, dark: bool, query: str) -> Walk:
        name = f"{width}-{'dark' if dark else 'light'}"
        phone = width < 500
        tab = visit(query, width=width, height=844, dark=dark, touch=phone)
        canvas = Canvas(tab)
        canvas.session = tab.context.new_cdp_session(tab) if phone else None
        return Walk(tab, canvas, screenshot, name, phone)

    return begin


def accessible(tab) -> None:
    """Let axe-core look for what shuts people out; its minor remarks are Gradio's own."""
    size = tab.viewport_size
    assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
    whole = tab.evaluate("document.documentElement.scrollHeight")
    tab.set_viewport_size(size | {"height": whole})  # no button floats over a text then
    found = Axe().run(tab).response["violations"]
    tab.set_viewport_size(size)
    grave = [
        f"{v['id']}: {node['html']} {node['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
    assert not grave, "\n".join(grave)


LOCKED = "['#delete', '#merge', '#open-project', '#open-clip']"
"""What would change a session under a run."""


def works(person: Walk, button, stop: str) -> None:
    """Press what starts a run and wait for its result; nothing jumps while it goes on."""
    tab = person.tab
    tab.evaluate(WATCH)
    button.click()
    until(tab, "begun < Infinity")
    until(tab, f"{LOCKED}.every(disabled)")
    person.shot(stop, whole=False)
    place = person.canvas.view("toScreen(0, 0)")
    filled(tab)
    assert person.canvas.view("toScreen(0, 0)") == place, "the picture moved"
    begun, over = tab.evaluate("[begun, over]")
    shifts = [(value, what) for at, value, what in tab.evaluate("shifts") if begun < at < over]
    assert sum(value for value, _ in shifts) < 0.02, shifts
    until(tab, f"!{LOCKED}.some(disabled)")


@pytest.mark.parametrize("width, dark", [(1280, False), (390, True)])
def test_the_whole_walk(walk, visit, tmp_path, width, dark):
    person = walk(width, dark, "?steps=4&candidates=2")
    starts(person)
    weighs_candidates(person)
    goes_on_and_back(person)
    keeps_the_work(person, visit, tmp_path)
    paints(person)
    mends_a_tight_mask(person, tmp_path)


@pytest.mark.parametrize("width, dark", [(1280, True), (390, False)])
def test_a_shorter_look(walk, width, dark):
    person = walk(width, dark, "?steps=2&candidates=2")
    starts(person)


def starts(person: Walk) -> None:
    """One click from the open page to a result; then all settings."""
    tab = person.tab
    tab.get_by_text("Tap to choose" if person.touches else "Drop a picture").wait_for()
    person.shot("start")
    accessible(tab)
    works(person, tab.locator("#examples button").first, "running")
    until(tab, f"{CARDS} == 2")
    tab.get_by_role("button", name="Advanced").click()
    tab.get_by_label("Sampler").wait_for()
    person.shot("first-result")
    accessible(tab)
    tab.get_by_role("button", name="Advanced").click()


def weighs_candidates(person: Walk) -> None:
    """Compare, see how sure it is, merge, and ask for more."""
    tab = person.tab
    cards = tab.locator("#gallery button.thumbnail-item")
    assert "Best seam" in cards.nth(0).inner_text()
    chosen = "document.querySelector('#gallery .selected')?.innerText"
    before = tab.evaluate(chosen)
    cards.nth(1).click()
    until(tab, f"{chosen} && {chosen} != it", before)
    look_at(tab, "How sure")
    shows_mode(tab, "sure")
    person.shot("how-sure")

    original = person.canvas.view("src")
    person.press("Merge candidates")
    until(tab, "text('#merge') == 'Keep the merge'")
    source = "document.querySelector('.mask-canvas').canvasView.src"
    until(tab, f"{source} && {source} != it", original)
    until(tab, "['#fill', '#delete', '#more'].every(disabled)")
    person.draw((180, 380), (200, 400))
    cards.nth(0).click()
    until(tab, "text('#status').startsWith('Taken')")
    person.shot("merging")
    person.press("Keep the merge")
    until(tab, f"{CARDS} == 3")
    assert tab.get_by_role("button", name="Remove", exact=True).is_enabled()
    works(person, tab.get_by_role("button", name="More like this"), "running-again")
    until(tab, "text('#history').includes('2 · Remove')")
    until(tab, f"{CARDS} == 3")
    person.shot("more-like-this")


def goes_on_and_back(person: Walk) -> None:
    """On from a result with an empty mask, and back to an earlier one, where its mask still is."""
    tab = person.tab
    person.press("Continue from this")
    tab.locator("#results").wait_for(state="hidden")
    until(tab, "!text('#cost').includes('evaluations')")
    tab.locator("#history").get_by_text("1 · Remove").click()
    until(tab, "text('#status').includes('is back')")
    costs(tab)
    person.shot("back")


def keeps_the_work(person: Walk, visit, folder: Path) -> None:
    """All of it in a file, which another tab opens; there a result is deleted."""
    project = saved(person.tab, "#download-project", folder)
    assert zipfile.is_zipfile(project)
    other = visit()
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Open a project").click()
    chooser.value.set_files(project)
    until(other, f"{CARDS} == 3")
    shows(other, (512, 512))
    until(other, "text('#history').includes('2 · Remove')")
    for run in ("1", "2"):
        other.locator("#history").get_by_text(f"{run} · Remove").click()
        until(other, "text('#status').includes('is back')")
        other.get_by_role("button", name="Delete this result").click()
        until(other, f"!text('#history').includes('{run} · Remove')")
    other.locator("#past").wait_for(state="hidden")
    other.close()


def paints(person: Walk) -> None:
    """Every tool of the canvas, its menu and its keys."""
    tab, canvas = person.tab, person.canvas
    look_at(tab, "Mask")
    canvas.use("clear")
    canvas.use("rectangle")
    person.draw((60, 60), (160, 130))
    canvas.use("ellipse")
    person.draw((200, 60), (300, 130))
    canvas.use("lasso")
    person.draw((350, 60), (450, 80), (400, 160), (340, 120))
    canvas.use("brush")
    person.draw((80, 250), (200, 300), (320, 240))
    canvas.use("eraser")
    person.draw((200, 250), (200, 330))
    canvas.use("polygon")
    for corner in ((380, 250), (470, 270), (440, 360)):
        person.draw(corner)
    canvas.click(381, 251) if not person.touches else person.draw((381, 251))
    canvas.until(lambda: canvas.is_tinted(435, 290), "the polygon")
    canvas.use("grow")
    costs(tab)
    person.shot("tools")
    canvas.use("more")
    person.shot("menu")
    canvas.use("help")
    tab.get_by_role("dialog").get_by_text("Straight line").wait_for()
    person.shot("keys")
    tab.keyboard.press("Escape")
    canvas.use("fit")


def mends_a_tight_mask(person: Walk, folder: Path) -> None:
    """A picture of one's own, with a mask that is too tight."""
    tab, canvas = person.tab, person.canvas
    noise = np.random.default_rng(0).normal(170, 6, (180, 240, 1)).repeat(3, 2)
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((80, 50, 160, 130), (30, 20, 60))
    image.save(folder / "ball.jpg", quality=92)
    upload(tab, folder / "ball.jpg")
    canvas.use("ellipse")
    person.draw((85, 55), (155, 125))
    costs(tab)
    person.press("Remove")
    filled(tab)
    tab.get_by_text("Something seems left around the mask").wait_for()
    person.shot("too-tight")
    person.press("Grow the mask and fill again")
    until(tab, "text('#history').includes('2 · Remove')")
    filled(tab)
    tab.get_by_text("Something seems left around the mask").wait_for(state="hidden")
    person.shot("wider")
    assert saved(tab, "#download", folder).suffix == ".jpg"

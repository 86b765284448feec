"""How fast the page answers: measured in the browser, held to the bars, and printed.

What else a machine computes can only make an answer later. So short waits are taken many times and
their median counts, a long one may be tried again, and a bar is as much higher as there are more
processes than cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from person import Canvas, until, upload
from PIL import Image

from inpaint.ui.examples import examples

pytestmark = pytest.mark.browser

TRIES = 3
WAIT = """async ([act, done]) => {
    act = new Function(act);
    done = new Function(`return ${done}`);
    const began = performance.now();
    act();
    while (!done() && performance.now() - began < 5000) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
WATCH_STROKES = """() => {
    globalThis.waits = [];
    document.addEventListener("pointermove", () => {
        const start = performance.now();
        requestAnimationFrame(() => setTimeout(() => waits.push(performance.now() - start)));
    });
}"""
SET_STEPS = """
    const field = document.querySelector("#steps input[type=number]");
    field.value = {0};
    for (const kind of ["input", "change", "blur"])
        field.dispatchEvent(new Event(kind, {{ bubbles: true }}));
"""
STEPS_SHOWN = """location.search.includes("steps={0}") &&
    document.querySelector("#steps input[type=range]").value == {0}"""


@pytest.fixture
def holds(capsys) -> Callable[[str, float, float, str], None]:
    """Print a measurement and hold it to its bar: holds(what, measured, bar, unit)."""

    def check(what: str, measured: float, bar: float, unit: str) -> None:
        with capsys.disabled():
            print(f"\n{what}: {measured:.3g} {unit}, at most {bar:g}; busy × {crowded():.1f}")
        assert measured <= bar * crowded()

    return check


def crowded() -> float:
    """How many times longer an answer takes with what else the machine computes, at least 1."""
    return max(1, (os.getloadavg()[0] - 1) / os.cpu_count())


def least(measure: Callable[[], float], bar: float) -> float:
    """Shortest of at most TRIES measurements; one that keeps within the bar is enough."""
    found = [measure()]
    while found[-1] > bar and len(found) < TRIES:
        found.append(measure())
    return min(found)


def test_from_the_open_page_to_a_result_by_one_click(visit, holds):
    def first_result() -> float:
        began = time.perf_counter()
        tab = visit()
        tab.locator("#examples button").first.click()
        until(tab, "text('#status').startsWith('Done')")
        seconds = time.perf_counter() - began
        tab.close()
        return seconds

    holds("page open to first result", least(first_result, 8), 8, "s")


def test_a_large_photograph_opens_and_strokes_on_it_show_at_once(visit, holds, tmp_path):
    part = np.asarray(Image.open(examples()[0].picture).convert("RGB").resize((1000, 1000)))
    path = tmp_path / "24-megapixels.jpg"
    Image.fromarray(np.tile(part, (4, 6, 1))).save(path, quality=90)
    tabs = []

    def opening() -> float:
        tabs.append(visit(scale=2))
        return upload(tabs[-1], path)

    holds("24 megapixels from file to canvas", least(opening, 4), 4, "s")
    tab = tabs[-1]
    canvas = Canvas(tab)
    tab.evaluate(WATCH_STROKES)
    canvas.drag((1000, 1000), (3000, 1500), (5000, 1000), (4000, 3000), (2000, 2000))
    canvas.until(lambda: canvas.is_tinted(3000, 1500), "the stroke")
    waits = tab.evaluate("waits")
    assert len(waits) > 10
    holds("a stroke shows", np.median(waits), 50, "ms")


def test_a_setting_follows_at_once(visit, holds):
    tab = visit("?steps=19")
    waits = [
        tab.evaluate(WAIT, [SET_STEPS.format(n), STEPS_SHOWN.format(n)]) for n in range(20, 31)
    ]
    holds("a setting changes, and the link with it", np.median(waits), 100, "ms")

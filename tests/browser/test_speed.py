"""How fast the page answers: measured in the browser, held to the bars, and printed.

What else a machine computes can only make an answer later. So short waits are taken many times and
their median counts, a long one may be tried again, and a bar is as much higher as there are more
processes than cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from person import PATIENCE, Canvas, costs, filled, paint, until, upload
from PIL import Image

from inpaint.tools.bench_page import APP, CHOOSE, CHOSEN, PRESS, PREVIEWED, TASKS, WAIT
from inpaint.ui.examples import examples

pytestmark = pytest.mark.browser

TRIES = 3
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


def test_the_first_preview_comes_soon_after_the_button_is_pressed(visit, holds, photograph):
    tab = visit()
    upload(tab, photograph)
    paint(tab, (1500, 900), (1560, 930))
    costs(tab)  # the model is there

    def first_preview() -> float:
        seconds = tab.evaluate(WAIT, [PRESS, PREVIEWED, PATIENCE]) / 1000
        filled(tab)
        return seconds

    holds("from the button to the first preview", least(first_preview, 2), 2, "s")


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
        tab.evaluate(WAIT, [SET_STEPS.format(n), STEPS_SHOWN.format(n), PATIENCE])
        for n in range(20, 31)
    ]
    holds("a setting changes, and the link with it", np.median(waits), 100, "ms")


def test_the_controls_follow_the_task(visit, holds):
    tab = visit()
    waits = [
        tab.evaluate(WAIT, [CHOOSE.format(task), CHOSEN.format(control), PATIENCE])
        for task, control in list(TASKS.items()) * 4
    ]
    holds("a task is chosen", np.median(waits), 500, "ms")


def test_the_benchmark_uses_the_page_too(browser):
    command = [sys.executable, "-m", "inpaint", "bench", "--section", "page", "--brief"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=APP.parent)
    assert not done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line[:1] == "|"]
    assert "the button pressed until the first preview" in rows and len(rows) == 7

"""Section of `bench` about the page: started, opened in Chromium, painted on and run.

Without Playwright (see `tests/requirements.txt`) or Chromium (at `CHROMIUM`) it is only started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from PIL import Image

from inpaint.tools.bench_case import texture
from inpaint.tools.bench_rows import Row

APP = Path(__file__).parents[2] / "app.py"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 120
"""Seconds to wait for anything."""

WAIT = """async ([act, done, patience]) => {
    act = new Function(act);
    done = new Function(`return ${done}`);
    const began = performance.now();
    act();
    while (!done()) {
        if (performance.now() - began > patience) throw new Error(`waited in vain for ${done}`);
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
}"""
"""JavaScript: do something, and return the milliseconds until the page shows what comes of it."""
PRESS = "document.querySelector('#fill').click()"
CANVAS = "document.querySelector('.mask-canvas').canvasView"
PREVIEWED = f"{CANVAS}.previewed"
DONE = f"!document.querySelector('#fill').disabled && !{PREVIEWED}"
TASKS = {"extend": "left", "enlarge": "scale"}
"""Tasks to choose, and the control that each brings."""
CHOOSE = "document.querySelector('#task input[value={0}]').click()"
CHOSEN = "document.querySelector('#{0}')?.offsetParent"


def page(brief: bool) -> list[Row]:
    """Start the page several times, then use one in a browser."""
    if not APP.is_file():
        return []
    turns, waits = 1 if brief else 3, []
    for _ in range(turns - 1):
        with started() as (_, seconds):
            waits.append(seconds)
    with started() as (address, seconds):
        waits.append(seconds)
        used = _used(address, turns)
    return [Row("python app.py until the page answers", median(waits), most=3), *used]


@contextmanager
def started() -> Iterator[tuple[str, float]]:
    """Start the page in a process of its own; its address, and the seconds until it answered."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address, began = f"http://127.0.0.1:{port}/", time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(APP), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(APP.parent)},
    )
    try:
        while not _answers(address):
            if time.perf_counter() - began > PATIENCE or process.poll() is not None:
                raise RuntimeError("The page did not answer.")
            time.sleep(0.02)
        yield address, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            answer.read()
        return True
    except OSError:
        return False


def _used(address: str, turns: int) -> list[Row]:
    """Open a picture, paint, press the button, and choose other tasks."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if not Path(CHROMIUM).is_file():
        return []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(1000 * PATIENCE)
        began = time.perf_counter()
        tab.goto(address)
        tab.locator(".mask-canvas .invitation").wait_for()
        usable = time.perf_counter() - began

        def wait(act: str, done: str) -> float:
            return float(tab.evaluate(WAIT, [act, done, 1000 * PATIENCE])) / 1000

        picture = Path(folder, "picture.png")
        Image.fromarray(texture(512, 512)).save(picture)
        tab.locator(".mask-canvas input[name=picture]").set_input_files(picture)
        tab.wait_for_function(f"{CANVAS}.size")
        for mouse, at in ((tab.mouse.down, 230), (tab.mouse.up, 290)):
            tab.mouse.move(*tab.evaluate(f"{CANVAS}.toScreen({at}, {at})"), steps=5)
            mouse()
        # What it will cost is said when torch is there.
        tab.wait_for_function("document.querySelector('#cost').innerText")
        previews, choices = [], []
        for _ in range(turns + 1):
            previews.append(wait(PRESS, PREVIEWED))
            tab.wait_for_function(DONE)
        for task, control in list(TASKS.items()) * turns:
            choices.append(wait(CHOOSE.format(task), CHOSEN.format(control)))
        chromium.close()
    first, *later = previews
    return [
        Row("the page in Chromium until it can be used", usable),
        Row("the button pressed until the first preview", first, most=2),
        Row("pressed again", median(later), most=2),
        Row("a task chosen until its controls are there", median(choices)),
    ]

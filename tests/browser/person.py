"""What a person does on the whole page, and waits for.

Nothing is read before it was waited for: on a busy machine an event takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

EXIF_MAKE = 271
EXIF_ORIENTATION = 274
PATIENCE = 120_000
"""Milliseconds that anything may take on a busy machine of two cores."""


def until(tab, condition: str, argument=None) -> None:
    """Wait for a JavaScript condition, in which `text(selector)` is what is written there.

    And `disabled(selector)` whether a button cannot be pressed, or is not there.
    """
    known = """
        const text = where => document.querySelector(where)?.innerText ?? "";
        const disabled = where => document.querySelector(where)?.disabled ?? true;
    """
    tab.wait_for_function(f"it => {{ {known} return {condition} }}", arg=argument)


def look_at(tab, name: str) -> None:
    """Press one of the buttons that say what the canvas shows."""
    tab.get_by_role("button", name=name, exact=True).click()


def upload(tab, path: Path) -> float:
    """Open a picture; return the seconds from the choice of the file until it can be painted on."""
    with tab.expect_file_chooser() as chooser:
        tab.locator(".mask-canvas [data-do=open]:visible").first.click()
    before = Canvas(tab).view("src")
    began = time.perf_counter()
    chooser.value.set_files(path)
    until(tab, "document.querySelector('.mask-canvas').canvasView.src != it", before)
    shows(tab, upright_size(path))
    return time.perf_counter() - began


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as it is to be looked at."""
    with Image.open(path) as image:
        width, height = image.size
        lies = image.getexif().get(EXIF_ORIENTATION, 1) > 4
    return (height, width) if lies else (width, height)


def shows(tab, size: tuple[int, int]) -> None:
    """Wait until the canvas shows a picture of a size."""
    view = "document.querySelector('.mask-canvas').canvasView"
    until(tab, f"String({view}.size) == String(it)", list(size))


def paint(tab, *points: tuple[float, float]) -> None:
    """Draw with the mouse through points of the picture."""
    Canvas(tab).drag(*points)


def view(tab, what: str):
    """Ask the canvas what it shows: its `mode`, the pictures that are `compared`, …"""
    return tab.evaluate(f"document.querySelector('.mask-canvas').canvasView.{what}")


def shows_mode(tab, mode: str) -> None:
    """Wait until the canvas shows the mask ("paint"), "compare" or "sure"."""
    until(tab, "document.querySelector('.mask-canvas').canvasView.mode == it", mode)


def costs(tab) -> None:
    until(tab, "text('#cost').includes('evaluations')")


def number(tab, name: str, value: int) -> None:
    tab.locator(f"#{name} input[type=number]").fill(str(value))
    tab.locator(f"#{name} input[type=number]").press("Tab")
    until(tab, f"location.search.includes('{name}={value}')")


def filled(tab) -> None:
    """Wait until a run is over and its result can be used."""
    until(
        tab, "/^(Done|Stopped)/.test(text('#status')) && !document.querySelector('#fill').disabled"
    )
    until(tab, "text('#receipt').endsWith('.')")
    until(tab, "document.querySelector('#download').disabled === false")


def saved(tab, button: str, folder: Path) -> Path:
    with tab.expect_download(timeout=PATIENCE) as download:
        tab.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


class Canvas:
    """The canvas of one open tab, driven in the picture's coordinates."""

    def __init__(self, tab) -> None:
        self.tab = tab
        tab.wait_for_selector(".mask-canvas")

    def view(self, expression: str, argument: object = None) -> object:
        script = f"(at) => document.querySelector('.mask-canvas').canvasView.{expression}"
        return self.tab.evaluate(script, argument)

    def wait_for_size(self, size: tuple[int, int]) -> None:
        self.tab.wait_for_function(
            "size => `${document.querySelector('.mask-canvas')?.canvasView?.size}` === `${size}`",
            arg=list(size),
        )

    def until(self, done: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 8
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.tab.wait_for_timeout(10)

    def screen(self, x: float, y: float) -> tuple[int, int]:
        """Whole screen pixel nearest to a point of the picture: a mouse has no finer ones."""
        left, top = self.view("toScreen(...at)", [x, y])
        return round(left), round(top)

    def point(self, left: float, top: float) -> tuple[float, float]:
        """Point of the picture at a point of the screen."""
        x, y = self.view("toScreen(0, 0)")
        zoom = self.view("zoom")
        return (left - x) / zoom, (top - y) / zoom

    def drag(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """Draw through points of the picture; return the points really taken."""
        self.tab.locator(".stage").scroll_into_view_if_needed()
        stops = [self.screen(*point) for point in points]
        self.tab.mouse.move(*stops[0])
        self.tab.mouse.down()
        for stop in stops[1:]:
            self.tab.mouse.move(*stop, steps=4)
        self.tab.mouse.up()
        return [self.point(*stop) for stop in stops]

    def use(self, name: str) -> None:
        """Press a button of the canvas, in its menu if it stands there."""
        button = self.tab.locator(f"[data-do={name}]:not(.invitation)")
        in_menu = not button.is_visible()
        if in_menu:
            self.tab.click("[data-do=more]")
        button.click()
        if in_menu and self.tab.is_visible(".menu") and not self.tab.is_visible("dialog.help"):
            self.tab.click("[data-do=more]")

    def click(self, x: float, y: float) -> None:
        self.tab.mouse.click(*self.screen(x, y))

    def shown(self) -> np.ndarray:
        """Whether each tenth pixel of a picture of 600x400 is tinted, (40, 60) bool."""
        tints = self.tab.evaluate("""async () => {
            await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
            const screen = document.querySelector(".stage canvas");
            const view = document.querySelector(".mask-canvas").canvasView;
            const corner = screen.getBoundingClientRect();
            const { width, height, data } = screen
                .getContext("2d").getImageData(0, 0, screen.width, screen.height);
            const tints = [];
            for (let y = 5; y < 400; y += 10) for (let x = 5; x < 600; x += 10) {
                const [left, top] = view.toScreen(x, y);
                const column = Math.round(((left - corner.left) * width) / corner.width);
                const row = Math.round(((top - corner.top) * height) / corner.height);
                const at = 4 * (row * width + column);
                tints.push(data[at] > data[at + 1] + 40);
            }
            return tints;
        }""")
        return np.array(tints).reshape(40, 60)

    def agrees(self, mask: np.ndarray) -> None:
        """Check that the overlay is the mask, but for points on its rim."""
        expected = mask[5::10, 5::10]
        self.until(lambda: np.mean(self.shown() == expected) > 0.985, "the mask")

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """Colour shown at a point of the picture, after the next frame."""
        return tuple(
            self.tab.evaluate(
                """async ([left, top]) => {
                    await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
                    const canvas = document.querySelector(".stage canvas");
                    const box = canvas.getBoundingClientRect();
                    const at = (value) => Math.round((value * canvas.width) / box.width);
                    const context = canvas.getContext("2d");
                    const spot = context.getImageData(at(left - box.left), at(top - box.top), 1, 1);
                    return [...spot.data.slice(0, 3)];
                }""",
                list(self.screen(x, y)),
            )
        )

    def is_tinted(self, x: float, y: float) -> bool:
        red, green, _ = self.colour(x, y)
        return red > green + 40


def touch(canvas: Canvas, kind: str, *points: tuple[float, float]) -> None:
    at = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    canvas.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

"""What a person does on the whole page, and waits for.

Nothing is read before it was waited for: on a busy machine an event takes seconds.
"""

from __future__ import annotations

from pathlib import Path

from inpaint import pictures

EXIF_MAKE = 271
PATIENCE = 120_000
"""Milliseconds that anything may take on a busy machine of two cores."""


def until(tab, condition: str, argument=None) -> None:
    """Wait for a JavaScript condition, in which `text(selector)` is what is written there."""
    text = "const text = where => document.querySelector(where)?.innerText ?? '';"
    tab.wait_for_function(f"it => {{ {text} return {condition} }}", arg=argument)


def upload(tab, path: Path) -> None:
    shown = "document.querySelector('.mask-canvas').canvasView?.src ?? ''"
    before = tab.evaluate(shown)
    with tab.expect_file_chooser() as chooser:
        tab.locator(".mask-canvas [data-do=open]:visible").first.click()
    chooser.value.set_files(path)
    until(tab, f"{shown} != it", before)
    shows(tab, pictures.read(path).size)


def shows(tab, size: tuple[int, int]) -> None:
    """Wait until the canvas shows a picture of a size."""
    view = "document.querySelector('.mask-canvas').canvasView"
    until(tab, f"String({view}.size) == String(it)", list(size))


def paint(tab, *points: tuple[float, float]) -> None:
    """Draw with the mouse through points of the picture."""
    view = "p => document.querySelector('.mask-canvas').canvasView.toScreen(...p)"
    (x, y), *rest = [tab.evaluate(view, list(point)) for point in points]
    tab.mouse.move(x, y)
    tab.mouse.down()
    for x, y in rest:
        tab.mouse.move(x, y, steps=5)
    tab.mouse.up()


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

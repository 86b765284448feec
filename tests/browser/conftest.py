"""Real Chromium for the browser tests: `page` opens tabs, `serve` launches a Gradio app.

A tab fails its test on an uncaught error, on an error in the console, and on any request that
would leave this machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from person import EXIF_MAKE, PATIENCE, until
from PIL import Image

if TYPE_CHECKING:
    import gradio as gr
    from board import App, Board
    from playwright.sync_api import Browser, ConsoleMessage, Page

    from inpaint.ui.canvas import Sheet

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream"
).split()
HERE = "127.0.0.1"


def pytest_configure(config: pytest.Config) -> None:
    """Let Gradio's own warnings pass: its queue's about newer pandas, its unclosed event loops."""
    for message in ("'future.no_silent_downcasting'", "The copy keyword is deprecated"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}:DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; name one in the variable CHROMIUM")
    playwright_api = pytest.importorskip("playwright.sync_api")
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a tab: `page(url, width=1280, height=900, dark=…, scale=…, touch=…, locale=…)`."""
    contexts, complaints = [], []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"console: {message.text} {message.location['url']}")

    def open_tab(
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        scale: float = 1,
        touch: bool = False,
        locale: str = "en-US",
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            device_scale_factor=scale,
            has_touch=touch,
            is_mobile=touch,
            locale=locale,
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        tab.on("console", on_console)
        tab.on(
            "request",
            lambda request: (
                urlsplit(request.url).hostname in (HERE, None)
                or complaints.append(f"request to {request.url}")
            ),
        )
        tab.goto(url)
        return tab

    yield open_tab
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """Launch a `gr.Blocks` on a free port and give its address; closed at the end."""
    from inpaint.ui.uploads import use_own_folder

    use_own_folder()  # other programs empty Gradio's usual one
    launched: list[gr.Blocks] = []

    def launch(demo: gr.Blocks, **options: object) -> str:
        launched.append(demo)
        demo.launch(
            server_name=HERE, prevent_thread_lock=True, ssr_mode=False, quiet=True, **options
        )
        return demo.local_url

    yield launch
    for demo in launched:
        demo.close(verbose=False)


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[..., None]:
    """Save screenshot(tab, name) in $INPAINT_SCREENSHOTS, or with the test's temporary files.

    For the whole page the window is made as high for a moment, which moves what is in it; with
    whole=False only what is in sight is saved.
    """
    folder = Path(os.environ.get("INPAINT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def save(tab: Page, name: str, *, whole: bool = True) -> None:
        tab.screenshot(path=folder / f"{name}.png", full_page=whole)

    return save


@pytest.fixture(scope="session")
def address(serve) -> str:
    from inpaint.ui import words
    from inpaint.ui.page import CSS, Options, create_demo

    look = {"css_paths": CSS, "footer_links": [], "run_history": False}
    return serve(create_demo(Options()), i18n=words.translations(), **look)


@pytest.fixture
def visit(page, address):
    """Open the page: visit(query="", **options of `page`)."""

    def open_page(query: str = "", **options):
        tab = page(address + query, **options)
        tab.set_default_timeout(PATIENCE)
        tab.locator(".mask-canvas .invitation").wait_for()
        for name, value in parse_qs(query.lstrip("?")).items():
            if value[0].isdigit():
                until(tab, f"document.querySelector('#{name} input')?.value == it", value[0])
        return tab

    return open_page


@pytest.fixture(scope="session")
def photograph(tmp_path_factory) -> Path:
    """A photograph of 2400x1600, larger than what the browser gets, with EXIF."""
    from inpaint.ui.examples import examples

    part = np.asarray(Image.open(examples()[0].picture).convert("RGB").resize((800, 800)))
    tiled = np.tile(part, (2, 3, 1)).astype(np.int16)
    noise = np.random.default_rng(0).integers(-6, 7, tiled.shape)
    exif = Image.Exif()
    exif[EXIF_MAKE] = "Camera of the test"
    path = tmp_path_factory.mktemp("photograph") / "holiday.png"
    image = Image.fromarray((tiled + noise).clip(0, 255).astype(np.uint8))
    image.save(path, exif=exif, compress_level=1)
    return path


@pytest.fixture(scope="session")
def board(serve) -> App:
    """Serve the page of board.py."""
    from board import App, make_demo

    app = App()
    app.url = serve(make_demo(app))
    return app


@pytest.fixture
def app(board: App) -> App:
    """What reaches the server of board.py in this test."""
    board.forget()
    return board


@pytest.fixture
def open_canvas(app: App, page) -> Callable[..., Board]:
    """Open the page of board.py with a sheet: open_canvas(start=None, **options of `page`)."""
    from board import Board

    def opener(start: Sheet | None = None, **options: object) -> Board:
        app.start = start
        return Board(app, page(app.url, **options))

    return opener

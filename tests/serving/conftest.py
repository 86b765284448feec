"""A real server for each module of these tests, and what to send to it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported


def pytest_configure(config: pytest.Config) -> None:
    """Let Gradio's own warnings pass: its queue's about newer pandas, its unclosed event loops."""
    for message in ("'future.no_silent_downcasting'", "The copy keyword is deprecated"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}:DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    return free_port


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, object]]:
    """What is served, by its address; told to end after the module, which takes a while."""
    found = {}
    yield found
    for demo in found.values():
        demo.server.should_exit = True


@pytest.fixture(scope="module")
def serve(served) -> Callable[..., str]:
    """Serve the page with options, as app.py does, and return its address."""
    from inpaint.ui import serving
    from inpaint.ui.options import Options

    def launch(**options) -> str:
        demo = serving.launch(Options(port=free_port(), **options), quiet=True)
        address = demo.local_url.rstrip("/")
        served[address] = demo
        return address

    return launch


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with photo.jpg, photo.png (16 bit and alpha) and mask.png, 64 x 48 pixels."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(rgb).save(folder / "photo.jpg", quality=95)
    from inpaint import pictures

    deep = rng.integers(0, 65536, (48, 64, 4), np.uint16)
    pictures.write(
        pictures.Picture(deep[..., :3].copy(), deep[..., 3].copy()), folder / "photo.png"
    )
    mask = np.zeros((48, 64), np.uint8)
    mask[16:26, 20:34] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    return folder


@pytest.fixture(scope="session")
def plain() -> type[Raw]:
    return Raw


class Raw:
    """The API by plain HTTP, to send what a well-behaved client would not."""

    def __init__(self, address: str) -> None:
        self.address = address

    def upload(self, path: Path) -> dict:
        with path.open("rb") as opened:
            answer = httpx.post(f"{self.address}/gradio_api/upload", files={"files": opened})
        return as_file(answer.raise_for_status().json()[0])

    def call(self, name: str, **parameters) -> list[tuple[str, object]]:
        """Return the events, as (name, data), that a call of an endpoint brings."""
        url = f"{self.address}/gradio_api/call/v2/{name}"
        begun = httpx.post(url, json=parameters).raise_for_status().json()
        text = httpx.get(f"{url}/{begun['event_id']}", timeout=60).text
        pairs = [event.split("\ndata: ") for event in text.strip().split("\n\n")]
        return [(kind.removeprefix("event: "), json.loads(data)) for kind, data in pairs]

    def refused(self, name: str, **parameters) -> str:
        """Return the sentence with which a call is refused."""
        kind, data = self.call(name, **parameters)[-1]
        assert kind == "error", data
        return data["error"]


def as_file(path: str) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}

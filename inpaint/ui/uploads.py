"""The folder of files that come and go: what was uploaded, and what the browser fetches.

It is swept. No other path, and no address, is opened.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import gradio as gr
from gradio.processing_utils import hash_bytes
from gradio.utils import get_upload_folder

from inpaint.pictures.writing import put

_open: WeakSet[Any] = WeakSet()
"""The sessions of all tabs, whose files stay."""
_opening = threading.Lock()
SERVED = "/gradio_api/file="
"""What stands before the path in the address of an uploaded file."""
KEPT = 3600
"""Seconds after which a file that nobody has used is deleted."""
SWEPT = 60
"""Seconds between two sweeps."""


STALLED = 300
"""Seconds after which an upload of which nothing more came is given up."""
NAME = 60
"""Letters that are kept of a file's name, the last ones."""


def uploaded(name: str) -> Path:
    """Return the path of an uploaded file, given its path or its own address here.

    Raises
    ------
    gr.Error
        It is not one: requests are strangers' words.
    """
    path = _inside(name)
    if not path.is_file():
        raise _not_here()
    os.utime(path)  # it is in use
    return path


def cached(data: bytes, name: str) -> str:
    """Put a file where the browser may fetch it from, whole or not at all, and return its path.

    A file that is there already stays as it is: it may be on its way to a browser.
    """
    folder = Path(get_upload_folder()).resolve() / hash_bytes(data)
    path = folder / Path(name).name[-NAME:]
    try:
        os.utime(path)  # it is in use
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        put(path, data, lasting=False)
    return str(path)


@cache
def use_own_folder() -> None:
    """Let uploads and results lie in a new folder, which is ours alone and goes in the end."""
    parent = os.environ.get("GRADIO_TEMP_DIR")
    if parent:
        os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="inpaint-", dir=parent)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = folder


def keep_files_of(session: Any) -> None:
    """Let the files of a session stay as long as it does."""
    with _opening:
        _open.add(session)


def keep_swept(demo: gr.Blocks) -> None:
    """Delete old files as long as the program runs; Gradio forgets some of those it has made."""

    def work() -> None:
        while True:
            sweep(demo, KEPT)
            time.sleep(SWEPT)

    threading.Thread(target=work, daemon=True).start()


def sweep(demo: gr.Blocks, age: float) -> None:
    """Delete uploads and results not used for `age` seconds, but what the page and its tabs need.

    Parts of uploads that broke off, which lie in no folder of their own, go sooner.
    """
    kept = set().union(*(block.keep_in_cache for block in demo.blocks.values()))
    with _opening:
        sessions = list(_open)
    kept |= set().union(*(session.files() for session in sessions))
    kept = {str(Path(path).resolve()) for path in kept}
    folder = Path(get_upload_folder()).resolve()
    for above, _, names in os.walk(folder):
        for file in (Path(above, name) for name in names):
            with suppress(FileNotFoundError):  # Gradio sweeps too
                unused = time.time() - file.stat().st_mtime
                limit = min(age, STALLED) if file.parent == folder else age
                if unused > limit and kept.isdisjoint((str(file), str(file.parent))):
                    file.unlink()


def checked(file: dict[str, Any]) -> dict[str, Any]:
    """Return a request's file with its path made plain; one that was not uploaded is refused."""
    path = _inside(file["path"])
    if path.is_file():
        os.utime(path)  # it is in use
    return {**file, "path": str(path)}


def _inside(name: str) -> Path:
    """Return a path in the folder of uploads; the file may have been deleted meanwhile."""
    try:
        path = Path(name.rpartition(SERVED)[2]).resolve()
    except (ValueError, OSError, RuntimeError):  # a null byte, a name too long, a ring of links
        raise _not_here() from None
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise _not_here()
    return path


def _not_here() -> gr.Error:
    return gr.Error(
        "This file was not uploaded here; addresses and paths are not opened.",
        print_exception=False,
    )

"""The one way in for files: what was uploaded here. No other path, and no address, is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj, traverse

SERVED = "/gradio_api/file="
"""What stands before the path in the address of an uploaded file."""


def uploaded(name: str) -> Path:
    """Return the path of an uploaded file, given its path or its own address here.

    Raises
    ------
    gr.Error
        It is not one: requests are strangers' words.
    """
    folder = Path(get_upload_folder()).resolve()
    try:
        path = Path(name.rpartition(SERVED)[2]).resolve()
        if path.is_relative_to(folder) and path.is_file():
            return path
    except (ValueError, OSError, RuntimeError):  # a null byte, a name too long, a ring of links
        pass
    raise gr.Error(
        "This file was not uploaded here; addresses and paths are not opened.",
        print_exception=False,
    )


class Guarded(gr.Blocks):
    """Blocks whose events take uploaded files alone.

    Gradio refuses paths from elsewhere too, but downloads public addresses, and lets dictionaries
    pass that do not call themselves files.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        """Check every file of a request before anything else looks at it."""
        if not explicit_call:
            inputs = traverse(inputs, _checked, is_file_obj)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def _checked(file: dict[str, Any]) -> dict[str, Any]:
    return {**file, "path": str(uploaded(file["path"]))} if file["path"] else file

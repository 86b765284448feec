"""Inpaint: paint over a part of a picture and let diffusion fill it in."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Read by torch's threads when it is first imported. Waiting threads then sleep instead of spinning:
# on cores that something else uses too, spinning made a fill dozens of times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from inpaint.editing import Estimate, Result, edit, estimate, proposal
    from inpaint.pictures import Picture, PictureError
    from inpaint.settings import Settings

_ROOMS = {
    "edit": "editing",
    "estimate": "editing",
    "proposal": "editing",
    "Estimate": "editing",
    "Result": "editing",
    "Picture": "pictures",
    "PictureError": "pictures",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `python -m inpaint --help` must not wait for torch."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f"inpaint.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'inpaint' has no attribute {name!r}")


__all__ = [
    "Estimate",
    "Picture",
    "PictureError",
    "Result",
    "Settings",
    "edit",
    "estimate",
    "proposal",
]

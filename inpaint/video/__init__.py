"""Clips: the hole is filled from other frames where they show what is behind it, else invented."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from inpaint.results import Stopped
from inpaint.video.results import VideoEstimate, VideoMoment, VideoResult

if TYPE_CHECKING:
    from inpaint.video.editing import edit, estimate


def __getattr__(name: str) -> Any:
    """Import on first use: the page opens before torch is there."""
    if name in ("edit", "estimate"):
        return getattr(importlib.import_module("inpaint.video.editing"), name)
    raise AttributeError(f"module 'inpaint.video' has no attribute {name!r}")


__all__ = ["Stopped", "VideoEstimate", "VideoMoment", "VideoResult", "edit", "estimate"]

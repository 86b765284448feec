"""Clips: the hole is filled from other frames where they show what is behind it, else invented."""

from inpaint.editing import Stopped
from inpaint.video.editing import edit, estimate
from inpaint.video.results import VideoEstimate, VideoMoment, VideoResult

__all__ = ["Stopped", "VideoEstimate", "VideoMoment", "VideoResult", "edit", "estimate"]

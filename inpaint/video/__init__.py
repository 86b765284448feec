"""Clips: the hole is filled from other frames where they show what is behind it, else invented."""

from inpaint.editing import Stopped
from inpaint.video.editing import VideoEstimate, VideoMoment, VideoResult, edit, estimate

__all__ = ["Stopped", "VideoEstimate", "VideoMoment", "VideoResult", "edit", "estimate"]
